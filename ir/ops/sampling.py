"""Reading images between their pixels: sampling grids, regions of interest, moved taps."""

from __future__ import annotations

import itertools

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import (
    NONE,
    Mixes,
    digital,
    keep,
    same_dtype,
    size_of,
    want,
    want_rank,
    want_same,
)  # fmt: skip
from neutrams.ir.ops.products import matmul
from neutrams.ir.ops.resampling import cubic
from neutrams.ir.types import Array, TensorType
from neutrams.ir.windows import filled, out_sizes


@digital("nn.grid_sample")
class GridSample(Op):
    """``x`` ``[N, C, *sizes]`` read at the points of ``grid`` ``[N, *out, d]``.

    Points run from -1 to 1, last spatial axis first; ``padding`` says what lies outside.
    """

    x: Value = operand()
    grid: Value = operand()
    mode: str = attr(default="linear")
    padding: str = attr(default="zeros")
    align_corners: bool = attr(default=False)

    def infer(self) -> TensorType:
        x, grid = want_rank(self, self.x, 3), want_rank(self, self.grid, 3)
        want(self, self.mode in ("linear", "nearest", "cubic"), f"no mode `{self.mode}`")
        known = ("zeros", "border", "reflection")
        want(self, self.padding in known, f"no padding `{self.padding}`")
        want_same(self, len(grid), len(x), "ranks of the image and the grid")
        want_same(self, grid[-1], len(x) - 2, "coordinates of a point and spatial dimensions")
        want_same(self, grid[0], x[0], "samples of the image and of the grid")
        return self.x.type.with_shape((*x[:2], *grid[1:-1]))

    def evaluate(self, x: Array, grid: Array) -> Array:
        points = [self._pixels(grid[..., -1 - i], size) for i, size in enumerate(x.shape[2:])]
        taps = [self._taps(p, size) for p, size in zip(points, x.shape[2:], strict=True)]
        total = np.zeros((len(x), x.shape[1], *grid.shape[1:-1]), np.float64)
        for chosen in itertools.product(*taps):
            weight = np.prod([w for _, w in chosen], axis=0)
            total += pixels(x, [i for i, _ in chosen]) * weight[:, None]
        return keep(total, x)

    def _pixels(self, points: Array, size: int) -> Array:
        if self.align_corners:
            return (points.astype(np.float64) + 1) / 2 * (size - 1)
        return ((points.astype(np.float64) + 1) * size - 1) / 2

    def _taps(self, points: Array, size: int) -> list[tuple[Array, Array]]:
        """Return index and weight of each neighbour along one axis."""
        if self.mode == "nearest":
            found = [(np.rint(points), np.ones_like(points))]
        else:
            reach = 1 if self.mode == "linear" else 2
            places = [np.floor(points) + i for i in range(1 - reach, reach + 1)]
            kernel = triangle if self.mode == "linear" else cubic
            found = [(place, kernel(np.abs(place - points))) for place in places]
        return [self._held(place, weight, size) for place, weight in found]

    def _held(self, place: Array, weight: Array, size: int) -> tuple[Array, Array]:
        if self.padding == "zeros":
            weight = weight * ((place >= 0) & (place < size))
        elif self.padding == "reflection":
            low, high = (0.0, size - 1.0) if self.align_corners else (-0.5, size - 0.5)
            span = max(high - low, 1e-9)
            folded = np.mod(place - low, 2 * span)
            place = low + np.minimum(folded, 2 * span - folded)
        return np.clip(place, 0, size - 1).astype(np.int64), weight

    def mixes(self) -> Mixes:
        last = self.grid.type.rank - 1
        return (frozenset(range(2, self.x.type.rank)), frozenset({last}))


