"""Converters of columns whose cells or digits are too wide for tables: a product for each phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.crossbar import Encoding
from neutrams.ir.kernel import kernel
from neutrams.ir.types import Array

_AT_ONCE = 512
"""Windows at once: their sums stay in the second-level cache."""

Floats = NDArray[np.floating[Any]]
I64 = NDArray[np.int64]
Sums = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Multiplied:
    """Columns of one block, and what their converters make of them."""

    encoding: Encoding
    whole: bool
    """Whether all columns are here, not only those that can err."""
    codes: Floats
    """``[columns, rows]`` of a type that holds all sums; the first is the unit column."""
    neurons: I64
    """``[columns - 1]`` that the others belong to."""
    gains: I64
    """``[columns - 1]`` what their sums are worth."""
    unit_gains: I64
    """``[neurons]`` what the unit column's sum is worth to each."""

    @staticmethod
    def of(
        codes: Array, e: Encoding, whole: bool, neurons: Array, gains: Array, unit_gains: Array
    ) -> Multiplied:
        """Hold ``codes`` ``[rows, columns]``."""
        unit = np.ones((len(codes), int(unit_gains.any())), np.int64)
        held = np.concatenate([unit, codes], axis=1).T
        single = np.abs(held).sum(axis=1).max() * e.digit_max < 2**24
        kind = np.float32 if single else np.float64
        return Multiplied(e, whole, np.ascontiguousarray(held, kind), neurons, gains, unit_gains)

    def convert(self, drive: Array, out: Array, *, errors: bool) -> None:
        """Add to ``out`` ``[neurons, windows]`` the values or errors for ``[rows, windows]``."""
        e, unit = self.encoding, len(self.codes) - len(self.neurons)
        each = np.arange(len(self.unit_gains))
        held = np.empty((len(self.codes), _AT_ONCE), self.codes.dtype)
        for low in range(0, drive.shape[1], _AT_ONCE):
            seen, into = drive[:, low : low + _AT_ONCE], out[:, low : low + _AT_ONCE]
            for phase in range(e.phases):
                digits = (seen >> phase * e.dac_bits & e.digit_max).astype(self.codes.dtype)
                sums = np.matmul(self.codes, digits, out=held[:, : digits.shape[1]])
                worth = (-1 if errors else 1) << phase * e.dac_bits
                if unit:
                    whole = np.broadcast_to(sums[:1], (len(each), sums.shape[1]))
                    self._add(whole, e.unit_shift, errors, each, worth * self.unit_gains, into)
                self._add(sums[unit:], e.shift, errors, self.neurons, worth * self.gains, into)

    def _add(
        self, sums: Array, shift: int, errors: bool, neurons: I64, gains: I64, out: Array
    ) -> None:
        e = self.encoding
        add_converted(sums, float(1 << shift), e.code_min, e.code_max, errors, neurons, gains, out)

    def spared(self, drive: Array) -> int:
        """Return how many cells in how many phases cannot err: none is left out here."""
        return 0 * drive.size


@kernel
def add_converted(
    sums: Floats, step: float, least: int, most: int, errors: bool, neurons: I64, gains: I64,
    out: Sums,
) -> None:  # fmt: skip
    """Add to ``out`` what converters make of ``sums``, by :func:`neutrams.ir.crossbar.convert`.

    Args:
        sums: ``[columns, windows]`` whole numbers.
        step: of the converter, a power of two.
        least: code.
        most: code.
        errors: whether to add what converters cut off, not what they give.
        neurons: ``[columns]`` that columns belong to.
        gains: ``[columns]`` what they are worth.
        out: ``[neurons, windows]`` result, added to.
    """
    real, wide = sums.dtype.type, out.dtype.type
    up, down, half = real(step), real(1 / step), real(0.5 if step > 1 else 0)
    low, high = real(least), real(most)
    for column in range(sums.shape[0]):
        seen, into, gain = sums[column], out[neurons[column]], wide(gains[column])
        if gain == 0:
            continue
        for n in range(seen.shape[0]):
            code = min(max(np.floor(seen[n] * down + half), low), high) * up
            given = seen[n] - code if errors else code
            into[n] += wide(wide(given) * gain)
