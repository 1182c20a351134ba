"""Scales for weights that are rounded to few bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.types import Array

SHRINK = np.linspace(1.0, 0.3, 71)
"""Shares of the largest weight that a scale may cover."""
LEAST = 1e-20
"""Least scale, so that its product with an input's scale is still a normal float32."""


def channel_scales(matrix: Array, codes: tuple[int, int]) -> NDArray[np.float32]:
    """Return for each row of ``[neurons, inputs]`` the scale of least squared rounding error.

    With 255 codes or more that is nearly always the one that covers the largest weight, which is
    taken.
    """
    low, high = codes
    above = matrix.max(axis=1, initial=0.0).astype(np.float64) / high
    below = matrix.min(axis=1, initial=0.0).astype(np.float64) / low
    largest = np.maximum(above, below)
    full = np.where(largest > 0, largest, 1.0)
    if high - low >= 254:
        return _as_scale(full)
    best, least = full, np.full(len(full), np.inf)
    for share in SHRINK:
        scale = full * share
        steps = np.clip(np.rint(matrix / scale[:, None]), low, high)
        missed = ((steps * scale[:, None] - matrix) ** 2).sum(axis=1)
        better = missed < least
        best, least = np.where(better, scale, best), np.where(better, missed, least)
    return _as_scale(best)


def _as_scale(scale: Array) -> NDArray[np.float32]:
    return np.maximum(scale, LEAST).astype(np.float32)
