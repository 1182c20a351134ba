"""Dot products of bytes: whole vectors of 32-bit sums with one instruction for four rows.

x86 multiplies four unsigned by four signed bytes and adds the products to a 32-bit sum (VNNI):
four times the multiplications of float32 in an instruction, and exact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from neutrams.simulator.exact.collect import I64, cgutils, everywhere, pointer
from neutrams.simulator.exact.lookup import processor

FOUR = 4
"""Rows that one element of a drive holds, a byte each."""
NEURONS = 4
"""Neurons that a kernel has under way at once."""
PLACES = 64
"""Places that a kernel has under way at once."""

Signed = NDArray[np.int8]
Fours = NDArray[np.uint32]
Sums = NDArray[np.int32]

_WORD, _LONG = ir.IntType(32), ir.IntType(64)


class Unit(NamedTuple):
    """How a processor multiplies bytes."""

    width: int
    """Sums of a vector."""
    vectors: int
    """Vectors of places whose sums are held in registers at once, for all neurons."""
    instruction: str
    """LLVM's name for it: sums, unsigned bytes, signed bytes."""


_BY_FEATURE = {
    "+avx512vnni": Unit(16, 4, "llvm.x86.avx512.vpdpbusd.512"),
    "+avxvnni": Unit(8, 2, "llvm.x86.avx512.vpdpbusd.256"),
}


@cache
def unit() -> Unit | None:
    """Return how the processor that Numba compiles for multiplies bytes, if it does."""
    return next((found for name, found in _BY_FEATURE.items() if name in processor()), None)


def dot(weights: Signed, block: int, drive: Fours, start: int, taps: I64, sums: Sums) -> None:
    """Write into ``sums`` ``[NEURONS, PLACES]`` the products of a block of neurons.

    Place p of tap t meets the bytes of ``drive[start + taps[t] + p]``, low byte first, with
    ``weights[block, t]`` ``[NEURONS, FOUR]``. All arrays lie in order; no sum passes 32 bits.
    """
    sums[:] = 0
    for tap in range(taps.shape[0]):
        first = start + taps[tap]
        seen = drive[first : first + PLACES].copy().view(np.uint8).reshape(PLACES, FOUR)
        sums += weights[block, tap].astype(np.int32) @ seen.T.astype(np.int32)


@overload(dot)
def _dot(
    weights: Any, block: Any, drive: Any, start: Any, taps: Any, sums: Any
) -> Callable[..., None]:
    def run(weights: Any, block: Any, drive: Any, start: Any, taps: Any, sums: Any) -> None:
        first = block * weights.shape[1] * weights.shape[2] * weights.shape[3]
        _vectors(weights, first, drive, start, taps, taps.shape[0], sums)

    return run


def _typed(
    _: Any, weights: Any, first: Any, drive: Any, start: Any, taps: Any, count: Any, sums: Any
) -> Any:
    kinds = tuple(array.dtype for array in (weights, drive, taps, sums))
    assert kinds == (types.int8, types.uint32, types.int64, types.int32)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        held, seen, ahead, into = (
            pointer(context, builder, signature, args, at) for at in (0, 2, 4, 6)
        )
        held, seen = builder.gep(held, [args[1]]), builder.gep(seen, [args[3]])
        found = unit()
        assert found is not None
        for place in range(0, PLACES, found.width * found.vectors):
            here = builder.gep(seen, [_LONG(place)])
            _block(builder, found, held, here, ahead, args[5], builder.gep(into, [_LONG(place)]))
        return context.get_dummy_value()

    return types.void(weights, first, drive, start, taps, count, sums), generate


_vectors: Any = intrinsic(_typed)


def _block(
    b: Any, unit: Unit, weights: Any, drive: Any, taps: Any, count: Any, into: Any
) -> None:  # fmt: skip
    """Write the loop over taps for as many places as registers hold."""
    kind = ir.VectorType(_WORD, unit.width)
    takes = ir.FunctionType(kind, [kind] * 3)
    multiply = cgutils.get_or_insert_function(b.module, takes, unit.instruction)
    zero = ir.Constant(kind, [_WORD(0)] * unit.width)
    totals = [
        [cgutils.alloca_once_value(b, zero) for _ in range(unit.vectors)] for _ in range(NEURONS)
    ]

    def vector(pointer: Any, offset: int) -> Any:
        return b.bitcast(b.gep(pointer, [_LONG(offset)]), kind.as_pointer())

    with cgutils.for_range(b, count, intp=_LONG) as loop:
        row = b.gep(drive, [b.load(b.gep(taps, [loop.index]))])
        seen = [b.load(vector(row, v * unit.width), align=1) for v in range(unit.vectors)]
        held = b.gep(weights, [b.mul(loop.index, _LONG(NEURONS * FOUR))])
        for neuron, part in enumerate(totals):
            at = b.bitcast(b.gep(held, [_LONG(neuron * FOUR)]), _WORD.as_pointer())
            weight = everywhere(b, b.load(at, align=1), kind)
            for total, here in zip(part, seen, strict=True):
                b.store(b.call(multiply, [b.load(total), here, weight]), total)
    for neuron, part in enumerate(totals):
        for v, total in enumerate(part):
            b.store(b.load(total), vector(into, neuron * PLACES + v * unit.width), align=1)
