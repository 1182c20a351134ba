"""Products and window sums of integers: ``unit.mvm``, ``unit.reduce``, ``unit.average_pool``.

ConvInteger and MatMulInteger multiply bytes and sum in 32 bits. Weights are stored as unsigned
bytes with a zero point of 128: kernels for mixed signs saturate on some processors, those for
unsigned bytes are exact on all. Wider numbers are taken apart into digits of base 256.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from neutrams.driver.onnx.emitter import Emitter, rule
from neutrams.driver.onnx.saturation import saturated
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.base import size_of
from neutrams.ir.ops.unit import AveragePool, Reduce, along
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType
from neutrams.ir.windows import filled, out_sizes, taps

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


@rule(Mvm)
def mvm(op: Mvm, emit: Emitter) -> str:
    if merges(emit, op):
        return ""
    weights, x = _matrix(op), _drive(op, emit)
    dtype, rows = op.result.type.dtype, op.rows or op.fan_in
    parts = []
    for low in range(0, op.fan_in, rows):
        held = slice(low, min(low + rows, op.fan_in))
        total = _product(emit, x, weights, _geometry(op), held, dtype)
        bias = _beyond(x, weights[:, held], _geometry(op))
        shifted = _plus(emit, total, bias, op.result.type.rank - 1, _neuron_axis(op), dtype)
        parts.append(emit.add("Unsqueeze", shifted, emit.ints([0])))
    return parts[0] if len(parts) == 1 else emit.add("Concat", *parts, axis=0)


@rule(Reduce)
def reduce(op: Reduce, emit: Emitter) -> str:
    dtype, rank = op.result.type.dtype, op.result.type.rank
    product = op.partials.op
    if isinstance(product, Mvm) and merges(emit, product):
        weights, x = _matrix(product), _drive(product, emit)
        geometry = _geometry(product)
        total = _product(emit, x, weights, geometry, slice(0, product.fan_in), dtype)
        bias = _beyond(x, weights, geometry) + _vector(op.bias)
        return _plus(emit, total, bias, rank, op.axis, dtype)
    total = emit.add("ReduceSum", emit[op.partials], emit.ints([0]), keepdims=0)
    if op.bias is None:
        return total
    if isinstance(op.bias, Weight):
        return _plus(emit, total, _vector(op.bias), rank, op.axis, dtype)
    shape = [-1 if axis == op.axis % rank else 1 for axis in range(rank)]
    shaped = emit.add("Reshape", emit[op.bias], emit.ints(shape))
    return emit.add("Add", total, emit.cast(shaped, op.bias.type.dtype, dtype))


@rule(AveragePool)
def average_pool(op: AveragePool, emit: Emitter) -> str:
    sizes = tuple(int(dim) for dim in op.x.type.shape[2:] if isinstance(dim, int))
    windows = (op.kernel, op.strides, op.pads, op.dilations)
    channels = size_of(op, op.x.type.shape[1], "the number of channels")
    pads = covering_pads(sizes, *windows, ceil_mode=op.ceil_mode)
    geometry = Geometry(op.kernel, op.strides, pads, op.dilations, channels)
    limits = np.iinfo(op.x.type.dtype.numpy)
    offset = -int(limits.min)
    digits = _digits(emit, op.x, offset, op.x.type.dtype.bits)
    x = Drive(digits, op.input_zero + offset)
    ones = np.ones((channels, prod(op.kernel)), np.int64)
    wide = DType.I32 if op.x.type.dtype.bits <= 16 else DType.I64
    total = _product(emit, x, ones, geometry, slice(0, prod(op.kernel)), wide)
    if not geometry.padded and x.beyond:
        total = emit.add("Sub", total, emit.scalar(x.beyond * prod(op.kernel), wide))
    count = taps(sizes, *windows, ceil_mode=op.ceil_mode, include_pad=op.count_include_pad)
    share = np.float32(op.scale) / count.astype(np.float32)
    share = share.reshape(-1)[0] if (share == share.reshape(-1)[0]).all() else share
    mean = emit.add("Mul", emit.cast(total, wide, DType.F32), emit.constant(np.asarray(share)))
    return saturated(emit, mean, zero=op.zero, low=op.low, high=op.high, dtype=op.dtype)


def merges(emit: Emitter, op: Mvm) -> bool:
    """Whether only a ``unit.reduce`` reads the partial sums, so that none need be kept apart."""
    value = op.result
    if any(value is output for output in emit.graph.outputs) or len(value.users) != 1:
        return False
    reader = value.users[0]
    if not isinstance(reader, Reduce) or not isinstance(reader.bias, Weight | None):
        return False
    rank = value.type.rank - 1
    return reader.axis % rank == _neuron_axis(op) % rank


def covering_pads(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    *,
    ceil_mode: bool,
) -> tuple[int, ...]:
    """Return pads with which windows that hang over the end fit in, and no more windows do."""
    if not ceil_mode:
        return pads
    rank = len(kernel)
    out = out_sizes(sizes, kernel, strides, pads, dilations, ceil_mode=True)
    steps, around, spread = filled(rank, strides, pads, dilations)
    ends = (
        (out[i] - 1) * steps[i] + (kernel[i] - 1) * spread[i] + 1 - sizes[i] - around[i]
        for i in range(rank)
    )
    return (*around[:rank], *(max(0, end) for end in ends))


def _drive(op: Mvm, emit: Emitter) -> Drive:
    digits = _digits(emit, op.x, op.input_offset, op.input_bits)
    return Drive(digits, op.pad_value + op.input_offset)


def _digits(emit: Emitter, x: Value, offset: int, bits: int) -> tuple[str, ...]:
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


def _product(
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


def _bytes(
    emit: Emitter, x: str, zero: int, weights: Array, where: Geometry, rows: slice
) -> str:
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


def _beyond(x: Drive, weights: Array, where: Geometry) -> Array:
    """Return what a padded product lacks: ``beyond`` times each neuron's weights."""
    found: Array = weights.sum(axis=1) * (x.beyond if where.padded else 0)
    return found


def _plus(emit: Emitter, x: str, vector: Array, rank: int, axis: int, dtype: DType) -> str:
    if not vector.any():
        return x
    return emit.add("Add", x, emit.constant(along(vector, axis, rank).astype(dtype.numpy)))


def _vector(bias: Value | None) -> Array:
    if not isinstance(bias, Weight):
        assert bias is None, "the bias of merged sums is constant"
        return np.zeros(1, np.int64)
    assert bias.data is not None
    return bias.data.astype(np.int64)


def _matrix(op: Mvm) -> Array:
    if not isinstance(op.w, Weight) or op.w.data is None:
        raise op.fault("NT0550", "its weights are no numbers known when exporting")
    return op.w.data.astype(np.int64)


def _geometry(op: Mvm) -> Geometry:
    return Geometry(op.kernel, op.strides, op.pads, op.dilations, op.groups)


def _neuron_axis(op: Mvm) -> int:
    return 1 if op.kernel else -1
