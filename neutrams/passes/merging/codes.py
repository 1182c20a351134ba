"""In which steps partial sums leave a unit, and by which weights they are merged again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
TRIES = np.linspace(1.0, 0.4, 13)
"""Shares of the range seen that are tried for least error."""


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Outputs that stand for the partial sums ``p`` of every neuron, all ``[parts, neurons, E]``.

    An output is ``q = clip(rint((sign · p - start) / step), 0, levels)``, and so the sum of all
    parts of a neuron is near ``gain · Σ (weight · q + sign · start / gain)``. All are integers;
    ``step`` and ``start`` are multiples of ``gain``.
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


def signed_codes(low: Ints, high: Ints, *, levels: int, most: int, pairs: bool) -> Codes:
    """Return the outputs for the partial sums of every neuron.

    Args:
        low: ``[parts, neurons]`` the least sum to cover.
        high: The largest.
        levels: The largest output.
        most: The largest weight of a merging unit.
        pairs: Give a sum that takes both signs two outputs, one for each, instead of one that
            starts at the lowest sum.
    """
    if pairs:
        both = np.stack([high, -low], axis=2)
        sign = np.where(both > 0, np.array([1, -1]), 0)
        if not sign[..., 1].any():
            sign, both = sign[..., :1], both[..., :1]
        least, highest = np.zeros_like(both), np.where(sign != 0, both, 0)
    else:
        least, highest = low[..., None], high[..., None]
        sign = np.ones_like(least)
    width = highest - least
    gain = _ceil(_ceil(np.where(width <= levels, 1, width), levels).max(axis=(0, 2)), most)
    while True:
        each = gain[:, None]
        start = least // each * each
        step = np.maximum(_ceil(highest - start, levels * each), 1) * each
        too_large = (step // each > most).any(axis=(0, 2))
        if not too_large.any():
            return Codes(sign, start, step, gain)
        gain = gain + too_large


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
    least = np.full(len(low), np.inf)
    for share in TRIES:
        bottom, top = centre - (centre - seen_low) * share, centre + (seen_high - centre) * share
        step = np.maximum((top - bottom) / levels, 1.0)
        held = np.clip(np.rint((samples - bottom) / step), 0, levels) * step + bottom
        missed = np.square(held - samples).mean(axis=0)
        better = missed < least * (1 - 1e-9)
        least = np.where(better, missed, least)
        best = (np.where(better, bottom, best[0]), np.where(better, top, best[1]))
    bottom = np.clip(np.floor(best[0]).astype(np.int64), low, high)
    top = np.clip(np.ceil(best[1]).astype(np.int64), low, high)
    exact = high - low <= levels
    return np.where(exact, low, bottom), np.where(exact, high, np.maximum(top, bottom))


def _ceil(a: Ints, b: Ints | int) -> Ints:
    return np.asarray(-(-a // b))
