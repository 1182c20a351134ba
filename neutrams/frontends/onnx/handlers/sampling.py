"""Reading images between their pixels."""

from __future__ import annotations

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import choice, ints
from neutrams.frontends.onnx.handlers.geometry import geometry
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.sampling import Col2im, DeformConv, GridSample, RoiAlign

_MODES = {"bilinear": "linear", "bicubic": "cubic"}
"""Names of opset 16."""


@handles("GridSample")
def grid_sample(node: Node, build: Builder) -> Value:
    mode = choice(node, "mode", "linear", "linear", "nearest", "cubic", *_MODES)
    padding = choice(node, "padding_mode", "zeros", "zeros", "border", "reflection")
    corners = bool(node.attr("align_corners", 0))
    mode = _MODES.get(mode, mode)
    return build.add(
        GridSample(node[0], node[1], mode=mode, padding=padding, align_corners=corners)
    )


@handles("RoiAlign")
def roi_align(node: Node, build: Builder) -> Value:
    """Regions are not moved by half a pixel up to opset 15."""
    usual = "half_pixel" if node.version >= 16 else "output_half_pixel"
    where = "coordinate_transformation_mode"
    half = choice(node, where, usual, "half_pixel", "output_half_pixel") == "half_pixel"
    return build.add(
        RoiAlign(
            node[0],
            node[1],
            node[2],
            size=(node.attr("output_height", 1), node.attr("output_width", 1)),
            mode=choice(node, "mode", "avg", "avg", "max"),
            samples=node.attr("sampling_ratio", 0),
            scale=float(node.attr("spatial_scale", 1.0)),
            half_pixel=half,
        )
    )


@handles("DeformConv")
def deform_conv(node: Node, build: Builder) -> Value:
    x, w = node[0], node[1]
    found = geometry(node, x.type.shape[2:], w.type.static_shape()[2:])
    return build.add(
        DeformConv(
            x,
            w,
            node[2],
            node.get(3),
            node.get(4),
            strides=found.strides,
            pads=found.pads,
            dilations=found.dilations,
            groups=node.attr("group", 1),
            offset_groups=node.attr("offset_group", 1),
        )
    )


@handles("Col2Im")
def col2im(node: Node, build: Builder) -> Value:
    sizes, block = ints(node.const(1)), ints(node.const(2))
    found = geometry(node, sizes, block)
    return build.add(
        Col2im(
            node[0],
            sizes=sizes,
            block=block,
            strides=found.strides,
            pads=found.pads,
            dilations=found.dilations,
        )
    )
