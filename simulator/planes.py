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
    worth: NDArray[np.int64],
    cells: Words,
    terms: I32,
    ups: Words,
    limits: I32,
    starts: I32,
    gains: NDArray[np.int64],
    unit_gains: NDArray[np.int64],
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
    unit = np.zeros((1, windows), out.dtype)
    active = np.zeros(windows, np.int64)
    dense = np.zeros((digits, words.shape[1], windows), np.uint32)
    part = np.zeros(windows, out.dtype)
    sums = np.zeros(windows, np.int32)
    for phase in range(worth.shape[0]):
        bit = phase * digits
        count = drive_unit(words, bit, digits, limits, worth[phase], unit, active)
        if count == 0:
            continue
        if count < windows - windows // 4:
            gather(words, bit, active, count, dense)
            add_phase(
                dense, 0, cells, terms, ups, limits, starts, gains, worth[phase], sums, part,
                active, count, out,
            )  # fmt: skip
        else:
            add_phase(
                words, bit, cells, terms, ups, limits, starts, gains, worth[phase], sums, part,
                active, windows, out,
            )  # fmt: skip
    if unit.any():
        for neuron in range(unit_gains.shape[0]):
            for n in range(windows):
                out[neuron, n] += unit[0, n] * unit_gains[neuron]


@kernel
def drive_unit(
    words: Words,
    bit: int,
    digits: int,
    limits: I32,
    worth: int,
    unit: Sums,
    active: NDArray[np.int64],
) -> int:
    """Convert the unit column of one phase; list the windows in which any column may err."""
    count = 0
    for n in range(words.shape[2]):
        driven = np.int64(0)
        for digit in range(digits):
            for word in range(words.shape[1]):
                driven += np.int64(popcount(words[bit + digit, word, n])) << digit
        if driven * limits[8] > limits[7]:
            active[count] = n
            count += 1
        code = min(np.int64((driven + limits[3]) & limits[4]), np.int64(limits[5]))
        unit[0, n] += np.int64(code - (driven & limits[6])) * worth
    return count


@kernel
def gather(words: Words, bit: int, active: NDArray[np.int64], count: int, dense: Words) -> None:
    """Move the words of some windows together."""
    for digit in range(dense.shape[0]):
        for word in range(dense.shape[1]):
            for i in range(count):
                dense[digit, word, i] = words[bit + digit, word, active[i]]


@kernel
def add_phase(
    words: Words,
    bit: int,
    cells: Words,
    terms: I32,
    ups: Words,
    limits: I32,
    starts: I32,
    gains: NDArray[np.int64],
    worth: int,
    sums: I32,
    part: Sums,
    active: NDArray[np.int64],
    count: int,
    out: Sums,
) -> None:
    """Add all columns in one phase to their neurons, for all windows or for the active ones.

    One function, since handing arrays to another costs as much as a short loop.
    """
    last = cells.shape[1] - 1
    half, keep, most, minus = limits[0], limits[1], limits[2], limits[6]
    for neuron in range(starts.shape[0] - 1):
        if starts[neuron] == starts[neuron + 1]:
            continue
        part[:] = 0
        for column in range(starts[neuron], starts[neuron + 1]):
            gain = gains[column] * worth
            if last:
                sums[:] = 0
            for pair in range(last + 1):
                low, high = ups[pair, 0], ups[pair, 1]
                left, at = bit + terms[pair, 0, 0], terms[pair, 0, 1]
                right, to = bit + terms[pair, 1, 0], terms[pair, 1, 1]
                k0, k1 = cells[column, pair, 0], cells[column, pair, 1]
                k2, k3 = cells[column, pair, 2], cells[column, pair, 3]
                k4, k5 = cells[column, pair, 4], cells[column, pair, 5]
                k6, k7 = cells[column, pair, 6], cells[column, pair, 7]
                if pair < last:
                    for n in range(count):
                        a, b = words[left, at, n] & k0, words[left, at + 1, n] & k1
                        c, d = words[left, at + 2, n] & k2, words[left, at + 3, n] & k3
                        e, f = words[right, to, n] & k4, words[right, to + 1, n] & k5
                        g, h = words[right, to + 2, n] & k6, words[right, to + 3, n] & k7
                        total = weigh(ones(a, b, c, d), low, ones(e, f, g, h), high)
                        sums[n] = np.int32(sums[n] + total)
                else:
                    for n in range(count):
                        a, b = words[left, at, n] & k0, words[left, at + 1, n] & k1
                        c, d = words[left, at + 2, n] & k2, words[left, at + 3, n] & k3
                        e, f = words[right, to, n] & k4, words[right, to + 1, n] & k5
                        g, h = words[right, to + 2, n] & k6, words[right, to + 3, n] & k7
                        total = weigh(ones(a, b, c, d), low, ones(e, f, g, h), high)
                        total = np.int32(total + sums[n])
                        code = min(np.int32(np.int32(total + half) & keep), most)
                        part[n] += np.int32(code - np.int32(total & minus)) * gain
        if count == part.shape[0]:
            for n in range(count):
                out[neuron, n] += part[n]
        else:
            for i in range(count):
                out[neuron, active[i]] += part[i]


@kernel
def ones(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32) -> np.uint32:
    """Return the number of ones in four words."""
    left = np.uint32(popcount(np.uint32(a)) + popcount(np.uint32(b)))
    return np.uint32(left + np.uint32(popcount(np.uint32(c)) + popcount(np.uint32(d))))


@kernel
def weigh(left: np.uint32, low: np.uint32, right: np.uint32, high: np.uint32) -> np.int32:
    """Return a weighted sum of two counts."""
    return np.int32(np.uint32(np.uint32(left * low) + np.uint32(right * high)))
