"""Kernels over bit planes: what lossy converters make of column sums.

Inputs and cells are cut into bits, 32 rows to a word. The sum of a column in one phase is then a
few ANDs and population counts, and what its converter gets wrong is added up on the spot.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.simulator.words import popcount

Words = NDArray[np.uint32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

LANE = 32
"""Rows in a word."""


@kernel
def pack(drive: NDArray[np.float32], words: Words) -> None:
    """Cut unsigned ``drive`` ``[rows, windows]`` into ``words`` ``[bits, rows/32, windows]``."""
    bits, _, windows = words.shape
    for row in range(drive.shape[0]):
        at = np.uint32(row % 32)
        for bit in range(bits):
            low = np.uint32(bit)
            into = words[bit, row // 32]
            values = drive[row]
            for n in range(windows):
                value = np.uint32(values[n])
                one = np.uint32(np.uint32(value >> low) & np.uint32(1))
                into[n] = np.uint32(into[n] | np.uint32(one << at))


@kernel
def count_errors(
    drive: Words,
    cells: Words,
    weights: I32,
    digits: int,
    code_max: int,
    shift: int,
    cell_max: int,
    errors: I32,
) -> None:
    """Add up what converters get wrong in each column, over all phases.

    Args:
        drive: ``[bits, words, windows]`` from :func:`pack`; bits are padded to whole phases.
        cells: ``[cell bits, words, columns]``.
        weights: ``[phases]`` what one unit of a phase's sum is worth.
        digits: bits of a phase (``dac_bits``).
        code_max: largest code of a converter.
        shift: low bits a converter drops.
        cell_max: largest level of a cell.
        errors: ``[windows, columns]`` result, added to.
    """
    planes, words, columns = cells.shape
    sums = np.zeros(columns, np.int32)
    top = np.int32(code_max)
    down = np.int32(shift)
    half = np.int32((1 << shift) >> 1)
    safe = code_max if shift == 0 else 0
    for n in range(drive.shape[2]):
        into = errors[n]
        for phase in range(weights.shape[0]):
            driven = 0
            for digit in range(digits):
                for word in range(words):
                    driven += np.int64(popcount(drive[phase * digits + digit, word, n])) << digit
            if driven * cell_max <= safe:
                continue
            sums[:] = 0
            for digit in range(digits):
                for plane in range(planes):
                    up = np.uint32(digit + plane)
                    for word in range(0, words, 4):
                        a = drive[phase * digits + digit, word, n]
                        b = drive[phase * digits + digit, word + 1, n]
                        c = drive[phase * digits + digit, word + 2, n]
                        d = drive[phase * digits + digit, word + 3, n]
                        add_counts(sums, a, b, c, d, up, cells[plane, word : word + 4])
            worth = weights[phase]
            for column in range(columns):
                total = sums[column]
                code = min(np.int32(np.int32(total + half) >> down), top)
                wrong = np.int32(np.int32(code << down) - total)
                into[column] = np.int32(into[column] + np.int32(wrong * worth))


@kernel
def add_counts(
    sums: I32, a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32, up: np.uint32, cells: Words
) -> None:
    """Add to ``sums`` the common ones of four words and each column, times ``2^up``."""
    for column in range(sums.shape[0]):
        one = popcount(np.uint32(a & cells[0, column]))
        two = popcount(np.uint32(b & cells[1, column]))
        three = popcount(np.uint32(c & cells[2, column]))
        four = popcount(np.uint32(d & cells[3, column]))
        low = np.uint32(one + two)
        high = np.uint32(three + four)
        count = np.uint32(np.uint32(low + high) << up)
        sums[column] = np.int32(sums[column] + np.int32(count))
