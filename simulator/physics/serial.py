"""Arrays whose inputs come bit by bit, read by table look-ups; see :mod:`.tables`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.ir.types import Array
from neutrams.simulator.exact.collect import COLUMNS, LANES, Bytes, Counts
from neutrams.simulator.exact.columns import cut
from neutrams.simulator.exact.converters import filled_up
from neutrams.simulator.exact.layout import aligned
from neutrams.simulator.physics.normals import Floats, Ids, fill_normals
from neutrams.simulator.physics.readout import I64, Doubles
from neutrams.simulator.physics.rounding import Rounded
from neutrams.simulator.physics.tables import BITS, ENTRIES, Words, fill, look_up

_INDEX_BYTES = 384 << 10
"""Indices to cut at a time: they stay in the second-level cache."""

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Serial:
    """What the kernel reads of an array; columns stand as in :class:`.array.Analog`."""

    cells: Rounded
    squares: Rounded
    """Variances of reads; no columns where they do not depend on cells."""
    digit: int
    """Bits of a phase."""
    unit: int
    """Unit columns: 0 or 1."""
    steps: Doubles
    """``[2]`` of the converters of unit columns and the others."""
    bottom: int
    top: int
    adc: tuple[Floats, Floats, Floats]
    neurons: I64
    worth: Doubles
    unit_worth: Doubles

    def read(self, drive: Array, noise: Array, ids: Ids, keys: I64) -> Array:
        """Return ``[neurons, places]``, what phases and columns add up to.

        Args:
            drive: ``[rows, places]`` unsigned.
            noise: ``[2, phases, places]`` σ of unit columns and the others, or variances where
                cells add theirs; no phases where there is none.
            ids: ``[places]``.
            keys: ``[phases, groups]`` for each ``COLUMNS`` columns, the unit column on its own.
        """
        places = drive.shape[1]
        tiles = -(-places // LANES)
        whole = tiles * LANES
        if places < whole:
            drive, ids = filled_up(drive, whole), filled_up(ids[None], whole)[0]
            noise = np.pad(noise, ((0, 0), (0, 0), (0, whole - places)))
        total = np.zeros((len(self.unit_worth), whole))
        sources = _sources(len(drive), self.digit)
        each = keys.shape[0] * len(sources) * LANES
        most = min(tiles, max(1, _INDEX_BYTES // each))
        index = aligned((most, keys.shape[0], len(sources), LANES))
        tables = aligned((2, len(sources), COLUMNS, ENTRIES), np.uint16)
        for first in range(0, tiles, most):
            now = index[: min(most, tiles - first)]
            cut(drive, first * LANES, sources, self.digit, now)
            read_columns(
                now, first * LANES, *self.cells, *self.squares, sources, tables, self.digit,
                self.unit, noise, ids, keys, self.steps, self.bottom, self.top, *self.adc,
                self.neurons, self.worth, self.unit_worth, total,
            )  # fmt: skip
        return total[:, :places]


@cache
def _sources(rows: int, digit: int) -> I64:
    """Return ``[groups, BITS, 2]``: the row and bit of its digit that each bit of an index is."""
    groups = -(-rows * digit // BITS)
    found = np.zeros((groups * BITS, 2), np.int64)
    row, bit = np.divmod(np.arange(rows * digit), digit)
    found[: rows * digit] = np.stack([row, 1 << bit], axis=1)
    return found.reshape(groups, BITS, 2)


@kernel
def driven_squares(drive: Counts, digit: int, out: Ints) -> None:
    """Write the sum of squares of digits over rows, ``[phases, places]``."""
    top = np.int32((1 << digit) - 1)
    out[:] = 0
    for row in range(drive.shape[0]):
        seen = drive[row]
        for phase in range(out.shape[0]):
            into, up = out[phase], np.int32(phase * digit)
            for n in range(into.shape[0]):
                held = (np.int32(seen[n]) >> up) & top
                into[n] += held * held


@kernel
def read_columns(
    index: Bytes,
    first: int,
    cells: Words,
    fine: Floats,
    squares: Words,
    fine_squares: Floats,
    sources: I64,
    tables: Words,
    digit: int,
    unit: int,
    noise: Floats,
    ids: Ids,
    keys: I64,
    steps: Doubles,
    bottom: int,
    top: int,
    gain: Floats,
    offset: Floats,
    bow: Floats,
    neurons: I64,
    worth: Doubles,
    unit_worth: Doubles,
    total: Doubles,
) -> None:
    """Add to ``total`` what every column gives; arguments as in :class:`Serial`.

    ``index`` ``[tiles, phases, groups, LANES]`` starts with the place ``first``; ``tables``
    ``[2, groups, COLUMNS, ENTRIES]`` is scratch.
    """
    looked_up = np.empty((COLUMNS, LANES), np.uint16)
    current = looked_up.view(cells.dtype)
    sigma, z = np.zeros((COLUMNS, LANES), np.float32), np.zeros((COLUMNS, LANES), np.float32)
    held = np.empty((COLUMNS, LANES), np.float32)
    for group in range(keys.shape[1]):
        kind = 0 if group < unit else 1
        low = 0 if group < unit else unit + (group - unit) * COLUMNS
        count = 1 if group < unit else min(COLUMNS, cells.shape[0] - low)
        fill(cells, low, sources, tables[0])
        if squares.shape[0]:
            fill(squares, low, sources, tables[1])
        for tile in range(index.shape[0]):
            place = first + tile * LANES
            held[:] = 0
            for phase in range(index.shape[1]):
                if noise.shape[1]:
                    fill_normals(ids, place, keys[phase, group], z)
                    if squares.shape[0]:
                        look_up(tables[1], index, tile, phase, looked_up)
                    deviate(noise, kind, phase, place, looked_up, fine_squares, low, count, sigma)
                look_up(tables[0], index, tile, phase, looked_up)
                add_codes(
                    current, fine, sigma, z, steps[kind], bottom, top, gain, offset, bow, low,
                    count, np.float32(1 << phase * digit), held,
                )  # fmt: skip
            if group < unit:
                for neuron in range(unit_worth.shape[0]):
                    add_column(held, 0, unit_worth[neuron], neuron, place, total)
                continue
            for column in range(count):
                at = low - unit + column
                add_column(held, column, worth[at], neurons[at], place, total)


@kernel
def deviate(
    noise: Floats, kind: int, phase: int, place: int, squares: Words, fine: Floats, low: int,
    count: int, sigma: Floats,
) -> None:  # fmt: skip
    """Write σ ``[COLUMNS, LANES]`` of currents, whose variance cells add to where ``fine`` is."""
    common = noise[kind, phase, place : place + LANES]
    for column in range(count):
        into = sigma[column]
        if fine.shape[0]:
            seen, unit = squares[column], fine[low + column]
            for n in range(LANES):
                into[n] = np.sqrt(common[n] + np.float32(seen[n]) * unit)
        else:
            for n in range(LANES):
                into[n] = common[n]


@kernel
def add_codes(
    sums: Words, fine: Floats, sigma: Floats, z: Floats, step: float, bottom: int, top: int,
    gain: Floats, offset: Floats, bow: Floats, first: int, count: int, worth: np.float32,
    held: Floats,
) -> None:  # fmt: skip
    """Add to ``held`` ``[COLUMNS, LANES]`` what converters give: see :func:`.readout.convert`."""
    low, full, half, down = (
        np.float32(bottom),
        np.float32(top),
        np.float32(0.5),
        np.float32(1 / step),
    )
    zero, one, four, up = np.float32(0), np.float32(1), np.float32(4), np.float32(step)
    span = full - low
    for column in range(count):
        at_column = first + column
        slope, add, arch = gain[at_column] * down, offset[at_column], four * bow[at_column]
        unit, seen, into = fine[at_column], sums[column], held[column]
        deviation, drawn = sigma[column], z[column]
        if arch == zero:
            for n in range(LANES):
                current = np.float32(seen[n]) * unit + deviation[n] * drawn[n]
                code = np.floor(current * slope + add + half)
                into[n] += min(max(code, low), full) * up * worth
            continue
        for n in range(LANES):
            current = np.float32(seen[n]) * unit + deviation[n] * drawn[n]
            code = current * slope + add
            at = min(max((code - low) / span, zero), one)
            code = np.floor(code + arch * at * (one - at) + half)
            into[n] += min(max(code, low), full) * up * worth


@kernel
def add_column(
    held: Floats, column: int, worth: float, neuron: int, place: int, total: Doubles
) -> None:
    """Add a column to a neuron's places from ``place`` on."""
    seen, into = held[column], total[neuron, place : place + LANES]
    for n in range(LANES):
        into[n] += worth * np.float64(seen[n])
