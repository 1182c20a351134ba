"""Gathering and scattering by index."""

from __future__ import annotations

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import as_type, choice, ints, reshaped
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.indexing import (
    Gather,
    GatherElements,
    GatherNd,
    OneHot,
    ScatterElements,
    ScatterNd,
    Update,
)  # fmt: skip
from neutrams.ir.types import DType

_REDUCTIONS = ("none", "add", "mul", "max", "min")


@handles("Gather")
def gather(node: Node, build: Builder) -> Value:
    return build.add(Gather(node[0], node[1], axis=node.attr("axis", 0)))


@handles("GatherElements")
def gather_elements(node: Node, build: Builder) -> Value:
    return build.add(GatherElements(node[0], node[1], axis=node.attr("axis", 0)))


@handles("GatherND")
def gather_nd(node: Node, build: Builder) -> Value:
    return build.add(GatherNd(node[0], node[1], batch_dims=node.attr("batch_dims", 0)))


@handles("Scatter")
@handles("ScatterElements")
def scatter_elements(node: Node, build: Builder) -> Value:
    reduction = choice(node, "reduction", "none", *_REDUCTIONS)
    axis = node.attr("axis", 0)
    return build.add(ScatterElements(node[0], node[1], node[2], axis=axis, reduction=reduction))


@handles("ScatterND")
def scatter_nd(node: Node, build: Builder) -> Value:
    reduction = choice(node, "reduction", "none", *_REDUCTIONS)
    return build.add(ScatterNd(node[0], node[1], node[2], reduction=reduction))


@handles("TensorScatter")
def tensor_scatter(node: Node, build: Builder) -> Value:
    circular = choice(node, "mode", "linear", "linear", "circular") == "circular"
    axis = node.attr("axis", -2)
    return build.add(Update(node[0], node[1], node.get(2), axis=axis, circular=circular))


@handles("OneHot")
def one_hot(node: Node, build: Builder) -> Value:
    (depth,) = ints(node.const(1))
    indices = node[0]
    if indices.type.dtype.is_float:
        indices = as_type(build, indices, DType.I64)
    return build.add(OneHot(indices, node[2], depth=depth, axis=node.attr("axis", -1)))


@handles("Compress")
def compress(node: Node, build: Builder) -> Value:
    """The result's size is that of the condition, which must be known."""
    chosen = build.constant(np.flatnonzero(node.const(1)).astype(np.int64))
    x = node[0]
    axis = node.attr("axis", None)
    if axis is None:
        x, axis = reshaped(build, x, (x.type.elements,)), 0
    return build.add(Gather(x, chosen, axis=axis))


@handles("NonZero")
def non_zero(node: Node, build: Builder) -> Value:
    """The result's size depends on the data, which must be known."""
    return build.constant(np.array(np.nonzero(node.const(0)), np.int64))
