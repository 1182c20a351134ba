"""Normalisation layers."""

from __future__ import annotations

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import as_type, ints, refuse, reshaped, scalar_like
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.elementwise import Add, Div, Mul, Sub
from neutrams.ir.ops.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LpNorm,
    Lrn,
    RmsNorm,
)  # fmt: skip
from neutrams.ir.ops.reductions import ReduceMean
from neutrams.ir.ops.tensors import Expand
from neutrams.ir.ops.unary import Reciprocal, Sqrt
from neutrams.ir.types import DType


@handles("BatchNormalization")
def batch_norm(node: Node, build: Builder) -> Value:
    """With running statistics; batches that normalise themselves belong to training."""
    x = node[0]
    if node.attr("training_mode", 0):
        raise node.fault("NT0610", "`training_mode` is set")
    if node.version < 7 and not node.attr("is_test", 0):
        raise node.fault("NT0610", "`is_test` is not set")
    if node.version < 9:
        refuse(node, "spatial", unless=1)
    scale, bias, mean, variance = (as_type(build, node[i], x.type.dtype) for i in range(1, 5))
    epsilon = node.attr("epsilon", 1e-5)
    return build.add(BatchNorm(x, scale, bias, mean, variance, epsilon=epsilon))


@handles("LayerNormalization")
def layer_norm(node: Node, build: Builder) -> tuple[Value, ...]:
    refuse(node, "stash_type", unless=1)
    x, scale, bias = node[0], node[1], node.get(2)
    axis, epsilon = node.attr("axis", -1), node.attr("epsilon", 1e-5)
    y = build.add(LayerNorm(x, scale, bias, axis=axis, epsilon=epsilon))
    if node.outputs < 2:
        return (y,)
    exact = as_type(build, x, DType.F32)
    axes = tuple(range(axis % x.type.rank, x.type.rank))
    mean = build.add(ReduceMean(exact, axes=axes))
    centred = build.add(Sub(exact, mean))
    variance = build.add(ReduceMean(build.add(Mul(centred, centred)), axes=axes))
    held = build.add(Add(variance, scalar_like(build, epsilon, variance)))
    return y, mean, build.add(Reciprocal(build.add(Sqrt(held))))


@handles("RMSNormalization")
def rms_norm(node: Node, build: Builder) -> Value:
    refuse(node, "stash_type", unless=1)
    axis, epsilon = node.attr("axis", -1), node.attr("epsilon", 1e-5)
    return build.add(RmsNorm(node[0], node[1], axis=axis, epsilon=epsilon))


@handles("InstanceNormalization")
def instance_norm(node: Node, build: Builder) -> Value:
    return build.add(InstanceNorm(node[0], node[1], node[2], epsilon=node.attr("epsilon", 1e-5)))


@handles("GroupNormalization")
def group_norm(node: Node, build: Builder) -> Value:
    """Scale and bias have one number for each group up to opset 20, then for each channel."""
    refuse(node, "stash_type", unless=1)
    x, groups = node[0], int(node.required("num_groups"))
    channels = x.type.shape[1]
    scale, bias = node[1], node[2]
    if node.version < 21 and isinstance(channels, int):
        scale, bias = (_repeated(build, v, groups, channels // groups) for v in (scale, bias))
    epsilon = node.attr("epsilon", 1e-5)
    return build.add(GroupNorm(x, scale, bias, groups=groups, epsilon=epsilon))


def _repeated(build: Builder, vector: Value, groups: int, each: int) -> Value:
    column = reshaped(build, vector, (groups, 1))
    return reshaped(build, build.add(Expand(column, shape=(groups, each))), (groups * each,))


@handles("LpNormalization")
def lp_norm(node: Node, build: Builder) -> Value:
    return build.add(LpNorm(node[0], axis=node.attr("axis", -1), p=node.attr("p", 2)))


@handles("LRN")
def lrn(node: Node, build: Builder) -> Value:
    alpha, beta = node.attr("alpha", 1e-4), node.attr("beta", 0.75)
    bias = node.attr("bias", 1.0)
    return build.add(Lrn(node[0], size=node.required("size"), alpha=alpha, beta=beta, bias=bias))


@handles("MeanVarianceNormalization")
def mean_variance_norm(node: Node, build: Builder) -> Value:
    """``(x - mean) / (deviation + 1e-9)`` over ``axes``."""
    x = node[0]
    axes = ints(np.asarray(node.attr("axes", (0, 2, 3))))
    mean = build.add(ReduceMean(x, axes=axes))
    centred = build.add(Sub(x, mean))
    variance = build.add(ReduceMean(build.add(Mul(centred, centred)), axes=axes))
    deviation = build.add(Sqrt(variance))
    return build.add(Div(centred, build.add(Add(deviation, scalar_like(build, 1e-9, x)))))
