"""Scales for weights that are rounded to few bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.types import Array

SHRINK = np.linspace(1.0, 0.3, 71)
"""Shares of the largest weight that a scale may cover."""
LEAST = 1e-20
"""Least scale, so that its product with an input's scale is still a normal float32."""


def channel_scales(matrix: Array, bits: int) -> NDArray[np.float32]:
    """Return for each row of ``[neurons, inputs]`` the scale of least squared rounding error.

    With 8 bits that is nearly always the one that covers the largest weight, which is taken.
    """
    limit = 2 ** (bits - 1) - 1
    largest = np.abs(matrix).max(axis=1, initial=0.0).astype(np.float64)
    full = np.where(largest > 0, largest / limit, 1.0)
    if bits >= 8:
        return _as_scale(full)
    best, least = full, np.full(len(full), np.inf)
    for share in SHRINK:
        scale = full * share
        steps = np.clip(np.rint(matrix / scale[:, None]), -limit, limit)
        missed = ((steps * scale[:, None] - matrix) ** 2).sum(axis=1)
        better = missed < least
        best, least = np.where(better, scale, best), np.where(better, missed, least)
    return _as_scale(best)


def _as_scale(scale: Array) -> NDArray[np.float32]:
    return np.maximum(scale, LEAST).astype(np.float32)
