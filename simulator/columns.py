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
from neutrams.simulator.collect import COLUMNS, LANES, Bytes, Counts, collect
from neutrams.simulator.cutting import gather_bits
from neutrams.simulator.lookup import add_converted, add_looked_up

I64 = NDArray[np.int64]
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
        for phase in range(index.shape[1]):
            for group in range(index.shape[2]):
                gather_bits(drive, low, sources, group, phase * digit, index, tile, phase)


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
def join(sums: Bytes, parts: I64, total: Counts) -> None:
    """Write into ``total`` ``[1, COLUMNS, LANES]`` what the parts of each column add up to."""
    kind = total.dtype.type
    total[:] = 0
    for part in range(parts.shape[0]):
        worth = kind(1 << parts[part, 3])
        for column in range(COLUMNS):
            for n in range(LANES):
                more = kind(kind(sums[part, column, n]) * worth)
                total[0, column, n] = kind(total[0, column, n] + more)


@kernel
def convert(
    index: Bytes,
    tables: Bytes,
    parts: I64,
    limits: I64,
    errors: bool,
    digit: int,
    reach: I64,
    neurons: I64,
    gains: I64,
    unit_gains: I64,
    held: Counts,
    first: int,
    out: Sums,
) -> None:
    """Add to ``out`` ``[neurons, windows]`` what the converters of one block contribute.

    Args:
        index: ``[tiles, phases, groups, LANES]`` from :func:`cut`.
        tables: ``[chunks, groups, COLUMNS, entries]`` from :func:`fill`; the unit column is the
            first of chunk 0, which holds no other.
        parts: ``[parts, 4]`` a column's sum is the sum of its parts: first group in ``index``,
            number of groups, first group in ``tables``, and by how many bits to shift up.
        limits: ``[2, 3]`` half, keep and most of the unit column's converter and the columns'.
        errors: whether to add what converters get wrong, not what they give; then gains are
            those of what they cut off.
        digit: bits of a phase.
        reach: ``[chunks]`` sum of driven digits up to which a chunk contributes nothing.
        neurons: ``[columns]`` that the columns from chunk 1 on belong to.
        gains: ``[columns]`` what a column's sum is worth to its neuron.
        unit_gains: ``[neurons]`` what the unit column's sum is worth to each neuron.
        held: ``[COLUMNS, LANES]`` scratch.
        first: window with which ``index`` starts.
        out: result, added to.
    """
    wide = out.dtype.type
    half, keep, most = limits[1, 0], limits[1, 1], limits[1, 2]
    phases = index.shape[1]
    sums = np.empty((parts.shape[0], COLUMNS, LANES), np.uint8)
    total = np.empty((1, COLUMNS, LANES), held.dtype)
    unit = np.empty(LANES, np.int64)
    driven = np.empty(phases, np.int64)
    for tile in range(index.shape[0]):
        low = first + tile * LANES
        count = min(LANES, out.shape[1] - low)
        unit[:] = 0
        for phase in range(phases):
            driven[phase] = 0
            for part in range(parts.shape[0]):
                add_looked_up(
                    tables, 0, parts[part, 2], index, tile, phase, parts[part, 0], parts[part, 1],
                    sums, part,
                )  # fmt: skip
            for n in range(count):
                seen = np.int64(0)
                for part in range(parts.shape[0]):
                    seen += np.int64(sums[part, 0, n]) << parts[part, 3]
                driven[phase] = max(driven[phase], seen)
                code = min((seen + limits[0, 0]) & limits[0, 1], limits[0, 2])
                unit[n] += (code - seen if errors else code) << phase * digit
        for neuron in range(unit_gains.shape[0]):
            gain = unit_gains[neuron]
            if gain:
                into = out[neuron, low : low + count]
                for n in range(count):
                    into[n] += unit[n] * gain
        for chunk in range(1, tables.shape[0]):
            held[:] = 0
            for phase in range(phases):
                if driven[phase] <= reach[chunk]:
                    continue
                worth = np.int64(1 << phase * digit)
                if parts.shape[0] == 1:
                    add_converted(
                        tables, chunk, parts[0, 2], index, tile, phase, parts[0, 0], parts[0, 1],
                        half, keep, most, errors, worth, held,
                    )  # fmt: skip
                    continue
                for part in range(parts.shape[0]):
                    add_looked_up(
                        tables, chunk, parts[part, 2], index, tile, phase, parts[part, 0],
                        parts[part, 1], sums, part,
                    )  # fmt: skip
                join(sums, parts, total)
                collect(total, half, keep, most, errors, worth, held)
            for column in range(COLUMNS):
                at = (chunk - 1) * COLUMNS + column
                neuron, gain = neurons[at], wide(gains[at])
                if gain:
                    into = out[neuron, low : low + count]
                    for n in range(count):
                        into[n] += wide(wide(held[column, n]) * gain)
