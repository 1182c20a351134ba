"""Resampling along one axis: where each result element looks, and with which weights.

Formulas as in the ONNX operator reference (Resize).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neutrams.ir.types import Array


@dataclass(frozen=True, slots=True)
class Coordinates:
    """How positions of the result map to positions of the input."""

    MODES: ClassVar[frozenset[str]] = frozenset(
        {
            "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
            "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn",
        }
    )  # fmt: skip

    mode: str
    size: int
    result: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)

    def points(self) -> Array:
        """Return the input position of each result element."""
        y = np.arange(self.result, dtype=np.float64)
        begin, end = self.roi
        match self.mode:
            case "align_corners":
                last = self.scale * self.size - 1
                return y * (self.size - 1) / last if last else np.zeros_like(y)
            case "asymmetric":
                return y / self.scale
            case "tf_half_pixel_for_nn":
                return (y + 0.5) / self.scale
            case "pytorch_half_pixel" if self.result == 1:
                return np.full_like(y, -0.5)
            case "half_pixel_symmetric":
                adjust = self.result / (self.scale * self.size)
                return self.size / 2 * (1 - adjust) + (y + 0.5) / self.scale - 0.5
            case "tf_crop_and_resize" if self.result == 1:
                return np.full_like(y, 0.5 * (begin + end) * (self.size - 1))
            case "tf_crop_and_resize":
                step = (end - begin) * (self.size - 1) / (self.result - 1)
                return begin * (self.size - 1) + y * step
        return (y + 0.5) / self.scale - 0.5

    def outside(self) -> Array:
        """Return which result elements look outside the input."""
        points = self.points()
        return (points < 0) | (points > self.size - 1)


def resampled(
    x: Array, axis: int, where: Coordinates, *, mode: str, nearest: str, a: float,
    exclude_outside: bool, antialias: bool,
) -> Array:  # fmt: skip
    """Return ``x`` resampled along one axis.

    Args:
        x: numbers; floats unless ``mode`` is ``nearest``.
        axis: the axis.
        where: positions.
        mode: ``nearest``, ``linear`` or ``cubic``.
        nearest: how a position is rounded.
        a: the cubic kernel's coefficient.
        exclude_outside: whether weights of places outside the input are dropped.
        antialias: whether the kernel is widened when shrinking.
    """
    points = where.points()
    if mode == "nearest":
        return np.take(x, np.clip(_rounded(points, nearest), 0, where.size - 1), axis)
    widen = max(1.0, 1 / where.scale) if antialias else 1.0
    reach = int(np.ceil((1 if mode == "linear" else 2) * widen))
    places = np.floor(points).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    distance = np.abs(places - points[:, None]) / widen
    weights = np.maximum(0, 1 - distance) if mode == "linear" else cubic(distance, a)
    if exclude_outside:
        weights = weights * ((places >= 0) & (places < where.size))
    if exclude_outside or widen > 1:
        weights = weights / weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(points), where.size))
    held = np.clip(places, 0, where.size - 1)
    np.add.at(matrix, (np.arange(len(points))[:, None], held), weights)
    moved = np.moveaxis(x, axis, -1).astype(np.float64) @ matrix.T
    return np.moveaxis(moved, -1, axis).astype(x.dtype)


def _rounded(points: Array, how: str) -> Array:
    rounded = {
        "floor": np.floor(points),
        "ceil": np.ceil(points),
        "round_prefer_ceil": np.floor(points + 0.5),
        "round_prefer_floor": np.ceil(points - 0.5),
    }
    return rounded[how].astype(np.int64)


def cubic(d: Array, a: float = -0.75) -> Array:
    """Keys' cubic convolution kernel (IEEE Trans. ASSP 29(6), 1981) at distances ``d``."""
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
