"""Kernels over bit planes: what lossy converters make of column sums.

Inputs and cells are cut into bits, 32 rows to a word. The sum of a column in one phase is then a
few ANDs and population counts; conversion and shift-and-add follow on the spot. Loops run along
windows, in 32-bit lanes and without shifts by variable amounts, so that compilers make full
vectors of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.simulator.words import popcount

Words = NDArray[np.uint32]
I32 = NDArray[np.int32]
Sums = NDArray[np.signedinteger[Any]]
"""i32 where the sums of a whole neuron fit, else i64."""


@kernel
def pack(drive: NDArray[Any], words: Words) -> None:
    """Cut unsigned ``drive`` ``[rows, windows]`` into ``words`` ``[bits, rows/32, windows]``."""
    bits, _, windows = words.shape
    for row in range(drive.shape[0]):
        at = np.uint32(row % 32)
        values = drive[row]
        for bit in range(bits):
            low = np.uint32(bit)
            into = words[bit, row // 32]
            for n in range(windows):
                value = np.uint32(values[n])
                one = np.uint32(np.uint32(value >> low) & np.uint32(1))
                into[n] = np.uint32(into[n] | np.uint32(one << at))


@kernel
def convert_block(
    words: Words,
    digits: int,
    worth: Sums,
    cells: Words,
    terms: I32,
    ups: Words,
    limits: I32,
    starts: I32,
    gains: Sums,
    unit_gains: Sums,
    out: Sums,
) -> None:
    """Add to ``out`` ``[neurons, windows]`` what the converters of one block contribute.

    Args:
        words: ``[digits × phases, words, windows]`` from :func:`pack`.
        digits: bits of a phase.
        worth: ``[phases]`` what one unit of a phase's sum is worth.
        cells: ``[columns, pairs, 8]`` planes of the cells: two quads of words in each pair.
        terms: ``[pairs, 2, 2]`` digit and first word that each quad of ``cells`` meets.
        ups: ``[pairs, 2]`` what a common one in each quad is worth.
        limits: half, keep, most of a column's converter; the same of the unit column's; -1 where
            errors are wanted and 0 where values are; largest weighted drive without any error;
            largest level of a cell.
        starts: ``[neurons + 1]`` first column of each neuron.
        gains: ``[columns]`` what a column's sum is worth to its neuron.
        unit_gains: ``[neurons]`` what the unit column's sum is worth to each neuron.
        out: result, added to.
    """
    windows = words.shape[2]
    unit = np.zeros(windows, out.dtype)
    active = np.zeros(windows, np.int64)
    dense = np.zeros((digits, words.shape[1], windows), np.uint32)
    part = np.zeros(windows, out.dtype)
    sums = np.zeros(windows, np.int32)
    for phase in range(worth.shape[0]):
        seen = words[phase * digits : (phase + 1) * digits]
        count = drive_unit(seen, limits, worth[phase], unit, active)
        if count == 0:
            continue
        few = count < windows - windows // 4
        if few:
            gather(seen, active[:count], dense)
        for neuron in range(starts.shape[0] - 1):
            first, last = starts[neuron], starts[neuron + 1]
            if first == last:
                continue
            row = part[:count] if few else out[neuron]
            if few:
                row[:] = 0
            for column in range(first, last):
                held = cells[column]
                gain = gains[column] * worth[phase]
                if few:
                    add_column(dense[:, :, :count], held, terms, ups, limits, gain, sums, row)
                else:
                    add_column(seen, held, terms, ups, limits, gain, sums, row)
            if few:
                scatter(row, active[:count], out[neuron])
    if unit.any():
        for neuron in range(unit_gains.shape[0]):
            add_scaled(unit, unit_gains[neuron], out[neuron])


@kernel
def drive_unit(seen: Words, limits: I32, worth: int, unit: Sums, active: NDArray[np.int64]) -> int:
    """Convert the unit column of one phase; list the windows in which any column may err."""
    count = 0
    for n in range(unit.shape[0]):
        driven = np.int64(0)
        for digit in range(seen.shape[0]):
            for word in range(seen.shape[1]):
                driven += np.int64(popcount(seen[digit, word, n])) << digit
        if driven * limits[8] > limits[7]:
            active[count] = n
            count += 1
        code = min(np.int64((driven + limits[3]) & limits[4]), np.int64(limits[5]))
        unit[n] += np.int64(code - (driven & limits[6])) * worth
    return count


@kernel
def gather(seen: Words, active: NDArray[np.int64], dense: Words) -> None:
    """Move the words of some windows together."""
    for digit in range(seen.shape[0]):
        for word in range(seen.shape[1]):
            source, into = seen[digit, word], dense[digit, word]
            for i in range(active.shape[0]):
                into[i] = source[active[i]]


@kernel
def scatter(part: Sums, active: NDArray[np.int64], out: Sums) -> None:
    """Add to some windows."""
    for i in range(active.shape[0]):
        out[active[i]] += part[i]


@kernel
def add_scaled(values: Sums, gain: int, out: Sums) -> None:
    """Add a multiple of one vector to another."""
    for n in range(out.shape[0]):
        out[n] += values[n] * gain


@kernel
def add_column(
    seen: Words,
    cells: Words,
    terms: I32,
    ups: Words,
    limits: I32,
    gain: int,
    sums: I32,
    out: Sums,
) -> None:
    """Add one column in one phase to its neuron: all pairs of quads, the last one converted."""
    last = cells.shape[0] - 1
    for pair in range(last):
        add_pair(seen, cells[pair], terms[pair], ups[pair], sums, pair == 0, out.shape[0])
    held, low, high = cells[last], ups[last, 0], ups[last, 1]
    left, right = seen[terms[last, 0, 0]], seen[terms[last, 1, 0]]
    at, to = terms[last, 0, 1], terms[last, 1, 1]
    a, b, c, d = left[at], left[at + 1], left[at + 2], left[at + 3]
    e, f, g, h = right[to], right[to + 1], right[to + 2], right[to + 3]
    half, keep, most, minus = limits[0], limits[1], limits[2], limits[6]
    k0, k1, k2, k3 = held[0], held[1], held[2], held[3]
    k4, k5, k6, k7 = held[4], held[5], held[6], held[7]
    if last == 0:
        for n in range(out.shape[0]):
            one = ones(a[n] & k0, b[n] & k1, c[n] & k2, d[n] & k3)
            two = ones(e[n] & k4, f[n] & k5, g[n] & k6, h[n] & k7)
            total = weigh(one, low, two, high)
            code = min(np.int32(np.int32(total + half) & keep), most)
            out[n] += np.int32(code - np.int32(total & minus)) * gain
    else:
        for n in range(out.shape[0]):
            one = ones(a[n] & k0, b[n] & k1, c[n] & k2, d[n] & k3)
            two = ones(e[n] & k4, f[n] & k5, g[n] & k6, h[n] & k7)
            total = np.int32(sums[n] + weigh(one, low, two, high))
            code = min(np.int32(np.int32(total + half) & keep), most)
            out[n] += np.int32(code - np.int32(total & minus)) * gain


@kernel
def add_pair(
    seen: Words, cells: Words, terms: I32, ups: Words, sums: I32, first: bool, count: int
) -> None:
    """Add one pair of quads to a column's sums, or begin them."""
    low, high = ups[0], ups[1]
    left, right = seen[terms[0, 0]], seen[terms[1, 0]]
    at, to = terms[0, 1], terms[1, 1]
    a, b, c, d = left[at], left[at + 1], left[at + 2], left[at + 3]
    e, f, g, h = right[to], right[to + 1], right[to + 2], right[to + 3]
    k0, k1, k2, k3 = cells[0], cells[1], cells[2], cells[3]
    k4, k5, k6, k7 = cells[4], cells[5], cells[6], cells[7]
    if first:
        sums[:count] = 0
    for n in range(count):
        one = ones(a[n] & k0, b[n] & k1, c[n] & k2, d[n] & k3)
        two = ones(e[n] & k4, f[n] & k5, g[n] & k6, h[n] & k7)
        sums[n] = np.int32(sums[n] + weigh(one, low, two, high))


@kernel
def ones(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32) -> np.uint32:
    """Return the number of ones in four words."""
    left = np.uint32(popcount(np.uint32(a)) + popcount(np.uint32(b)))
    return np.uint32(left + np.uint32(popcount(np.uint32(c)) + popcount(np.uint32(d))))


@kernel
def weigh(left: np.uint32, low: np.uint32, right: np.uint32, high: np.uint32) -> np.int32:
    """Return a weighted sum of two counts."""
    return np.int32(np.uint32(np.uint32(left * low) + np.uint32(right * high)))
