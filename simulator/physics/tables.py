"""Currents of columns by table look-ups, where rows are driven by bits.

Six bits of the drive make an index; a table of 64 numbers of 16 bits says what each index adds to
a column's current. One AVX-512 instruction looks up 32 places, where a product adds one row of 16.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from neutrams.simulator.exact.collect import (
    COLUMNS,
    I64,
    LANES,
    Bytes,
    cgutils,
    everywhere,
    pointer,
)
from neutrams.simulator.exact.lookup import unit

Words = NDArray[np.integer[Any]]
"""Of 16 bits."""

ENTRIES, BITS = 64, 6
MOST = 2**16 - 1
"""The largest current; those with a sign are numbers modulo twice as much as they reach."""
_LOOK_UP = "llvm.x86.avx512.vpermi2var.hi.512"
_AT_ONCE = 32
_SHORT, _WORD = ir.IntType(16), ir.IntType(64)
_VECTOR = ir.VectorType(_SHORT, _AT_ONCE)


@cache
def quick() -> bool:
    """Say whether the processor looks up numbers of 16 bits by six bits at once."""
    return unit().bits == BITS


def fill(cells: Words, first: int, sources: I64, tables: Words) -> None:
    """Write what each index adds up to in ``COLUMNS`` columns from ``first`` on.

    Args:
        cells: ``[columns, rows]`` conductances; the last column stands for those behind it.
        first: column.
        sources: ``[groups, BITS, 2]`` row that each bit of an index drives, and how strongly.
        tables: ``[groups, COLUMNS, ENTRIES]`` result.
    """
    index = np.arange(ENTRIES)
    shown = index[:, None] >> np.arange(BITS) & 1
    for column in range(COLUMNS):
        held = cells[min(first + column, len(cells) - 1)].astype(np.int64)
        added = held[sources[..., 0]] * sources[..., 1]
        tables[:, column] = added @ shown.T


def look_up(tables: Words, index: Bytes, tile: int, phase: int, currents: Words) -> None:
    """Write ``currents`` ``[COLUMNS, LANES]`` for ``index[tile, phase]`` ``[groups, LANES]``."""
    currents[:] = 0
    for group in range(len(tables)):
        currents += tables[group][:, index[tile, phase, group]]


@overload(fill)
def _fill(cells: Any, first: Any, sources: Any, tables: Any) -> Callable[..., None]:
    def run(cells: Any, first: Any, sources: Any, tables: Any) -> None:
        for column in range(COLUMNS):
            row = min(first + column, cells.shape[0] - 1) * cells.shape[1]
            _filled(cells, row, sources, sources.shape[0], tables, column * ENTRIES)

    return run


@overload(look_up)
def _look_up(tables: Any, index: Any, tile: Any, phase: Any, currents: Any) -> Callable[..., None]:
    def run(tables: Any, index: Any, tile: Any, phase: Any, currents: Any) -> None:
        place = (tile * index.shape[1] + phase) * index.shape[2] * LANES
        _looked_up(tables, index, place, index.shape[2], currents)

    return run


def _fill_typed(
    _: Any, cells: Any, row: Any, sources: Any, count: Any, tables: Any, at: Any
) -> Any:
    assert (cells.dtype.bitwidth, tables.dtype) == (16, types.uint16)
    assert sources.dtype == types.int64

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b = builder
        held, asked, into = (pointer(context, b, signature, args, i) for i in (0, 2, 4))
        held, into = b.gep(held, [args[1]]), b.gep(into, [args[5]])
        with cgutils.for_range(b, args[3], intp=_WORD) as loop:
            source = b.gep(asked, [b.mul(loop.index, _WORD(2 * BITS))])
            added = []
            for bit in range(BITS):
                cell = b.load(b.gep(held, [b.load(b.gep(source, [_WORD(2 * bit)]))]))
                drive = b.trunc(b.load(b.gep(source, [_WORD(2 * bit + 1)])), _SHORT)
                added.append(everywhere(b, b.mul(cell, drive), _VECTOR))
            low = ir.Constant(_VECTOR, [_SHORT(0)] * _AT_ONCE)
            for bit, each in enumerate(added[:-1]):
                shown = [ir.IntType(1)(lane >> bit & 1) for lane in range(_AT_ONCE)]
                mask = ir.Constant(ir.VectorType(ir.IntType(1), _AT_ONCE), shown)
                low = b.select(mask, b.add(low, each), low)
            table = b.gep(into, [b.mul(loop.index, _WORD(COLUMNS * ENTRIES))])
            _store(b, low, table, 0)
            _store(b, b.add(low, added[-1]), table, _AT_ONCE)
        return context.get_dummy_value()

    return types.void(cells, row, sources, count, tables, at), generate


def _look_up_typed(_: Any, tables: Any, index: Any, place: Any, count: Any, currents: Any) -> Any:
    assert all(array.dtype == types.uint16 for array in (tables, currents))
    assert index.dtype == types.uint8

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b = builder
        held, asked, into = (pointer(context, b, signature, args, i) for i in (0, 1, 4))
        asked = b.gep(asked, [args[2]])
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        permute = cgutils.get_or_insert_function(b.module, kind, _LOOK_UP)
        zero = ir.Constant(_VECTOR, [_SHORT(0)] * _AT_ONCE)
        places = range(0, LANES, _AT_ONCE)
        totals = {
            (column, lane): cgutils.alloca_once_value(b, zero)
            for column in range(COLUMNS) for lane in places
        }  # fmt: skip
        with cgutils.for_range(b, args[3], intp=_WORD) as loop:
            row = b.gep(asked, [b.mul(loop.index, _WORD(LANES))])
            table = b.gep(held, [b.mul(loop.index, _WORD(COLUMNS * ENTRIES))])
            seen = {lane: _index(b, row, lane) for lane in places}
            for column in range(COLUMNS):
                low = _load(b, table, column * ENTRIES)
                high = _load(b, table, column * ENTRIES + _AT_ONCE)
                for lane in places:
                    total = totals[column, lane]
                    b.store(b.add(b.load(total), b.call(permute, [low, seen[lane], high])), total)
        for (column, lane), total in totals.items():
            _store(b, b.load(total), into, column * LANES + lane)
        return context.get_dummy_value()

    return types.void(tables, index, place, count, currents), generate


_filled: Any = intrinsic(_fill_typed)
_looked_up: Any = intrinsic(_look_up_typed)


def _index(builder: Any, row: Any, lane: int) -> Any:
    kind = ir.VectorType(ir.IntType(8), _AT_ONCE)
    at = builder.bitcast(builder.gep(row, [_WORD(lane)]), kind.as_pointer())
    return builder.zext(builder.load(at, align=1), _VECTOR)


def _load(builder: Any, start: Any, at: int) -> Any:
    where = builder.gep(start, [_WORD(at)])
    return builder.load(builder.bitcast(where, _VECTOR.as_pointer()), align=2)


def _store(builder: Any, value: Any, start: Any, at: int) -> None:
    where = builder.gep(start, [_WORD(at)])
    builder.store(value, builder.bitcast(where, _VECTOR.as_pointer()), align=2)
