"""Images: blocks of pixels, resampling, sampling grids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import choice, ints, positive
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.resampling import Coordinates
from neutrams.ir.ops.spatial import AffineGrid, DepthToSpace, Resize, SpaceToDepth

_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@handles("DepthToSpace")
def depth_to_space(node: Node, build: Builder) -> Value:
    mode = choice(node, "mode", "DCR", "DCR", "CRD")
    return build.add(DepthToSpace(node[0], block=node.required("blocksize"), mode=mode))


@handles("SpaceToDepth")
def space_to_depth(node: Node, build: Builder) -> Value:
    mode = choice(node, "mode", "DCR", "DCR", "CRD")
    return build.add(SpaceToDepth(node[0], block=node.required("blocksize"), mode=mode))


@handles("Upsample", since=7)
def upsample_attribute(node: Node, build: Builder) -> Value:
    return _upsampled(node, build, tuple(float(s) for s in node.required("scales")))


@handles("Upsample", since=9)
def upsample(node: Node, build: Builder) -> Value:
    return _upsampled(node, build, tuple(float(s) for s in node.const(1)))


@handles("Resize", since=10)
def resize_old(node: Node, build: Builder) -> Value:
    return _upsampled(node, build, tuple(float(s) for s in node.const(1)))


def _upsampled(node: Node, build: Builder, scales: Sequence[float]) -> Value:
    """Before opset 11 positions are divided by the scale, and nearest ones rounded down."""
    mode = choice(node, "mode", "nearest", "nearest", "linear", "bilinear")
    axes = [i for i, scale in enumerate(scales) if scale != 1]
    sizes = [_scaled(node, i, scales[i]) for i in axes]
    return _resized(
        node, build, axes, sizes, [scales[i] for i in axes],
        mode="nearest" if mode == "nearest" else "linear", coordinates="asymmetric",
        nearest="floor",
    )  # fmt: skip


@handles("Resize", since=11)
def resize(node: Node, build: Builder) -> Value:
    x = node[0]
    rank = x.type.rank
    axes = [positive(a, rank, node) for a in node.attr("axes", range(rank))]
    scales, sizes = _targets(node, axes)
    mode = choice(node, "mode", "nearest", "nearest", "linear", "cubic")
    coordinates = "coordinate_transformation_mode"
    where = choice(node, coordinates, "half_pixel", *sorted(Coordinates.MODES))
    roi: tuple[float, ...] = ()
    if where == "tf_crop_and_resize":
        roi = tuple(float(r) for r in node.const(1))
    kept = [i for i, axis in enumerate(axes) if _changes(node, axis, scales[i], sizes[i], where)]
    return _resized(
        node, build, [axes[i] for i in kept], [sizes[i] for i in kept], [scales[i] for i in kept],
        mode=mode, coordinates=where,
        nearest=choice(node, "nearest_mode", "round_prefer_floor", *_NEAREST),
        cubic_coefficient=float(node.attr("cubic_coeff_a", -0.75)),
        exclude_outside=bool(node.attr("exclude_outside", 0)),
        extrapolation=float(node.attr("extrapolation_value", 0.0)),
        antialias=bool(node.attr("antialias", 0)),
        roi=tuple(roi[i + side * len(axes)] for side in (0, 1) for i in kept) if roi else (),
    )  # fmt: skip


def _changes(node: Node, axis: int, scale: float, size: int, where: str) -> bool:
    return where == "tf_crop_and_resize" or scale != 1 or size != node[0].type.shape[axis]


def _targets(node: Node, axes: Sequence[int]) -> tuple[list[float], list[int]]:
    """Return scales and sizes by axis, of which the node gives one."""
    shape = node[0].type.shape
    if node.get(3) is None or not node.const(3).size:
        scales = [float(s) for s in node.const(2)]
        return scales, [_scaled(node, a, s) for a, s in zip(axes, scales, strict=True)]
    wanted = node.dims(3)
    sizes, scales = [], []
    policy = choice(
        node, "keep_aspect_ratio_policy", "stretch", "stretch", "not_larger", "not_smaller"
    )
    for axis, size in zip(axes, wanted, strict=True):
        have = shape[axis]
        if size == have:
            sizes.append(size)
            scales.append(1.0)
            continue
        if not isinstance(size, int) or not isinstance(have, int):
            raise node.fault("NT0610", f"an axis of unknown size `{have}` is resampled")
        sizes.append(size)
        scales.append(size / have)
    if policy != "stretch":
        scale = min(scales) if policy == "not_larger" else max(scales)
        have = [node[0].type.static_shape()[a] for a in axes]
        return [scale] * len(axes), [int(np.floor(scale * d + 0.5)) for d in have]
    return scales, sizes  # type: ignore[return-value]


def _scaled(node: Node, axis: int, scale: float) -> int:
    size = node[0].type.shape[axis]
    if scale == 1:
        return size  # type: ignore[return-value]
    if not isinstance(size, int):
        raise node.fault("NT0610", f"an axis of unknown size `{size}` is resampled")
    return int(np.floor(size * scale))


def _resized(
    node: Node, build: Builder, axes: Sequence[int], sizes: Sequence[int],
    scales: Sequence[float], **options: object,
) -> Value:  # fmt: skip
    if not axes:
        return node[0]
    made = Resize(node[0], axes=tuple(axes), sizes=tuple(sizes), scales=tuple(scales), **options)
    return build.add(made)


@handles("AffineGrid")
def affine_grid(node: Node, build: Builder) -> Value:
    sizes = ints(node.const(1))[2:]
    corners = bool(node.attr("align_corners", 0))
    return build.add(AffineGrid(node[0], sizes=sizes, align_corners=corners))
