"""Ops on images: moving channels into space, resampling, sampling at points."""

from __future__ import annotations

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import (
    Mixes,
    Unary,
    digital,
    keep,
    size_of,
    want,
    want_rank,
    want_same,
)  # fmt: skip
from neutrams.ir.ops.resampling import Coordinates, resampled
from neutrams.ir.types import Array, TensorType


@digital("tensor.depth_to_space")
class DepthToSpace(Unary):
    """Blocks of channels laid out as ``block × block`` pixels.

    ``mode`` says which comes first in the channel's number: ``DCR`` the place in the block,
    ``CRD`` the remaining channel.
    """

    block: int = attr()
    mode: str = attr(default="DCR")

    def infer(self) -> TensorType:
        n, *rest = want_rank(self, self.x, 4, 4)
        c, h, w = (size_of(self, d, "an image size") for d in rest)
        s = self.block
        want(self, self.mode in ("DCR", "CRD"), f"no mode `{self.mode}`")
        want(self, s > 0 and c % (s * s) == 0, f"{c} channels do not fill blocks of {s} × {s}")
        return self.x.type.with_shape((n, c // (s * s), h * s, w * s))

    def evaluate(self, x: Array) -> Array:
        n, c, h, w = x.shape
        s = self.block
        if self.mode == "DCR":
            y = x.reshape(n, s, s, c // (s * s), h, w).transpose(0, 3, 4, 1, 5, 2)
        else:
            y = x.reshape(n, c // (s * s), s, s, h, w).transpose(0, 1, 4, 2, 5, 3)
        return y.reshape(n, c // (s * s), h * s, w * s)

    def mixes(self) -> Mixes:
        return (frozenset({1, 2, 3}),)


@digital("tensor.space_to_depth")
class SpaceToDepth(Unary):
    """``block × block`` pixels stacked as channels: the inverse of :class:`DepthToSpace`."""

    block: int = attr()
    mode: str = attr(default="DCR")

    def infer(self) -> TensorType:
        n, *rest = want_rank(self, self.x, 4, 4)
        c, h, w = (size_of(self, d, "an image size") for d in rest)
        s = self.block
        want(self, self.mode in ("DCR", "CRD"), f"no mode `{self.mode}`")
        want(self, s > 0 and h % s == 0 == w % s, f"blocks of {s} do not tile {h} × {w}")
        return self.x.type.with_shape((n, c * s * s, h // s, w // s))

    def evaluate(self, x: Array) -> Array:
        n, c, h, w = x.shape
        s = self.block
        order = (0, 3, 5, 1, 2, 4) if self.mode == "DCR" else (0, 1, 3, 5, 2, 4)
        y = x.reshape(n, c, h // s, s, w // s, s).transpose(order)
        return y.reshape(n, c * s * s, h // s, w // s)

    def mixes(self) -> Mixes:
        return (frozenset({1, 2, 3}),)


@digital("nn.resize")
class Resize(Unary):
    """``x`` resampled along ``axes`` to ``sizes``, one axis after another.

    ``scales`` relate result to input coordinates and may differ from the ratio of sizes;
    ``roi`` holds all starts, then all ends, for ``tf_crop_and_resize``.
    """

    axes: tuple[int, ...] = attr()
    sizes: tuple[int, ...] = attr()
    scales: tuple[float, ...] = attr()
    mode: str = attr(default="nearest")
    coordinates: str = attr(default="half_pixel")
    nearest: str = attr(default="round_prefer_floor")
    cubic_coefficient: float = attr(default=-0.75)
    exclude_outside: bool = attr(default=False)
    extrapolation: float = attr(default=0.0)
    antialias: bool = attr(default=False)
    roi: tuple[float, ...] = attr(default=())

    def infer(self) -> TensorType:
        count = len(self.axes)
        want(self, len(self.sizes) == len(self.scales) == count, "one size and scale an axis")
        want(self, self.mode in ("nearest", "linear", "cubic"), f"no mode `{self.mode}`")
        want(self, self.coordinates in Coordinates.MODES, f"no coordinates `{self.coordinates}`")
        shape = list(self.x.type.shape)
        for axis, size in zip(self.axes, self.sizes, strict=True):
            size_of(self, shape[axis], "a resampled size")
            shape[axis] = size
        return self.x.type.with_shape(shape)

    def evaluate(self, x: Array) -> Array:
        y: Array = x if x.dtype.kind == "f" or self.mode == "nearest" else x.astype(np.float64)
        outside = np.zeros((1,) * x.ndim, bool)
        for i, axis in enumerate(self.axes):
            roi = (self.roi[i], self.roi[i + len(self.axes)]) if self.roi else (0.0, 1.0)
            where = Coordinates(
                mode=self.coordinates, size=x.shape[axis], result=self.sizes[i],
                scale=self.scales[i], roi=roi,
            )  # fmt: skip
            y = resampled(y, axis, where, mode=self.mode, nearest=self.nearest,
                          a=self.cubic_coefficient, exclude_outside=self.exclude_outside,
                          antialias=self.antialias)  # fmt: skip
            shape = [1] * x.ndim
            shape[axis] = -1
            outside = outside | where.outside().reshape(shape)
        if self.coordinates == "tf_crop_and_resize":
            y = np.where(outside, np.asarray(self.extrapolation, y.dtype), y)
        return keep(np.rint(y) if x.dtype.kind in "iu" else y, x)

    def mixes(self) -> Mixes:
        return (frozenset(axis % self.x.type.rank for axis in self.axes),)


@digital("nn.affine_grid")
class AffineGrid(Op):
    """Sampling points ``[N, *sizes, d]`` that ``theta`` ``[N, d, d+1]`` maps the result's to."""

    theta: Value = operand()
    sizes: tuple[int, ...] = attr()
    align_corners: bool = attr(default=False)

    def infer(self) -> TensorType:
        n, d, columns = want_rank(self, self.theta, 3, 3)
        want_same(self, d, len(self.sizes), "rows of the map and spatial dimensions")
        want_same(self, columns, len(self.sizes) + 1, "columns of the map and spatial dimensions")
        return self.theta.type.with_shape((n, *self.sizes, d))

    def evaluate(self, theta: Array) -> Array:
        points = [self._line(size) for size in self.sizes]
        grid = np.stack(np.meshgrid(*points, indexing="ij")[::-1], axis=-1)
        flat = np.concatenate([grid, np.ones((*self.sizes, 1))], axis=-1).reshape(-1, grid.ndim)
        y = flat.astype(theta.dtype) @ np.swapaxes(theta, 1, 2)
        return np.asarray(y.reshape(len(theta), *self.sizes, len(self.sizes)))

    def _line(self, size: int) -> Array:
        if self.align_corners:
            return np.linspace(-1, 1, size) if size > 1 else np.array([-1.0])
        return (2 * np.arange(size) + 1) / size - 1

    def mixes(self) -> Mixes:
        return (frozenset({1, 2}),)
