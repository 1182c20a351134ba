"""What a network answers, and how much of it another keeps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neutrams.ir.types import Array

Outputs = Mapping[str, Array]


def classes(outputs: Outputs) -> Array | None:
    """Return the class each sample is given, if the first output is scores of at least two."""
    scores = next(iter(outputs.values()))
    if not scores.size or len([size for size in scores.shape[1:] if size != 1]) != 1:
        return None
    return np.asarray(scores.reshape(len(scores), -1).argmax(axis=1))


def retention(found: Outputs, wanted: Outputs) -> tuple[float, str]:
    """Return how much of the wanted answers is kept, and what that is a share of.

    It is the share of samples that are given the same class, or one minus the relative error.
    """
    mine, theirs = classes(found), classes(wanted)
    if mine is not None and theirs is not None and len(mine) == len(theirs) > 0:
        return float((mine == theirs).mean()), "share of samples given the same class"
    return max(0.0, 1.0 - relative_error(found, wanted)), "one minus the relative error"


def relative_error(found: Outputs, wanted: Outputs) -> float:
    """Return the RMS of the change over the RMS of what was wanted; infinite for other shapes."""
    pairs = [(found[name].astype(np.float64), array) for name, array in wanted.items()]
    if any(mine.shape != array.shape for mine, array in pairs):
        return float("inf")
    moved = sum(float(((mine - array) ** 2).sum()) for mine, array in pairs)
    size = sum(float((array.astype(np.float64) ** 2).sum()) for _, array in pairs)
    if not moved:
        return 0.0
    return float(np.sqrt(moved / size)) if size else float("inf")
