"""Integer products out of products of bytes.

ConvInteger and MatMulInteger multiply bytes and sum in 32 bits. Weights are stored as unsigned
bytes with a zero point of 128: kernels for mixed signs saturate on some processors, those for
unsigned bytes are exact on all. Wider numbers are taken apart into digits of base 256.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from neutrams.driver.onnx.emitter import Emitter
from neutrams.ir.op import Value
from neutrams.ir.types import Array, DType

_ROWS = 2**15
"""Products of bytes that 32 bits can sum, whatever they are."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Which windows a product reads; an empty kernel stands for the last axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int

    @property
    def padded(self) -> bool:
        return any(self.pads)


@dataclass(frozen=True, slots=True)
class Drive:
    """Unsigned integers as bytes, the least first, and what lies outside their bounds."""

    digits: tuple[str, ...]
    beyond: int


def digits(emit: Emitter, x: Value, offset: int, bits: int) -> tuple[str, ...]:
    """Return the bytes of ``x + offset``, which lies in ``[0, 2^bits)``."""
    if x.type.dtype is DType.U8 and not offset:
        return (emit[x],)
    wide = DType.I32 if max(bits, x.type.dtype.bits) < 32 else DType.I64
    rest = emit.cast(emit[x], x.type.dtype, wide)
    if offset:
        rest = emit.add("Add", rest, emit.scalar(offset, wide))
    found = []
    while bits > 8:
        low = emit.add("Mod", rest, emit.scalar(256, wide))
        found.append(emit.cast(low, wide, DType.U8))
        rest = emit.add("Div", rest, emit.scalar(256, wide))
        bits -= 8
    return (*found, emit.cast(rest, wide, DType.U8))


def product(
    emit: Emitter, x: Drive, weights: Array, where: Geometry, rows: slice, dtype: DType
) -> str:
    """Return the sums over some rows of ``(x - beyond) × w`` where padded, else of ``x × w``."""
    terms = []
    for low in range(rows.start, rows.stop, _ROWS):
        piece = slice(low, min(low + _ROWS, rows.stop))
        for power, digit in enumerate(x.digits):
            zero = x.beyond >> 8 * power & 255 if where.padded else 0
            for height, held in _weight_digits(weights):
                made = _bytes(emit, digit, zero, held, where, piece)
                wide = emit.cast(made, DType.I32, dtype)
                scale = 256 ** (power + height)
                terms.append(
                    wide if scale == 1 else emit.add("Mul", wide, emit.scalar(scale, dtype))
                )
    total = terms[0]
    for term in terms[1:]:
        total = emit.add("Add", total, term)
    return total


def _weight_digits(weights: Array) -> Iterator[tuple[int, Array]]:
    """Yield signed bytes, each with its power of 256, that add up to the weights."""
    rest, height = weights.astype(np.int64), 0
    while height == 0 or rest.any():
        low = (rest + 128) % 256 - 128
        yield height, low
        rest, height = (rest - low) // 256, height + 1


def _bytes(emit: Emitter, x: str, zero: int, weights: Array, where: Geometry, rows: slice) -> str:
    """Return the i32 sums of unsigned bytes times signed ones, over some rows."""
    zeros = (emit.scalar(zero, DType.U8) if zero else "", emit.scalar(128, DType.U8))
    neurons, fan_in = weights.shape
    if not where.kernel:
        x = _cut(emit, x, -1, rows, fan_in) if where.groups == 1 else x
        held = _diagonal(weights, where.groups, rows)
        return emit.add("MatMulInteger", x, _unsigned(emit, held), *zeros)
    size = prod(where.kernel)
    channels = slice(rows.start // size, -(-rows.stop // size))
    if where.groups > 1:
        channels = slice(0, fan_in // size)
    masked = np.zeros_like(weights)
    masked[:, rows] = weights[:, rows]
    filters = masked.reshape(neurons, -1, *where.kernel)[:, channels]
    x = _cut(emit, x, 1, channels, fan_in // size)
    return emit.add(
        "ConvInteger",
        x,
        _unsigned(emit, filters),
        *zeros,
        group=where.groups,
        kernel_shape=where.kernel,
        **_spacing(where),
    )


def _spacing(where: Geometry) -> dict[str, tuple[int, ...]]:
    named = {"strides": where.strides, "pads": where.pads, "dilations": where.dilations}
    return {name: numbers for name, numbers in named.items() if numbers}


def _diagonal(weights: Array, groups: int, rows: slice) -> Array:
    """Return ``[inputs, neurons]``, the groups along the diagonal."""
    if groups == 1:
        return weights[:, rows].T
    neurons, fan_in = len(weights) // groups, weights.shape[1]
    full = np.zeros((groups, fan_in, groups, neurons), weights.dtype)
    each = np.arange(groups)
    held = weights.reshape(groups, neurons, fan_in).transpose(0, 2, 1)
    full[each, rows, each, :] = held[:, rows]
    return full.reshape(groups * fan_in, -1)


def _cut(emit: Emitter, x: str, axis: int, part: slice, size: int) -> str:
    if part.stop - part.start == size:
        return x
    return emit.add("Slice", x, *(emit.ints([n]) for n in (part.start, part.stop, axis)))


def _unsigned(emit: Emitter, weights: Array) -> str:
    return emit.constant((weights + 128).astype(np.uint8), f"{emit.stem}.weights")
