"""Kernels over bit planes: what lossy converters make of column sums.

Inputs and cells are cut into bits, 32 rows to a word. The sum of a column in one phase is then a
few ANDs and population counts; conversion and shift-and-add follow on the spot. Arithmetic stays
in 32-bit lanes, without shifts by variable amounts, so that compilers make full vectors of it.
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
    worth: I32,
    cells: Words,
    terms: I32,
    ups: Words,
    limits: I32,
    starts: I32,
    neurons: I32,
    gains: Sums,
    unit_gains: Sums,
    out: Sums,
) -> None:
    """Add to ``out`` ``[windows, neurons]`` what the converters of one block contribute.

    Args:
        words: ``[bits, words, windows]`` from :func:`pack`; an even number of phases.
        digits: bits of a phase.
        worth: ``[phases]`` what one unit of a phase's sum is worth.
        cells: ``[pairs, 8, columns]`` planes of the cells: two quads of words in each pair.
        terms: ``[pairs, 2, 2]`` digit and first word that each quad of ``cells`` meets.
        ups: ``[pairs, 2]`` what a common one in each quad is worth.
        limits: half, keep, most of a column's converter; the same of the unit column's; -1 where
            errors are wanted and 0 where values are; largest weighted drive without any error;
            largest level of a cell.
        starts: ``[slices + 1]`` first column of each slice.
        neurons: ``[columns]`` neuron of each column.
        gains: ``[columns]`` what a column's sum is worth to its neuron.
        unit_gains: ``[neurons]`` what the unit column's sum is worth to each neuron.
        out: result, added to.
    """
    pairs, _, columns = cells.shape
    sums = np.zeros((2, columns), np.int32)
    total = np.zeros(columns, np.int32)
    for n in range(words.shape[2]):
        total[:] = 0
        unit = np.int64(0)
        for phase in range(0, worth.shape[0], 2):
            first = phase_drive(words, phase * digits, digits, n)
            second = phase_drive(words, (phase + 1) * digits, digits, n)
            if max(first, second) * limits[8] <= limits[7]:
                continue
            unit += unit_value(first, limits) * worth[phase]
            unit += unit_value(second, limits) * worth[phase + 1]
            if columns == 0:
                continue
            if pairs > 1:
                sums[:] = 0
            for pair in range(pairs):
                add_pair(
                    words[:, :, n],
                    phase * digits,
                    digits,
                    terms[pair],
                    ups[pair],
                    cells[pair],
                    sums,
                    total,
                    pair == pairs - 1,
                    limits,
                    worth[phase],
                    worth[phase + 1],
                )
        fold(total, starts, neurons, gains, out[n])
        if unit != 0:
            for neuron in range(unit_gains.shape[0]):
                out[n, neuron] += unit * unit_gains[neuron]


@kernel
def phase_drive(words: Words, bit: int, digits: int, n: int) -> np.int64:
    """Return the sum of all rows' digits in one phase of one window."""
    driven = np.int64(0)
    for digit in range(digits):
        for word in range(words.shape[1]):
            driven += np.int64(popcount(words[bit + digit, word, n])) << digit
    return driven


@kernel
def unit_value(driven: np.int64, limits: I32) -> np.int64:
    """Return what the unit column's converter gives, or gets wrong."""
    code = min(np.int64((driven + limits[3]) & limits[4]), np.int64(limits[5]))
    return np.int64(code - (driven & limits[6]))