@digital("nn.roi_align")
class RoiAlign(Op):
    """``x`` averaged (or its maximum) in a grid of bins over each region ``[x1, y1, x2, y2]``.

    With ``samples`` = 0 each bin is read at one point a pixel. He et al., "Mask R-CNN", 2017.
    """

    x: Value = operand()
    regions: Value = operand()
    images: Value = operand()
    size: tuple[int, ...] = attr(default=(1, 1))
    mode: str = attr(default="avg")
    samples: int = attr(default=0)
    scale: float = attr(default=1.0)
    half_pixel: bool = attr(default=True)

    def infer(self) -> TensorType:
        x, regions = want_rank(self, self.x, 4, 4), want_rank(self, self.regions, 2, 2)
        want(self, self.mode in ("avg", "max") and len(self.size) == 2, f"no mode `{self.mode}`")
        return self.x.type.with_shape((regions[0], x[1], *self.size))

    def evaluate(self, x: Array, regions: Array, images: Array) -> Array:
        pairs = zip(regions, images, strict=True)
        made = [self._region(x[int(image)], region) for region, image in pairs]
        return keep(np.stack(made), x) if made else np.zeros((0, x.shape[1], *self.size), x.dtype)

    def _region(self, image: Array, region: Array) -> Array:
        ends = region.astype(np.float64) * self.scale - 0.5 * self.half_pixel
        starts, spans = ends[1::-1], (ends[2:] - ends[:2])[::-1]
        spans = spans if self.half_pixel else np.maximum(spans, 1)
        axes = []
        for i, (start, span, bins) in enumerate(zip(starts, spans, self.size, strict=True)):
            each = self.samples or max(int(np.ceil(span / bins)), 1)
            points = start + (np.arange(bins * each) + 0.5) * span / bins / each
            axes.append(self._taps(points, image.shape[1 + i]))
        parts = np.stack([
            image[:, iy][:, :, ix] * (wy[:, None] * wx) for iy, wy in axes[0] for ix, wx in axes[1]
        ])  # fmt: skip
        read = parts.sum(axis=0) if self.mode == "avg" else parts.max(axis=0)
        h, w = self.size
        binned = read.reshape(len(image), h, read.shape[1] // h, w, read.shape[2] // w)
        return np.asarray(binned.mean((2, 4)) if self.mode == "avg" else binned.max((2, 4)))

    def _taps(self, points: Array, size: int) -> list[tuple[Array, Array]]:
        inside = (points >= -1) & (points <= size)
        held = np.clip(points, 0, size - 1)
        low = np.minimum(np.floor(held).astype(np.int64), size - 1)
        share = held - low
        return [(low, (1 - share) * inside), (np.minimum(low + 1, size - 1), share * inside)]


@digital("nn.deform_conv")
class DeformConv(Op):
    """A convolution whose taps are moved by ``offset`` and weighed by ``mask``.

    ``offset`` is ``[N, offset_groups * prod(kernel) * d, *out]``, the coordinates of a tap next
    to each other. Dai et al., "Deformable Convolutional Networks", 2017.
    """

    x: Value = operand()
    w: Value = operand()
    offset: Value = operand()
    b: Value | None = operand(default=None)
    mask: Value | None = operand(default=None)
    strides: tuple[int, ...] = attr(default=())
    pads: tuple[int, ...] = attr(default=())
    dilations: tuple[int, ...] = attr(default=())
    groups: int = attr(default=1)
    offset_groups: int = attr(default=1)

    def infer(self) -> TensorType:
        same_dtype(self, self.x, self.w, self.offset, self.b, self.mask)
        x, w = want_rank(self, self.x, 3), want_rank(self, self.w, self.x.type.rank)
        kernel = [size_of(self, d, "the kernel") for d in w[2:]]
        channels = size_of(self, w[1], "the number of channels") * self.groups
        want_same(self, x[1], channels, "channels of the input and of the filters")
        out = out_sizes(x[2:], kernel, self.strides, self.pads, self.dilations)
        wanted = self.offset_groups * int(np.prod(kernel)) * len(kernel)
        if self.offset.type.shape[1:] != (wanted, *out):
            raise self.fault("NT0107", f"offsets `{self.offset.type}` do not fit the windows")
        return self.x.type.with_shape((x[0], w[0], *out))

    def evaluate(
        self, x: Array, w: Array, offset: Array, b: Array | None = None, mask: Array | None = None
    ) -> Array:
        n, c, *sizes = x.shape
        kernel, out, d = w.shape[2:], offset.shape[2:], len(sizes)
        strides, pads, dilations = filled(d, self.strides, self.pads, self.dilations)
        moves = offset.reshape(n, self.offset_groups, *kernel, d, *out)
        grid = np.indices(out)
        seen = np.zeros((n, c, *kernel, *out), x.dtype)
        each = c // self.offset_groups
        for group, place in itertools.product(range(self.offset_groups), np.ndindex(*kernel)):
            at = moves[(slice(None), group, *place)].astype(np.float64)
            points = [
                at[:, i] + grid[i] * strides[i] - pads[i] + place[i] * dilations[i]
                for i in range(d)
            ]
            part = slice(group * each, (group + 1) * each)
            seen[(slice(None), part, *place)] = _between(x[:, part], points)
        if mask is not None:
            weights = mask.reshape(n, self.offset_groups, 1, *kernel, *out)
            seen = seen.reshape(n, self.offset_groups, each, *kernel, *out) * weights
        flat = seen.reshape(n, self.groups, -1, int(np.prod(out)))
        y = matmul(w.reshape(self.groups, len(w) // self.groups, -1), flat)
        y = y.reshape(n, len(w), *out)
        return y if b is None else y + b.reshape(-1, *(1,) * d)

    def mixes(self) -> Mixes:
        def all_but_batch(value: Value) -> frozenset[int]:
            return frozenset(range(1, value.type.rank))

        every = frozenset(range(self.w.type.rank))
        bias = NONE if self.b is None else frozenset({0})
        mask = NONE if self.mask is None else all_but_batch(self.mask)
        return (all_but_batch(self.x), every, all_but_batch(self.offset), bias, mask)


@digital("nn.col2im")
class Col2im(Op):
    """Blocks ``[N, C * prod(block), L]`` added up where they lie in an image of ``sizes``."""

    x: Value = operand()
    sizes: tuple[int, ...] = attr()
    block: tuple[int, ...] = attr()
    strides: tuple[int, ...] = attr(default=())
    pads: tuple[int, ...] = attr(default=())
    dilations: tuple[int, ...] = attr(default=())

    def infer(self) -> TensorType:
        n, rows, count = want_rank(self, self.x, 3, 3)
        out = out_sizes(self.sizes, self.block, self.strides, self.pads, self.dilations)
        want_same(self, count, int(np.prod(out)), "blocks and their places")
        channels, rest = divmod(size_of(self, rows, "the rows"), int(np.prod(self.block)))
        want(self, rest == 0, f"{rows} rows are no whole blocks")
        return self.x.type.with_shape((n, channels, *self.sizes))

    def evaluate(self, x: Array) -> Array:
        d = len(self.sizes)
        strides, pads, dilations = filled(d, self.strides, self.pads, self.dilations)
        out = out_sizes(self.sizes, self.block, strides, pads, dilations)
        blocks = x.reshape(len(x), -1, *self.block, *out)
        full = [s + pads[i] + pads[i + d] for i, s in enumerate(self.sizes)]
        y = np.zeros((*blocks.shape[:2], *full), x.dtype)
        for place in np.ndindex(*self.block):
            cut = [
                slice(p * e, p * e + (k - 1) * s + 1, s)
                for p, e, k, s in zip(place, dilations, out, strides, strict=True)
            ]
            y[(slice(None), slice(None), *cut)] += blocks[(slice(None), slice(None), *place)]
        inner = [slice(pads[i], pads[i] + s) for i, s in enumerate(self.sizes)]
        return y[(slice(None), slice(None), *inner)]

    def mixes(self) -> Mixes:
        return (frozenset({1, 2}),)


def pixels(x: Array, index: list[Array]) -> Array:
    """Return ``[N, C, *out]``: ``x`` ``[N, C, *sizes]`` at indices ``[N, *out]`` of each axis."""
    sample = np.arange(len(x)).reshape(-1, *(1,) * (index[0].ndim - 1))
    return np.moveaxis(np.moveaxis(x, 1, -1)[(sample, *index)], -1, 1)


def triangle(d: Array) -> Array:
    """Return the weights of linear interpolation at distances ``d``."""
    return np.asarray(np.maximum(0, 1 - d))


def _between(x: Array, points: list[Array]) -> Array:
    """Return ``x`` at points, linear between pixels and zero outside."""
    total = np.zeros((*x.shape[:2], *points[0].shape[1:]))
    for corner in itertools.product((0, 1), repeat=len(points)):
        places = [np.floor(p) + c for p, c in zip(points, corner, strict=True)]
        weight = np.ones_like(points[0])
        for place, point, size in zip(places, points, x.shape[2:], strict=True):
            weight = weight * triangle(np.abs(place - point)) * ((place >= 0) & (place < size))
        held = [
            np.clip(p, 0, s - 1).astype(np.int64) for p, s in zip(places, x.shape[2:], strict=True)
        ]
        total += pixels(x, held) * weight[:, None]
    return total
