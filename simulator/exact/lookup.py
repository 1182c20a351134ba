"""Table look-ups in whole vectors: the heart of the crossbar kernels.

A byte permutation looks up as many bytes at once as a vector holds: 64 in tables of 64 entries
with AVX-512 VBMI, else 16 to 64 in tables of 16 (SSSE3, AVX2, AVX-512 BW, NEON).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from neutrams.simulator.exact.collect import (
    COLUMNS,
    I64,
    LANES,
    Bytes,
    Converter,
    Counts,
    Pending,
    cgutils,
    collect,
    pointer,
)

_BYTE, _WORD = ir.IntType(8), ir.IntType(64)


class Unit(NamedTuple):
    """How a processor looks up bytes."""

    width: int
    """Bytes of a vector."""
    bits: int
    """Bits of an index: a table has ``2^bits`` entries."""
    columns: int
    """Columns whose sums are held in registers at once."""
    instruction: str
    """LLVM's name for it, table first; empty where there is none."""


_BY_FEATURE = {
    "+avx512vbmi": Unit(64, 6, 4, "llvm.x86.avx512.permvar.qi.512"),
    "+avx512bw": Unit(64, 4, 4, "llvm.x86.avx512.pshuf.b.512"),
    "+avx2": Unit(32, 4, 2, "llvm.x86.avx2.pshuf.b"),
    "+ssse3": Unit(16, 4, 2, "llvm.x86.ssse3.pshuf.b.128"),
    "+neon": Unit(16, 4, 4, "llvm.aarch64.neon.tbl1.v16i8"),
}
_PLAIN = Unit(16, 4, 1, "")


@cache
def processor() -> frozenset[str]:
    """Return the features, named as LLVM does, of the processor that Numba compiles for."""
    registry: Any = import_module("numba.core.registry")
    triple, _, features = registry.cpu_target.target_context.codegen().magic_tuple()
    arm = triple.startswith(("aarch64", "arm64"))
    return frozenset({"+neon"} if arm else features.split(","))


@cache
def unit() -> Unit:
    """Return how that processor looks up bytes."""
    return next((found for name, found in _BY_FEATURE.items() if name in processor()), _PLAIN)


def add_looked_up(
    tables: Bytes,
    chunk: int,
    first: int,
    index: Bytes,
    tile: int,
    phase: int,
    start: int,
    count: int,
    sums: Bytes,
) -> None:
    """Write into ``sums`` ``[COLUMNS, LANES]`` what ``count`` groups of rows add up to.

    Group g looks up ``index[tile, phase, start + g]`` ``[LANES]`` in ``tables[chunk, first + g]``
    ``[COLUMNS, entries]``. No sum may pass 255.
    """
    sums[:] = 0
    for group in range(count):
        sums += tables[chunk, first + group][:, index[tile, phase, start + group]]


def add_driven(tables: Bytes, index: Bytes, tile: int, phase: int, sums: Bytes) -> None:
    """Write into ``sums`` ``[1, LANES]`` what all groups add up to in the first column."""
    sums[:] = 0
    for group in range(index.shape[2]):
        sums += tables[0, group, :1, index[tile, phase, group]].T


def add_converted(
    tables: Bytes,
    chunk: int,
    index: Bytes,
    tile: int,
    half: int,
    keep: int,
    least: int,
    most: int,
    errors: bool,
    digit: int,
    together: int,
    driven: I64,
    reach: int,
    held: Counts,
) -> None:
    """Look up and :func:`~neutrams.simulator.exact.collect.collect` columns of one part.

    Does so for every phase of ``digit`` bits with ``driven[phase] > reach``. A byte holds what
    converters make of ``together`` phases, each counted twice as much as the one before; with
    digits of more than one bit, that is 1.
    """
    sums = np.empty((COLUMNS, LANES), np.uint8)
    for phase in range(index.shape[1]):
        if driven[phase] > reach:
            add_looked_up(tables, chunk, 0, index, tile, phase, 0, index.shape[2], sums)
            collect(sums, half, keep, least, most, errors, 1 << phase * digit, held)


