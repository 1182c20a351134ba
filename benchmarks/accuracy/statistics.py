"""From losses of samples to figures, and from figures to verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neutrams.ir.types import Array


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over test samples and seeds, and its standard error."""

    mean: float
    error: float

    def scaled(self, factor: float) -> Figure:
        return Figure(self.mean * factor, self.error * factor)

    def within(self, most: float) -> bool:
        """Whether the mean, less twice its error, is at most so much."""
        return self.mean - 2 * self.error <= most

    def below(self, other: float) -> bool:
        """Whether the mean lies under a number by more than twice its error."""
        return self.mean + 2 * self.error < other


def paired(losses: Sequence[Array]) -> Figure:
    """Return the mean of what samples lose, and its paired standard error.

    Each array holds, for one seed, the loss of every test sample: original minus transformed, so
    pairs; nan where the seed is not judged by the sample. A sample's losses are averaged over the
    seeds first, so that the error is that of choosing test samples: the deviation of these
    averages (n - 1) over the root of n.
    """
    stacked = np.stack(losses).astype(np.float64)
    judged = stacked[:, ~np.isnan(stacked).all(axis=0)]
    each = np.nanmean(judged, axis=0)
    return Figure(float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each))))


def difference(losses: Sequence[Array], others: Sequence[Array]) -> Figure:
    """Return how much more is lost than by another method: same seeds, same samples."""
    return paired([a - b for a, b in zip(losses, others, strict=True)])
