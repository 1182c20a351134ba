"""Scales for weights that are rounded to few bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.types import Array

SHRINK = np.linspace(1.0, 0.3, 71)
"""Shares of the largest weight that a scale may cover."""
HALVES = (1.0, 0.5, 0.25)
LEAST = 2.0**-66
"""Least scale, so that its product with an input's scale is still a normal float32."""


def channel_scales(
    matrix: Array, codes: tuple[int, int], *, power_of_two: bool = False
) -> NDArray[np.float32]:
    """Return for each row of ``[neurons, inputs]`` the scale of least squared rounding error.

    With 255 codes or more that is nearly always the one that covers the largest weight, which is
    taken. ``power_of_two`` allows for such scales only.
    """
    low, high = codes
    above = matrix.max(axis=1, initial=0.0).astype(np.float64) / high
    below = matrix.min(axis=1, initial=0.0).astype(np.float64) / low
    largest = np.maximum(above, below)
    full = np.where(largest > 0, largest, 1.0)
    if high - low >= 254 and not power_of_two:
        return _as_scale(full)
    full = next_power(full) if power_of_two else full
    best, least = full, np.full(len(full), np.inf)
    for share in HALVES if power_of_two else SHRINK:
        scale = full * share
        steps = np.clip(np.rint(matrix / scale[:, None]), low, high)
        missed = ((steps * scale[:, None] - matrix) ** 2).sum(axis=1)
        better = missed < least
        best, least = np.where(better, scale, best), np.where(better, missed, least)
    return _as_scale(best)


def next_power(scale: Array) -> Array:
    """Return the least powers of two that are no smaller."""
    powers: Array = 2.0 ** np.ceil(np.log2(scale.astype(np.float64)))
    return powers


def _as_scale(scale: Array) -> NDArray[np.float32]:
    return np.maximum(scale, LEAST).astype(np.float32)
