"""Resampling and reading between pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from neutrams.driver.onnx.emitter import Emitter, rule
from neutrams.driver.onnx.simple import node, same
from neutrams.driver.onnx.widths import computed_in
from neutrams.ir.ops.sampling import Col2im, DeformConv, GridSample, RoiAlign
from neutrams.ir.ops.spatial import AffineGrid, Resize

same(
    GridSample,
    "GridSample",
    lambda op: {
        "mode": op.mode,
        "padding_mode": op.padding,
        "align_corners": int(op.align_corners),
    },
)


@rule(Resize)
def resize(op: Resize, emit: Emitter) -> str:
    """ONNX takes scales or sizes, each with the other following; scales say more."""
    dtype = op.x.type.dtype
    work = computed_in("Resize", dtype)
    inputs = [op.x.type.shape[axis] for axis in op.axes]
    scales = np.array(op.scales, np.float32)
    roi = emit.constant(np.array(op.roi, np.float32)) if op.roi else ""
    follows = [
        isinstance(size, int) and int(np.floor(np.float32(size) * scale)) == wanted
        for size, scale, wanted in zip(inputs, scales, op.sizes, strict=True)
    ]
    if all(follows):
        extent = (emit.constant(scales),)
    elif all(
        isinstance(size, int) and size * scale == wanted
        for size, scale, wanted in zip(inputs, op.scales, op.sizes, strict=True)
    ):
        extent = ("", emit.ints(op.sizes))  # type: ignore[assignment]
    else:
        raise op.fault("NT0550", "its sizes do not follow from its scales")
    x = emit.cast(emit[op.x], dtype, work)
    return emit.cast(emit.add("Resize", x, roi, *extent, **_how(op)), work, dtype)


def _how(op: Resize) -> dict[str, Any]:
    return {
        "axes": op.axes,
        "mode": op.mode,
        "coordinate_transformation_mode": op.coordinates,
        "nearest_mode": op.nearest,
        "cubic_coeff_a": op.cubic_coefficient,
        "exclude_outside": int(op.exclude_outside),
        "extrapolation_value": op.extrapolation,
        "antialias": int(op.antialias),
    }


@rule(AffineGrid)
def affine_grid(op: AffineGrid, emit: Emitter) -> str:
    theta = emit[op.theta]
    samples = emit.add("Shape", theta, start=0, end=1)
    sizes = emit.add("Concat", samples, emit.ints([1, *op.sizes]), axis=0)
    return emit.add("AffineGrid", theta, sizes, align_corners=int(op.align_corners))


@rule(RoiAlign)
def roi_align(op: RoiAlign, emit: Emitter) -> str:
    height, width = op.size
    return node(
        op,
        emit,
        "RoiAlign",
        mode=op.mode,
        output_height=height,
        output_width=width,
        sampling_ratio=op.samples,
        spatial_scale=op.scale,
        coordinate_transformation_mode="half_pixel" if op.half_pixel else "output_half_pixel",
    )


@rule(DeformConv)
def deform_conv(op: DeformConv, emit: Emitter) -> str:
    named = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
    return node(
        op,
        emit,
        "DeformConv",
        kernel_shape=op.w.type.static_shape()[2:],
        group=op.groups,
        offset_group=op.offset_groups,
        **{name: numbers for name, numbers in named.items() if numbers},
    )


@rule(Col2im)
def col2im(op: Col2im, emit: Emitter) -> str:
    named = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
    given = {name: numbers for name, numbers in named.items() if numbers}
    return emit.add("Col2Im", emit[op.x], emit.ints(op.sizes), emit.ints(op.block), **given)
