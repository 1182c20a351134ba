"""Operators that reorder or crop along axes."""

from __future__ import annotations

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import ints, positive
from neutrams.frontends.onnx.handlers.geometry import whole
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.tensors import Pad, ReverseSequence


@handles("ReverseSequence")
def reverse_sequence(node: Node, build: Builder) -> Value:
    batch, time = node.attr("batch_axis", 1), node.attr("time_axis", 0)
    return build.add(ReverseSequence(node[0], node[1], batch_axis=batch, time_axis=time))


@handles("CenterCropPad")
def center_crop_pad(node: Node, build: Builder) -> Value:
    """Cut, or pad with zeros, evenly on both sides; the end gets the odd one."""
    x = node[0]
    rank = x.type.rank
    axes = [positive(a, rank, node) for a in node.attr("axes", range(rank))]
    pads = [0] * (2 * rank)
    for axis, size in zip(axes, ints(node.const(1)), strict=True):
        have = whole(node, x.type.shape[axis])
        begin = (max(size, have) - min(size, have)) // 2
        end = max(size, have) - min(size, have) - begin
        sign = 1 if size >= have else -1
        pads[axis], pads[axis + rank] = sign * begin, sign * end
    return build.add(Pad(x, pads=tuple(pads))) if any(pads) else x
