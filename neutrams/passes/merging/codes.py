"""In which steps partial sums leave a unit, and by which weights they are merged again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
TRIES = (2.0, 1.5, 1.2, *np.linspace(1.0, 0.4, 13))
"""Shares of the range seen that are tried for least error; above 1 for what was not seen."""
NEGLIGIBLE = 1e-4
"""Errors below this share of a sum's variance count as equal, so that the wider range is taken."""


@dataclass(frozen=True, slots=True)
class Form:
    """What an output of a unit may be, and how it holds a sum that takes both signs."""

    low: int
    high: int
    zero: int
    """The output that stands for ``start``."""
    moved: bool
    """A bias moves sums so that the least one gives the lowest output; else ``start`` is 0."""
    pairs: bool
    """Two outputs, one for each sign."""

    @staticmethod
    def moving(low: int, high: int) -> Form:
        """Return the form of outputs that begin at the least sum."""
        return Form(low, high, low, moved=True, pairs=False)

    @staticmethod
    def resting(low: int, high: int, *, pairs: bool = False) -> Form:
        """Return a form without biases: pairs, unless outputs are signed."""
        alone = low < 0 and not pairs
        return Form(low if alone else 0, high, 0, moved=False, pairs=not alone)

    @property
    def most(self) -> int:
        """The largest output, counted from ``zero``."""
        return self.high - self.zero

    @property
    def least(self) -> int:
        return self.low - self.zero

    @property
    def levels(self) -> int:
        """Steps over all that a sum may be."""
        return self.most * 2 if self.pairs else self.high - self.low

    def step(self, low: Ints, high: Ints) -> Ints:
        """Return the least whole steps at which outputs cover ``[low, high]``."""
        up = _ceil(high, self.most)
        return np.maximum(np.maximum(up, _ceil(low, self.least)) if self.least else up, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Outputs that stand for the partial sums ``p`` of every neuron, all ``[parts, neurons, E]``.

    An output is ``zero + q``, ``q = rint((sign · p - start) / step)`` within its bounds, and so the
    sum of all parts of a neuron is near ``gain · Σ (weight · q + sign · start / gain)``. All are
    integers; ``step`` and ``start`` are multiples of ``gain``.
    """

    sign: Ints
    """1 or -1; 0 for an output that is not needed."""
    start: Ints
    step: Ints
    gain: Ints
    """``[neurons]``."""

    @property
    def weight(self) -> Ints:
        return self.sign * (self.step // self.gain[:, None])

    @property
    def constant(self) -> Ints:
        """``[parts, neurons]``: what to add once a part's outputs are merged."""
        return np.asarray((self.sign * self.start // self.gain[:, None]).sum(axis=2))

    @property
    def slack(self) -> Ints:
        """``[parts, neurons]``: how far rounding moves a part at most, in steps of ``gain``."""
        rounded = np.where(self.step > 1, np.abs(self.weight) // 2 + 1, 0)
        return np.asarray(rounded.sum(axis=2))


def signed_codes(low: Ints, high: Ints, form: Form, *, most: int) -> Codes:
    """Return the outputs for the partial sums of every neuron.

    Args:
        low: ``[parts, neurons]`` the least sum to cover.
        high: The largest.
        form: What an output may be.
        most: The largest weight of a merging unit.
    """
    least, highest, sign = _to_cover(low, high, form)
    zero = np.zeros_like(least)
    gain = _ceil(form.step(zero if form.moved else least, highest - least).max(axis=(0, 2)), most)
    while True:
        each = gain[:, None]
        start = least // each * each if form.moved else zero
        step = _ceil(form.step(least - start, highest - start), each) * each
        too_large = (step // each > most).any(axis=(0, 2))
        if not too_large.any():
            return Codes(sign, start, step, gain)
        gain = gain + too_large


def _to_cover(low: Ints, high: Ints, form: Form) -> tuple[Ints, Ints, Ints]:
    """Return least and largest value and sign of every output, ``[parts, neurons, E]``."""
    if not form.pairs:
        return low[..., None], high[..., None], np.ones((*low.shape, 1), np.int64)
    ends = np.stack([high, -low], axis=2)
    sign = np.where(ends > 0, np.array([1, -1]), 0)
    if not sign[..., 1].any():
        sign, ends = sign[..., :1], ends[..., :1]
    return np.zeros_like(ends), np.maximum(ends, 0), sign


def narrowed(samples: NDArray[np.float64], low: Ints, high: Ints, levels: int) -> tuple[Ints, Ints]:
    """Return bounds of least squared error, rounding and clipping, within ``[low, high]``.

    Args:
        samples: ``[n, neurons]`` sums seen.
        low: ``[neurons]`` no sum is less.
        high: No sum is larger.
        levels: The largest output.
    """
    seen_low, seen_high = samples.min(axis=0), samples.max(axis=0)
    centre = samples.mean(axis=0)
    best = (seen_low, seen_high)
    least, variance = np.full(len(low), np.inf), samples.var(axis=0)
    for share in TRIES:
        bottom, top = centre - (centre - seen_low) * share, centre + (seen_high - centre) * share
        step = np.maximum((top - bottom) / levels, 1.0)
        held = np.clip(np.rint((samples - bottom) / step), 0, levels) * step + bottom
        missed = np.maximum(np.square(held - samples).mean(axis=0), NEGLIGIBLE * variance)
        better = missed < least * (1 - 1e-9)
        least = np.where(better, missed, least)
        best = (np.where(better, bottom, best[0]), np.where(better, top, best[1]))
    bottom = np.clip(np.floor(best[0]).astype(np.int64), low, high)
    top = np.clip(np.ceil(best[1]).astype(np.int64), low, high)
    exact = high - low <= levels
    return np.where(exact, low, bottom), np.where(exact, high, np.maximum(top, bottom))


def _ceil(a: Ints, b: Ints | int) -> Ints:
    return np.asarray(-(-a // b))