@overload(add_looked_up)
def _add_looked_up(
    tables: Any, chunk: Any, first: Any, index: Any, tile: Any, phase: Any, start: Any, count: Any,
    sums: Any,
) -> Callable[..., None]:  # fmt: skip
    def run(
        tables: Any, chunk: Any, first: Any, index: Any, tile: Any, phase: Any, start: Any,
        count: Any, sums: Any,
    ) -> None:  # fmt: skip
        table = (chunk * tables.shape[1] + first) * tables.shape[2] * tables.shape[3]
        place = ((tile * index.shape[1] + phase) * index.shape[2] + start) * index.shape[3]
        _stored(tables, table, index, place, count, sums)

    return run


@overload(add_driven)
def _add_driven(
    tables: Any, index: Any, tile: Any, phase: Any, sums: Any
) -> Callable[..., None]:  # fmt: skip
    def run(tables: Any, index: Any, tile: Any, phase: Any, sums: Any) -> None:
        place = (tile * index.shape[1] + phase) * index.shape[2] * index.shape[3]
        _stored_one(tables, 0, index, place, index.shape[2], sums)

    return run


@overload(add_converted)
def _add_converted(
    tables: Any, chunk: Any, index: Any, tile: Any, half: Any, keep: Any, least: Any, most: Any,
    errors: Any, digit: Any, together: Any, driven: Any, reach: Any, held: Any,
) -> Callable[..., None]:  # fmt: skip
    def run(
        tables: Any, chunk: Any, index: Any, tile: Any, half: Any, keep: Any, least: Any,
        most: Any, errors: Any, digit: Any, together: Any, driven: Any, reach: Any, held: Any,
    ) -> None:  # fmt: skip
        table = chunk * tables.shape[1] * tables.shape[2] * tables.shape[3]
        place = tile * index.shape[1] * index.shape[2] * index.shape[3]
        _collected(
            tables, table, index, place, index.shape[1], index.shape[2], half, keep, least, most,
            errors, digit, together, driven, reach, held,
        )  # fmt: skip

    return run


def _into_sums(
    _: Any, tables: Any, table: Any, index: Any, place: Any, count: Any, sums: Any
) -> Any:
    return _first_into_sums(COLUMNS, tables, table, index, place, count, sums)


def _one_into_sums(
    _: Any, tables: Any, table: Any, index: Any, place: Any, count: Any, sums: Any
) -> Any:
    return _first_into_sums(1, tables, table, index, place, count, sums)


def _first_into_sums(
    columns: int, tables: Any, table: Any, index: Any, place: Any, count: Any, sums: Any
) -> Any:
    assert all(array.dtype == types.uint8 for array in (tables, index, sums))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        held, row, whole = (pointer(context, builder, signature, args, at) for at in (0, 2, 5))

        def store(total: Any, place: int) -> None:
            at = builder.gep(whole, [_WORD(place)])
            builder.store(total, builder.bitcast(at, total.type.as_pointer()), align=1)

        emitter = _Emitter(builder, unit(), store, columns)
        emitter.emit(builder.gep(held, [args[1]]), builder.gep(row, [args[3]]), args[4])
        return context.get_dummy_value()

    return types.void(tables, table, index, place, count, sums), generate


def _into_held(
    _: Any, tables: Any, table: Any, index: Any, place: Any, phases: Any, count: Any,
    half: Any, keep: Any, least: Any, most: Any, errors: Any, digit: Any, together: Any,
    driven: Any, reach: Any, held: Any,
) -> Any:  # fmt: skip
    assert all(array.dtype == types.uint8 for array in (tables, index))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tables, row, sums, into = (
            pointer(context, builder, signature, args, at) for at in (0, 2, 13, 15)
        )
        tables, row = builder.gep(tables, [args[1]]), builder.gep(row, [args[3]])
        converter = Converter(builder, args[6:10], args[10])
        pending = Pending(builder, ir.VectorType(_BYTE, unit().width))
        with cgutils.for_range(builder, args[4], intp=_WORD) as loop:
            phase = builder.sub(builder.sub(args[4], _WORD(1)), loop.index)
            driven = builder.load(builder.gep(sums, [phase]))
            pending.double()
            with builder.if_then(builder.icmp_signed(">", driven, args[14])):
                first = builder.mul(phase, builder.mul(args[5], _WORD(LANES)))

                def convert(total: Any, place: int) -> None:
                    pending.add(converter.given(total), place)

                _Emitter(builder, unit(), convert).emit(tables, builder.gep(row, [first]), args[5])
            whole = builder.icmp_unsigned("==", builder.urem(phase, args[12]), _WORD(0))
            with builder.if_then(whole):
                worth = builder.shl(_WORD(1), builder.mul(phase, args[11]))
                pending.move(worth, into)
        return context.get_dummy_value()

    every = (
        tables, table, index, place, phases, count, half, keep, least, most, errors, digit,
        together, driven, reach, held,
    )  # fmt: skip
    return types.void(*every), generate


