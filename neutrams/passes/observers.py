"""Watch a stream of numbers and choose the range that a quantiser should cover."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import frexp, inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.types import Array

Observer = Literal["mse", "min-max", "percentile"]
BINS = 4096
"""Most bins that a histogram may have."""
SEEN = 2**18
"""Most elements of one array that go into a histogram; a larger array is sampled evenly."""


@dataclass
class Histogram:
    """Counts of a stream in bins of a width that is a power of two, doubled as the range grows.

    Merging two neighbours is exact, so the result hardly depends on how a stream is cut.
    """

    low: float = inf
    high: float = -inf
    exponent: int | None = None
    """Bins are ``2^exponent`` wide; ``None`` before the first number that is not 0."""
    first: int = 0
    """Index of the first bin, which begins at ``first · 2^exponent``."""
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    zeros: int = 0
    """How many of the numbers counted are exactly 0, which every quantiser keeps."""
    whole: bool = True
    """Whether every number counted is whole, as pixels are."""
    finite: bool = True
    """Whether every number seen was finite."""

    def add(self, array: Array) -> None:
        flat = array.ravel()
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not np.isfinite([low, high]).all():
            self.finite = False
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._widen()
        some = flat[:: max(1, flat.size // SEEN)]
        self.zeros += some.size - int(np.count_nonzero(some))
        self.whole = self.whole and bool((some == np.rint(some)).all())
        self._count(some)

    @property
    def width(self) -> float:
        return float(2.0 ** (self.exponent or 0))

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin, within what was seen."""
        middles = (self.first + np.arange(len(self.counts)) + 0.5) * self.width
        return np.clip(middles, self.low, self.high)

    def _widen(self) -> None:
        """Make bins so wide that ``BINS`` of them span what was seen."""
        wanted = frexp(max(self.high - self.low, abs(self.high) * 1e-6, 1e-30) / (BINS - 2))[1]
        if self.exponent is None:
            self.exponent = wanted
        while self.exponent < wanted:
            if self.first % 2:
                self.counts, self.first = np.concatenate([[0], self.counts]), self.first - 1
            if len(self.counts) % 2:
                self.counts = np.concatenate([self.counts, [0]])
            self.counts = self.counts.reshape(-1, 2).sum(axis=1)
            self.first, self.exponent = self.first // 2, self.exponent + 1

    def _count(self, flat: Array) -> None:
        places = np.floor(flat.astype(np.float64) / self.width).astype(np.int64)
        low, high = int(places.min()), int(places.max())
        if not len(self.counts):
            self.first = low
        before = max(self.first - low, 0)
        after = max(high + 1 - self.first - len(self.counts), 0)
        self.counts = np.pad(self.counts, (before, after))
        self.first -= before
        self.counts += np.bincount(places - self.first, minlength=len(self.counts))


def choose(
    histogram: Histogram, observer: Observer, *, bits: int, percentile: float
) -> tuple[float, float]:
    """Return the range to cover: all of it, all but rare ends, or that of least squared error.

    Whole numbers that all have an integer of their own are covered entirely.
    """
    low, high = histogram.low, histogram.high
    exact = histogram.whole and max(high, 0) - min(low, 0) < 2**bits
    if observer == "min-max" or low == high or exact or bits > 12:
        return low, high
    if observer == "percentile":
        return _percentile(histogram, percentile)
    return _least_squares(histogram, bits)


def _percentile(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """Cut what lies beyond the percentile on either side."""
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    rest = (100 - percentile) / 100
    centres = histogram.centres
    below = int(np.searchsorted(share, rest, side="right"))
    above = int(np.searchsorted(share, 1 - rest, side="left"))
    low = histogram.low if below == 0 else float(centres[below])
    high = histogram.high if above >= len(share) - 1 else float(centres[above])
    return low, max(high, low)


def _least_squares(histogram: Histogram, bits: int) -> tuple[float, float]:
    """Minimise rounding plus clipping error over a grid of ranges that shrink towards 0.

    Rounding to steps of ``d`` adds ``d² / 12`` on average to each number in range; a clipped one
    adds the square of what is cut. Ends that lie on the near side of 0 stay: a quantiser's range
    holds 0.
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    shrink = 1 - np.linspace(0, 0.9, 91)
    lows = low * shrink if low < 0 else np.zeros(1)
    highs = high * shrink if high > 0 else np.zeros(1)
    cut = np.add.outer(_cut_below(histogram, lows), _cut_below(_mirrored(histogram), -highs))
    step = (highs[None, :] - lows[:, None]) / (2**bits - 1)
    total = cut + (histogram.counts.sum() - histogram.zeros) * step**2 / 12
    best = np.unravel_index(int(np.argmin(total)), total.shape)
    found = float(lows[best[0]]), float(highs[best[1]])
    # an end beyond all numbers, where these lie on one side of 0, is the only one that counts
    return max(found[0], min(histogram.low, found[1])), min(found[1], max(histogram.high, found[0]))


def _cut_below(histogram: Histogram, limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each limit the summed squares of what lies below it."""
    c, n = histogram.centres, histogram.counts.astype(np.float64)
    moments = [np.concatenate([[0.0], np.cumsum(n * c**power)]) for power in (0, 1, 2)]
    at = np.searchsorted(c, limits)
    zeroth, first, second = (moment[at] for moment in moments)
    return np.asarray(np.maximum(second - 2 * limits * first + limits**2 * zeroth, 0))


def _mirrored(histogram: Histogram) -> Histogram:
    last = histogram.first + len(histogram.counts)
    return Histogram(
        -histogram.high, -histogram.low, histogram.exponent, -last, histogram.counts[::-1]
    )
