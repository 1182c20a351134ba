"""Converters behind a product for each phase: for cells or digits too wide for tables, and for few
windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.crossbar import Encoding
from neutrams.ir.kernel import kernel
from neutrams.ir.types import Array
from neutrams.simulator.exact import dots
from neutrams.simulator.exact.joined import Taps, add_products, rows_seen

_AT_ONCE = 512
"""Windows times phases at once: their sums stay in the second-level cache."""

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
    taps: Taps | None
    """The same, where bytes can be multiplied."""
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
        bytes_do = dots.unit() is not None and e.digit_max < 256 and np.abs(held).max() < 128
        taps = Taps.of(held[None].astype(np.int8), ()) if bytes_do and single else None
        codes = np.ascontiguousarray(held, kind)
        return Multiplied(e, whole, codes, taps, neurons, gains, unit_gains)

    def convert(self, drive: Array, out: Array, *, errors: bool) -> None:
        """Add to ``out`` ``[neurons, windows]`` the values or errors for ``[rows, windows]``."""
        e, unit = self.encoding, len(self.codes) - len(self.neurons)
        step = max(1, _AT_ONCE // e.phases)
        shifts = np.arange(e.phases, dtype=drive.dtype)[:, None] * e.dac_bits
        sign, each = -1 if errors else 1, np.arange(len(self.unit_gains))
        for low in range(0, drive.shape[1], step):
            seen, into = drive[:, low : low + step], out[:, low : low + step]
            digits = seen[:, None] >> shifts & e.digit_max
            sums = self._product(digits.reshape(len(seen), -1)).reshape(-1, *digits.shape[1:])
            if unit:
                gains = sign * self.unit_gains
                self._add(sums, np.zeros_like(each), e.unit_shift, errors, each, gains, into)
            columns, gains = unit + np.arange(len(self.neurons)), sign * self.gains
            self._add(sums, columns, e.shift, errors, self.neurons, gains, into)

    def _product(self, digits: Array) -> Array:
        """Return the sums ``[columns, places]`` that digits ``[rows, places]`` make."""
        if self.taps is None:
            return np.asarray(np.matmul(self.codes, digits.astype(self.codes.dtype)))
        places = digits.shape[1]
        padded = np.zeros((1, len(digits), max(places, dots.PLACES)), np.uint8)
        padded[0, :, :places] = digits
        joined = rows_seen(padded)
        found = np.zeros((1, len(self.codes), joined.run), np.int32)
        add_products(self.taps.weights, joined.drive, joined.taps, joined.starts, joined.run, found)
        return found[0, :, :places].astype(np.float32)

    def _add(
        self, sums: Array, columns: I64, shift: int, errors: bool, neurons: I64, gains: I64,
        out: Array,
    ) -> None:  # fmt: skip
        e = self.encoding
        add_converted(
            sums, columns, float(1 << shift), e.code_min, e.code_max, errors, e.dac_bits, neurons,
            gains, out,
        )  # fmt: skip

    def spared(self, drive: Array) -> int:
        """Return how many cells in how many phases cannot err: none is left out here."""
        return 0 * drive.size


@kernel
def add_converted(
    sums: Floats, columns: I64, step: float, least: int, most: int, errors: bool, digit: int,
    neurons: I64, gains: I64, out: Sums,
) -> None:  # fmt: skip
    """Add to ``out`` what converters make of ``sums``, by :func:`neutrams.ir.crossbar.convert`.

    Args:
        sums: ``[columns, phases, windows]`` whole numbers.
        columns: those that are asked for.
        step: of the converter, a power of two.
        least: code.
        most: code.
        errors: whether to add what converters cut off, not what they give.
        digit: bits of a phase.
        neurons: that the columns belong to.
        gains: what they are worth.
        out: ``[neurons, windows]`` result, added to.
    """
    real, wide = sums.dtype.type, out.dtype.type
    up, down, half = real(step), real(1 / step), real(0.5 if step > 1 else 0)
    low, high = real(least), real(most)
    for at in range(columns.shape[0]):
        into = out[neurons[at]]
        for phase in range(sums.shape[1]):
            seen, gain = sums[columns[at], phase], wide(gains[at] << phase * digit)
            if gain == 0:
                continue
            for n in range(seen.shape[0]):
                code = min(max(np.floor(seen[n] * down + half), low), high) * up
                given = seen[n] - code if errors else code
                into[n] += wide(wide(given) * gain)
