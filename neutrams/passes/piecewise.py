"""Functions of integers as sums of ramps, which neurons with a saturating activation make.

A ramp is 0 up to one knot and full from the next on. What is linear between knots is a sum of them,
each times the step of the function between its knots. The fit is to a table of all results, so its
error is known exactly, not estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.types import Array

Ints = NDArray[np.int64]


ERRORS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Errors of straight lines, in steps, that are tried; beyond them the least that ramps allow."""


def choices(table: Array, most: int) -> list[Ints]:
    """Return sets of places in a table, ``most + 1`` each at most, its first and last among them.

    Straight lines between those of a set miss its numbers by one of :data:`ERRORS`, or by the
    least that is possible; or rise alike, which suits weights of few bits.
    """
    even = [_alike(table, most >> halvings) for halvings in range(most.bit_length())]
    found = [_within(table, error) for error in ERRORS]
    if kept := [places for places in found if len(places) - 1 <= most]:
        return kept + even
    low, high, best = ERRORS[-1], float(np.ptp(table)) + 1.0, np.array([0, len(table) - 1])
    for _ in range(24):
        middle = (low + high) / 2
        places = _within(table, middle)
        if len(places) - 1 <= most:
            high, best = middle, places
        else:
            low = middle
    return [best, *even]


def _alike(table: Array, count: int) -> Ints:
    """Return knots between which the table rises and falls by as much in all, as far as may be."""
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(table)))])
    places = np.searchsorted(way, np.linspace(0, way[-1], count + 1))
    return np.unique(np.clip([0, *places[1:-1], len(table) - 1], 0, len(table) - 1))


def _within(table: Array, error: float) -> Ints:
    """Return knots, each as far from the one before as straight lines stay within an error."""
    found, last = [0], len(table) - 1
    while found[-1] < last:
        start = found[-1]
        steps = np.arange(1, last - start + 1)
        rise = table[start + 1 :] - table[start]
        # A line to `start + n` is within the error of every place before it where its slope lies
        # between the least upper and the greatest lower bound that those places set.
        upper = np.minimum.accumulate((rise + error) / steps)
        lower = np.maximum.accumulate((rise - error) / steps)
        slope = rise / steps
        fits = np.flatnonzero((slope <= upper + 1e-12) & (slope >= lower - 1e-12))
        found.append(start + 1 + int(fits[-1]))
    return np.array(found, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Ramps:
    """A function as two layers: ``rint(Σ weights · h · scale) + first``, ``h`` the ramps."""

    starts: Ints
    """``[K]``: the integer at which each ramp is 0 for the last time."""
    slopes: NDArray[np.float32]
    """``[K]``: how steep each is; it saturates at ``full``."""
    full: int
    weights: Ints
    """``[K]``."""
    first: int
    """The function where all ramps are 0."""
    scale: float
    """Exactly a float32."""

    def evaluate(self, x: Ints) -> Ints:
        """Return what the two layers make of integers, before it saturates."""
        rise = (x[:, None] - self.starts).astype(np.float32) * self.slopes
        hidden = np.clip(np.rint(rise), 0, self.full).astype(np.int64)
        total = (hidden @ self.weights).astype(np.float32)
        made: Ints = np.rint(total * np.float32(self.scale)).astype(np.int64) + self.first
        return made

    def error(self, x: Ints, table: Ints) -> int:
        """Return the largest error, of results that saturate at those of the table."""
        made = np.clip(self.evaluate(x), table.min(), table.max())
        return int(np.abs(made - table).max(initial=0))


def fit(table: Array, low: int, *, most: int, full: int, weights: tuple[int, int]) -> Ramps:
    """Return ramps whose sum is near ``table``, of the integers from ``low`` on.

    Args:
        table: ``[n]`` integers.
        low: The integer that the first is of.
        most: Most ramps.
        full: Where a ramp saturates.
        weights: The least and the largest weight there is.
    """
    table = np.asarray(table, np.int64)
    x = np.arange(low, low + len(table))
    found = [
        _ramps(table, low, places, full, weights)
        for places in choices(table.astype(np.float64), most)
    ]
    return min(found, key=lambda made: (made.error(x, table), len(made.starts)))


def _ramps(table: Ints, low: int, places: Ints, full: int, weights: tuple[int, int]) -> Ramps:
    steps = np.diff(table[places])
    kept = np.flatnonzero(steps)
    kept = kept if len(kept) else np.zeros(min(1, len(steps)), np.int64)
    starts, widths, steps = places[:-1][kept], np.diff(places)[kept], steps[kept]
    needed = [float(steps.max(initial=0)) / weights[1]]
    needed += [float(steps.min(initial=0)) / weights[0]] if weights[0] else []
    unit = max(*needed, 1e-9)
    reached = np.rint(np.cumsum(steps) / unit).astype(np.int64)  # so that no error adds up
    whole = np.clip(np.diff(reached, prepend=0), *weights)
    slopes = (full / widths).astype(np.float32)
    return Ramps(starts + low, slopes, full, whole, int(table[0]), float(np.float32(unit / full)))
