"""Bits of inputs, gathered into indices of tables, whole vectors at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from neutrams.simulator.exact.collect import I64, LANES, Bytes, Counts, everywhere, pointer
from neutrams.simulator.exact.lookup import unit

_AT_ONCE = 64
_BYTE, _WORD = ir.IntType(8), ir.IntType(64)


def gather_bits(
    drive: Counts, window: int, sources: I64, group: int, up: int, index: Bytes, tile: int,
    phase: int,
) -> None:  # fmt: skip
    """Write ``index[tile, phase, group]`` ``[LANES]`` for ``drive`` ``[rows, windows]``.

    Bit j shows, for the windows from ``window`` on, whether the row ``sources[group, j, 0]`` has
    a bit in common with ``sources[group, j, 1] << up``.
    """
    found = np.zeros(LANES, np.uint8)
    for place, (row, mask) in enumerate(sources[group]):
        asked = drive[row, window : window + LANES] & drive.dtype.type(
            int(mask) << up & np.iinfo(drive.dtype).max
        )
        found |= (asked != 0).astype(np.uint8) << place
    index[tile, phase, group] = found


@overload(gather_bits)
def _gather_bits(
    drive: Any, window: Any, sources: Any, group: Any, up: Any, index: Any, tile: Any, phase: Any
) -> Callable[..., None]:
    def run(
        drive: Any, window: Any, sources: Any, group: Any, up: Any, index: Any, tile: Any,
        phase: Any,
    ) -> None:  # fmt: skip
        first = group * sources.shape[1] * sources.shape[2]
        into = ((tile * index.shape[1] + phase) * index.shape[2] + group) * index.shape[3]
        _vectors(drive, window, drive.shape[1], sources, first, up, index, into)

    return run


def _typed(
    _: Any, drive: Any, window: Any, width: Any, sources: Any, first: Any, up: Any, index: Any,
    into: Any,
) -> Any:  # fmt: skip
    every = (drive, window, width, sources, first, up, index, into)
    assert (sources.dtype, index.dtype) == (types.int64, types.uint8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows, asked, whole = (pointer(context, builder, signature, args, at) for at in (0, 3, 6))
        here = builder.gep(rows, [args[1]])
        starts, masks = [], []
        for place in range(unit().bits):
            at = builder.add(args[4], _WORD(2 * place))
            row = builder.load(builder.gep(asked, [at]))
            mask = builder.load(builder.gep(asked, [builder.add(at, _WORD(1))]))
            starts.append(builder.gep(here, [builder.mul(row, args[2])]))
            masks.append(builder.shl(mask, args[5]))
        result = builder.gep(whole, [args[7]])
        for lane in range(0, LANES, _AT_ONCE):
            found = _bits(builder, starts, masks, lane)
            at = builder.gep(result, [_WORD(lane)])
            builder.store(found, builder.bitcast(at, found.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(*every), generate


_vectors: Any = intrinsic(_typed)


def _bits(builder: Any, starts: list[Any], masks: list[Any], lane: int) -> Any:
    """Return a vector of indices: a bit for each start and mask."""
    found = nothing = ir.Constant(ir.VectorType(_BYTE, _AT_ONCE), [_BYTE(0)] * _AT_ONCE)
    for place, (start, mask) in enumerate(zip(starts, masks, strict=True)):
        kind = ir.VectorType(start.type.pointee, _AT_ONCE)
        at = builder.bitcast(builder.gep(start, [_WORD(lane)]), kind.as_pointer())
        met = builder.and_(builder.load(at, align=1), everywhere(builder, mask, kind))
        shown = ir.Constant(nothing.type, [_BYTE(1 << place)] * _AT_ONCE)
        hit = builder.icmp_unsigned("!=", met, ir.Constant(kind, [kind.element(0)] * _AT_ONCE))
        found = builder.or_(found, builder.select(hit, shown, nothing))
    return found
