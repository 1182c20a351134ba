"""Kernels for column sums: what lossy converters make of them.

A group is a handful of input bits, one for each bit of a table's index. In one phase its index
says which of its rows are driven, and a table for each column what that adds to the column's sum.
Indices are cut once and serve all columns; tables serve all windows and phases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.simulator.exact.collect import COLUMNS, I64, LANES, Bytes, Counts, collect
from neutrams.simulator.exact.cutting import gather_bits
from neutrams.simulator.exact.lookup import add_converted, add_driven, add_looked_up

Sums = NDArray[np.signedinteger[Any]]
"""i32 where the sums of a whole neuron fit, else i64."""


@kernel
def cut(drive: Counts, first: int, sources: I64, digit: int, index: Bytes) -> None:
    """Cut unsigned ``drive`` ``[rows, windows]`` into ``index`` ``[tiles, phases, groups, LANES]``.

    Args:
        drive: one unsigned number for each row and window; windows to fill all tiles.
        first: window with which ``index`` starts.
        sources: ``[groups, bits, 2]`` row, and bit of its digit as a power of two, that each bit
            of an index shows; the power is 0 where it shows none.
        digit: bits of a phase.
        index: result.
    """
    for tile in range(index.shape[0]):
        low = first + tile * LANES
        for group in range(index.shape[2]):  # whose few rows stay in the first-level cache
            for phase in range(index.shape[1]):
                gather_bits(drive, low, sources, group, phase * digit, index, tile, phase)


@kernel
def busiest(drive: Counts, first: int, digit: int, driven: I64) -> None:
    """Write the largest sum of digits in each phase, among up to LANES windows from one on."""
    top = drive.dtype.type((1 << digit) - 1)
    sums = np.empty(LANES, np.int32)
    count = min(LANES, drive.shape[1] - first)
    for phase in range(driven.shape[0]):
        sums[:] = 0
        up = drive.dtype.type(phase * digit)
        for row in range(drive.shape[0]):
            seen = drive[row, first : first + count]
            for n in range(count):
                sums[n] += np.int32(drive.dtype.type(seen[n] >> up) & top)
        driven[phase] = sums.max()


@kernel
def fill(weights: Bytes, tables: Bytes) -> None:
    """Write what each index adds up to.

    Args:
        weights: ``[columns, groups, bits]`` what each bit of an index adds to a column.
        tables: ``[chunks, groups, COLUMNS, entries]`` result.
    """
    for column in range(weights.shape[0]):
        for group in range(weights.shape[1]):
            into = tables[column // COLUMNS, group, column % COLUMNS]
            into[0] = 0
            for place in range(weights.shape[2]):
                size = 1 << place
                for entry in range(size):
                    into[size + entry] = into[entry] + weights[column, group, place]


@kernel
def add_in_parts(
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
    driven: I64,
    reach: int,
    parts: I64,
    sums: Bytes,
    total: Counts,
    held: Counts,
) -> None:
    """Do what :func:`add_converted` does where sums have parts; chunk 0 finds ``driven``."""
    base = 0
    for part in range(parts.shape[0]):
        base += parts[part, 4] << parts[part, 3]
    for phase in range(index.shape[1]):
        if chunk and driven[phase] <= reach:
            continue
        total[:] = 0
        for part in range(parts.shape[0]):
            add_looked_up(
                tables, chunk, parts[part, 2], index, tile, phase, parts[part, 0],
                parts[part, 1], sums,
            )  # fmt: skip
            collect(sums, parts[part, 4], -1, 0, 255, False, 1 << parts[part, 3], total)
        collect(total, half - base, keep, least, most, errors, 1 << phase * digit, held)
        if not chunk:
            driven[phase] = np.int64(total[0].max()) - base


@kernel
def add_unit(
    tables: Bytes,
    index: Bytes,
    tile: int,
    half: int,
    keep: int,
    least: int,
    most: int,
    errors: bool,
    digit: int,
    driven: I64,
    sums: Bytes,
    held: Counts,
) -> None:
    """Do what :func:`add_in_parts` does for a unit column of one part; find ``driven``."""
    for phase in range(index.shape[1]):
        add_driven(tables, index, tile, phase, sums)
        collect(sums, half, keep, least, most, errors, 1 << phase * digit, held)
        driven[phase] = sums.max()


@kernel
def add_up(held: Counts, columns: I64, neurons: I64, gains: I64, whole: Sums) -> None:
    """Add ``gains`` times columns of ``held`` to neurons ``[neurons, LANES]``."""
    wide = whole.dtype.type
    for at in range(columns.shape[0]):
        column, row, gain = columns[at], neurons[at], wide(gains[at])
        if gain:
            for n in range(LANES):
                whole[row, n] += wide(wide(held[column, n]) * gain)


@kernel
def take_off(zeros: I64, driven: I64, digit: int, whole: Sums) -> None:
    """Take ``zeros`` off neurons ``[neurons, LANES]`` in each phase that drives any row."""
    worth = 0
    for phase in range(driven.shape[0]):
        if driven[phase] > 0:
            worth += 1 << phase * digit
    for neuron in range(zeros.shape[0]):
        if zeros[neuron]:
            whole[neuron] -= whole.dtype.type(zeros[neuron] * worth)


@kernel
def add_to(whole: Sums, low: int, out: Sums) -> None:
    """Add the windows of a tile to those of ``out`` from ``low`` on, as many as there are."""
    for neuron in range(out.shape[0]):
        into = out[neuron, low : low + LANES]
        for n in range(into.shape[0]):
            into[n] += whole[neuron, n]


@kernel
def convert(
    index: Bytes,
    tables: Bytes,
    parts: I64,
    limits: I64,
    errors: bool,
    digit: int,
    together: int,
    reach: I64,
    neurons: I64,
    gains: I64,
    unit_gains: I64,
    zeros: I64,
    scratch: Counts,
    first: int,
    out: Sums,
) -> None:
    """Add to ``out`` ``[neurons, windows]`` what the converters of one block contribute.

    Args:
        index: ``[tiles, phases, groups, LANES]`` from :func:`cut`.
        tables: ``[chunks, groups, COLUMNS, entries]`` from :func:`fill`; the unit column is the
            first of chunk 0, which holds no other.
        parts: ``[parts, 5]`` a column's sum is the sum of its parts: first group in ``index``,
            number of groups, first group in ``tables``, by how many bits to shift up, and what
            makes it 0 or more.
        limits: ``[chunks, 4]`` half, keep, least and most of converters; where sums have a sign,
            half makes them 0 or more.
        errors: whether to add what converters cut off, not what they give.
        digit: bits of a phase.
        together: phases that a byte holds; see :func:`add_converted`.
        reach: ``[chunks]`` sum of driven digits up to which a chunk contributes nothing.
        neurons: ``[columns]`` that the columns from chunk 1 on belong to.
        gains: ``[columns]`` what a column's sum is worth to its neuron.
        unit_gains: ``[neurons]`` what the unit column's sum is worth to each neuron.
        zeros: ``[neurons]`` what each has in a phase where nothing is driven.
        scratch: ``[2, COLUMNS, LANES]`` of a type that holds what a column gives in all phases.
        first: window with which ``index`` starts.
        out: result, added to.
    """
    driven = np.empty(index.shape[1], np.int64)
    each, every = np.arange(COLUMNS), np.arange(unit_gains.shape[0])
    alone = np.zeros_like(every)
    whole = np.empty((out.shape[0], LANES), out.dtype)
    held, total = scratch[0], scratch[1]
    sums = np.empty_like(held, np.uint8)
    for tile in range(index.shape[0]):
        whole[:] = 0
        for chunk in range(tables.shape[0]):
            held[:] = 0
            half, keep = limits[chunk, 0], limits[chunk, 1]
            least, most = limits[chunk, 2], limits[chunk, 3]
            if not chunk and parts.shape[0] == 1:
                add_unit(
                    tables, index, tile, half, keep, least, most, errors, digit, driven, sums[:1],
                    held[:1],
                )  # fmt: skip
            elif parts.shape[0] == 1:
                add_converted(
                    tables, chunk, index, tile, half, keep, least, most, errors, digit, together,
                    driven, reach[chunk], held,
                )  # fmt: skip
            else:
                add_in_parts(
                    tables, chunk, index, tile, half, keep, least, most, errors, digit, driven,
                    reach[chunk], parts, sums, total, held,
                )  # fmt: skip
            if not chunk:
                add_up(held, alone, every, unit_gains, whole)
                take_off(zeros, driven, digit, whole)
                continue
            these = slice((chunk - 1) * COLUMNS, chunk * COLUMNS)
            add_up(held, each, neurons[these], gains[these], whole)
        add_to(whole, first + tile * LANES, out)


@kernel
def cut_and_convert(
    drive: Counts,
    first: int,
    sources: I64,
    index: Bytes,
    tables: Bytes,
    parts: I64,
    limits: I64,
    errors: bool,
    digit: int,
    together: int,
    reach: I64,
    neurons: I64,
    gains: I64,
    unit_gains: I64,
    zeros: I64,
    scratch: Counts,
    out: Sums,
) -> None:
    """Do :func:`cut` and :func:`convert` for all whole tiles of ``drive``, some at a time.

    Its windows are those of ``out`` from ``first`` on; ``index`` has room for the tiles.
    """
    whole = drive.shape[1] // LANES
    for tile in range(0, whole, index.shape[0]):
        some = index[: min(index.shape[0], whole - tile)]
        low = tile * LANES
        cut(drive, low, sources, digit, some)
        convert(
            some, tables, parts, limits, errors, digit, together, reach, neurons, gains,
            unit_gains, zeros, scratch, first + low, out,
        )  # fmt: skip