@kernel
def add_pair(
    words: Words,
    bit: int,
    digits: int,
    terms: I32,
    ups: Words,
    cells: Words,
    sums: I32,
    total: I32,
    last: bool,
    limits: I32,
    worth_first: np.int32,
    worth_second: np.int32,
) -> None:
    """Add eight words of cells, met in two phases, to the phases' sums; convert at the last."""
    digit, word = terms[0, 0], terms[0, 1]
    a0, b0 = words[bit + digit, word], words[bit + digit, word + 1]
    c0, d0 = words[bit + digit, word + 2], words[bit + digit, word + 3]
    next_bit = bit + digits
    a1, b1 = words[next_bit + digit, word], words[next_bit + digit, word + 1]
    c1, d1 = words[next_bit + digit, word + 2], words[next_bit + digit, word + 3]
    digit, word = terms[1, 0], terms[1, 1]
    e0, f0 = words[bit + digit, word], words[bit + digit, word + 1]
    g0, h0 = words[bit + digit, word + 2], words[bit + digit, word + 3]
    e1, f1 = words[next_bit + digit, word], words[next_bit + digit, word + 1]
    g1, h1 = words[next_bit + digit, word + 2], words[next_bit + digit, word + 3]
    low, high = ups[0], ups[1]
    half, keep, most, minus = limits[0], limits[1], limits[2], limits[6]
    if not last:
        for i in range(total.shape[0]):
            left = ones(cells[0, i] & a0, cells[1, i] & b0, cells[2, i] & c0, cells[3, i] & d0)
            right = ones(cells[4, i] & e0, cells[5, i] & f0, cells[6, i] & g0, cells[7, i] & h0)
            sums[0, i] = np.int32(sums[0, i] + weigh(left, low, right, high))
            left = ones(cells[0, i] & a1, cells[1, i] & b1, cells[2, i] & c1, cells[3, i] & d1)
            right = ones(cells[4, i] & e1, cells[5, i] & f1, cells[6, i] & g1, cells[7, i] & h1)
            sums[1, i] = np.int32(sums[1, i] + weigh(left, low, right, high))
        return
    for i in range(total.shape[0]):
        left = ones(cells[0, i] & a0, cells[1, i] & b0, cells[2, i] & c0, cells[3, i] & d0)
        right = ones(cells[4, i] & e0, cells[5, i] & f0, cells[6, i] & g0, cells[7, i] & h0)
        first = np.int32(sums[0, i] + weigh(left, low, right, high))
        left = ones(cells[0, i] & a1, cells[1, i] & b1, cells[2, i] & c1, cells[3, i] & d1)
        right = ones(cells[4, i] & e1, cells[5, i] & f1, cells[6, i] & g1, cells[7, i] & h1)
        second = np.int32(sums[1, i] + weigh(left, low, right, high))
        code = min(np.int32(np.int32(first + half) & keep), most)
        first = np.int32(np.int32(code - np.int32(first & minus)) * worth_first)
        code = min(np.int32(np.int32(second + half) & keep), most)
        second = np.int32(np.int32(code - np.int32(second & minus)) * worth_second)
        total[i] = np.int32(total[i] + np.int32(first + second))


@kernel
def ones(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32) -> np.uint32:
    """Return the number of ones in four words."""
    left = np.uint32(popcount(np.uint32(a)) + popcount(np.uint32(b)))
    return np.uint32(left + np.uint32(popcount(np.uint32(c)) + popcount(np.uint32(d))))


@kernel
def weigh(left: np.uint32, low: np.uint32, right: np.uint32, high: np.uint32) -> np.int32:
    """Return a weighted sum of two counts."""
    return np.int32(np.uint32(np.uint32(left * low) + np.uint32(right * high)))


@kernel
def fold(total: I32, starts: I32, neurons: I32, gains: Sums, out: Sums) -> None:
    """Shift and add columns into their neurons, straight where a slice has a column for each."""
    for slice_ in range(starts.shape[0] - 1):
        low, high = starts[slice_], starts[slice_ + 1]
        sums, gain, owner = total[low:high], gains[low:high], neurons[low:high]
        if sums.shape[0] == out.shape[0]:
            for i in range(out.shape[0]):
                out[i] += sums[i] * gain[i]
        else:
            for i in range(sums.shape[0]):
                out[owner[i]] += sums[i] * gain[i]
