"""What an output is worth: how far the chip falls behind the original network, sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.types import Array

Losses = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The chip beside the original network, on one test set."""

    agreement: float | None
    """Share of equal decisions."""
    correlation: float | None = None
    """Of scores, where there are no labels."""
    original: float | None = None
    found: float | None = None
    """What is judged, by the original and on the chip: a mean over samples."""
    losses: Losses | None = None
    """What each sample loses on the chip, in the same unit; negative where it gains."""


Judge = Callable[[Array, Array, Array, Array | None], Outcome]
"""Takes the inputs, the original's outputs, the chip's, and labels."""


def classes(x: Array, wanted: Array, found: Array, labels: Array | None) -> Outcome:
    """Right or wrong."""
    before, after = (scores.reshape(len(scores), -1).argmax(axis=1) for scores in (wanted, found))
    return _better(before == labels, after == labels, float((before == after).mean()), sign=1)


def positions(x: Array, wanted: Array, found: Array, labels: Array | None) -> Outcome:
    """Distance from the true position, in pixels of an 11 × 11 frame."""
    assert labels is not None
    before, after = (np.hypot(*(outputs * 11 - labels).T) for outputs in (wanted, found))
    return _better(before, after, None, sign=-1)


def reconstruction(x: Array, wanted: Array, found: Array, labels: Array | None) -> Outcome:
    """Squared error of an auto-encoder; an anomaly is what lies above nine tenths of them."""
    before, after = (((outputs - x) ** 2).mean(axis=1) for outputs in (wanted, found))
    return _scores(before, after, float(np.quantile(before, 0.9)))


def detection(x: Array, wanted: Array, found: Array, labels: Array | None) -> Outcome:
    """A probability, decided at a half."""
    return _scores(wanted.ravel(), found.ravel(), 0.5)


def _better(before: Array, after: Array, agreement: float | None, *, sign: int) -> Outcome:
    a, b = before.astype(np.float32), after.astype(np.float32)
    return Outcome(agreement, None, float(before.mean()), float(after.mean()), sign * (a - b))


def _scores(before: Array, after: Array, threshold: float) -> Outcome:
    agreement = float(((before > threshold) == (after > threshold)).mean())
    if before.std() == 0 or after.std() == 0:
        return Outcome(agreement, 0.0)
    return Outcome(agreement, float(np.corrcoef(before, after)[0, 1]))