_stored: Any = intrinsic(_into_sums)
_stored_one: Any = intrinsic(_one_into_sums)
_collected: Any = intrinsic(_into_held)


class _Emitter:
    """Writes loops over groups, as many columns and windows at once as registers hold."""

    def __init__(
        self, builder: Any, unit: Unit, use: Callable[[Any, int], None], columns: int = COLUMNS
    ) -> None:
        self._builder = builder
        self._unit = unit
        self._columns = columns
        self._use = use  # what becomes of a vector of sums, and their place
        self._entries = 2**unit.bits
        self._vector = ir.VectorType(_BYTE, unit.width)

    def emit(self, tables: Any, index: Any, count: Any) -> None:
        wide = min(LANES, 8 // self._unit.columns * self._unit.width)
        at_once = min(self._columns, self._unit.columns)
        for column in range(0, self._columns, at_once):
            for lane in range(0, LANES, wide):
                self._block(
                    self._ahead(tables, column * self._entries),
                    self._ahead(index, lane),
                    count,
                    column * LANES + lane,
                    (at_once, wide // self._unit.width),
                )

    def _block(
        self, tables: Any, index: Any, count: Any, first: int, held: tuple[int, int]
    ) -> None:
        b, width = self._builder, self._unit.width
        zero = ir.Constant(self._vector, [_BYTE(0)] * width)
        columns, vectors = held
        totals = [
            [cgutils.alloca_once_value(b, zero) for _ in range(vectors)] for _ in range(columns)
        ]
        with cgutils.for_range(b, count, intp=_WORD) as loop:
            row = b.gep(index, [b.mul(loop.index, _WORD(LANES))])
            these = b.gep(tables, [b.mul(loop.index, _WORD(COLUMNS * self._entries))])
            places = [self._load(self._ahead(row, v * width)) for v in range(vectors)]
            for column, part in enumerate(totals):
                look_up = self._table(self._ahead(these, column * self._entries))
                for total, place in zip(part, places, strict=True):
                    b.store(b.add(b.load(total), look_up(place)), total)
        for column, part in enumerate(totals):
            for v, total in enumerate(part):
                self._use(b.load(total), first + column * LANES + v * width)

    def _table(self, at: Any) -> Callable[[Any], Any]:
        """Return what looks up a vector of places in the table that lies at an address."""
        b, vector = self._builder, self._vector
        if not self._unit.instruction:
            return lambda place: self._one_by_one(at, place)
        kind = ir.FunctionType(vector, [vector, vector])
        function = cgutils.get_or_insert_function(b.module, kind, self._unit.instruction)
        table = self._load(at, min(self._entries, self._unit.width))
        if table.type != vector:
            lanes = [i % self._entries for i in range(self._unit.width)]
            order = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
            table = b.shuffle_vector(table, ir.Constant(table.type, ir.Undefined), order)
        return lambda place: b.call(function, [table, place])

    def _one_by_one(self, at: Any, places: Any) -> Any:
        b = self._builder
        found = ir.Constant(self._vector, ir.Undefined)
        for lane in range(self._unit.width):
            where = b.zext(b.extract_element(places, ir.IntType(32)(lane)), _WORD)
            found = b.insert_element(found, b.load(b.gep(at, [where])), ir.IntType(32)(lane))
        return found

    def _ahead(self, pointer: Any, offset: int) -> Any:
        return self._builder.gep(pointer, [_WORD(offset)])

    def _load(self, pointer: Any, width: int = 0) -> Any:
        kind = ir.VectorType(_BYTE, width) if width else self._vector
        return self._builder.load(self._builder.bitcast(pointer, kind.as_pointer()), align=1)
