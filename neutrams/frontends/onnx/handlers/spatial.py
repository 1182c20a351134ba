"""Images: blocks of pixels, resampling, sampling grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import choice, ints, positive
from neutrams.frontends.onnx.handlers.geometry import whole
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
    targets = [_by_scale(node, axis, scale) for axis, scale in enumerate(scales) if scale != 1]
    mode = "nearest" if mode == "nearest" else "linear"
    return _resized(node, build, targets, mode=mode, coordinates="asymmetric", nearest="floor")


@handles("Resize", since=11)
def resize(node: Node, build: Builder) -> Value:
    rank = node[0].type.rank
    axes = [positive(a, rank, node) for a in node.attr("axes", range(rank))]
    where = "coordinate_transformation_mode"
    coordinates = choice(node, where, "half_pixel", *sorted(Coordinates.MODES))
    crop = coordinates == "tf_crop_and_resize"
    targets = _targets(node, axes, every=crop)
    roi: tuple[float, ...] = ()
    if crop:
        given = [float(r) for r in node.const(1)]
        places = [axes.index(target.axis) for target in targets]
        roi = tuple(given[i + side] for side in (0, len(axes)) for i in places)
    return _resized(
        node,
        build,
        targets,
        mode=choice(node, "mode", "nearest", "nearest", "linear", "cubic"),
        coordinates=coordinates,
        nearest=choice(node, "nearest_mode", "round_prefer_floor", *_NEAREST),
        cubic_coefficient=float(node.attr("cubic_coeff_a", -0.75)),
        exclude_outside=bool(node.attr("exclude_outside", 0)),
        extrapolation=float(node.attr("extrapolation_value", 0.0)),
        antialias=bool(node.attr("antialias", 0)),
        roi=roi,
    )


@dataclass(frozen=True, slots=True)
class Target:
    """What becomes of one axis."""

    axis: int
    size: int
    scale: float


def _targets(node: Node, axes: Sequence[int], *, every: bool) -> list[Target]:
    """Return the axes that change, or ``every`` one; the node gives scales or sizes."""
    shape = node[0].type.shape
    if node.get(3) is None or node[3].type.elements == 0:
        scales = [float(s) for s in node.const(2)]
        pairs = zip(axes, scales, strict=True)
        return [_by_scale(node, axis, scale) for axis, scale in pairs if every or scale != 1]
    known = ("stretch", "not_larger", "not_smaller")
    policy = choice(node, "keep_aspect_ratio_policy", "stretch", *known)
    wanted = dict(zip(axes, node.dims(3), strict=True))
    changed = [axis for axis in axes if every or wanted[axis] != shape[axis]]
    sizes = {axis: (whole(node, wanted[axis]), whole(node, shape[axis])) for axis in changed}
    if policy == "stretch":
        return [Target(axis, size, size / have) for axis, (size, have) in sizes.items()]
    ratios = [whole(node, wanted[axis]) / whole(node, shape[axis]) for axis in axes]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [Target(a, int(np.floor(scale * whole(node, shape[a]) + 0.5)), scale) for a in axes]


def _by_scale(node: Node, axis: int, scale: float) -> Target:
    return Target(axis, int(np.floor(whole(node, node[0].type.shape[axis]) * scale)), scale)


def _resized(node: Node, build: Builder, targets: Sequence[Target], **options: Any) -> Value:
    if not targets:
        return node[0]
    axes, sizes = tuple(t.axis for t in targets), tuple(t.size for t in targets)
    scales = tuple(t.scale for t in targets)
    return build.add(Resize(node[0], axes=axes, sizes=sizes, scales=scales, **options))


@handles("AffineGrid")
def affine_grid(node: Node, build: Builder) -> Value:
    sizes = ints(node.const(1))[2:]
    corners = bool(node.attr("align_corners", 0))
    return build.add(AffineGrid(node[0], sizes=sizes, align_corners=corners))
