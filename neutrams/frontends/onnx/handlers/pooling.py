"""Pools over windows and over whole images."""

from __future__ import annotations

from collections.abc import Callable

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import ints, scalar_like
from neutrams.frontends.onnx.handlers.geometry import geometry
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.elementwise import Pow
from neutrams.ir.ops.pooling import AveragePool, LpPool, MaxPool, MaxPoolIndices, MaxUnpool, Pool
from neutrams.ir.ops.reductions import ReduceL1, ReduceL2, ReduceMax, ReduceMean, ReduceSum
from neutrams.ir.ops.unary import Abs
from neutrams.ir.windows import filled


@handles("MaxPool")
def max_pool(node: Node, build: Builder) -> tuple[Value, ...]:
    pooled = build.add(_pool(MaxPool, node))
    if node.outputs < 2:
        return (pooled,)
    column_major = bool(node.attr("storage_order", 0))
    return pooled, build.add(_pool(MaxPoolIndices, node, column_major=column_major))


@handles("AveragePool")
def average_pool(node: Node, build: Builder) -> Value:
    include = bool(node.attr("count_include_pad", 0))
    return build.add(_pool(AveragePool, node, count_include_pad=include))


@handles("LpPool")
def lp_pool(node: Node, build: Builder) -> Value:
    return build.add(_pool(LpPool, node, p=int(node.attr("p", 2))))


@handles("MaxUnpool")
def max_unpool(node: Node, build: Builder) -> Value:
    """Indices number the elements of the smallest result, the shape asked for may be larger."""
    kernel = tuple(node.required("kernel_shape"))
    rank = len(kernel)
    strides, pads, _ = filled(rank, node.attr("strides", ()), node.attr("pads", ()), ())
    sizes = node[0].type.static_shape()[2:]
    least = tuple(
        (d - 1) * s - pads[i] - pads[i + rank] + k
        for i, (d, s, k) in enumerate(zip(sizes, strides, kernel, strict=True))
    )
    wanted = least if node.get(2) is None else ints(node.const(2))[2:]
    return build.add(MaxUnpool(node[0], node[1], sizes=wanted, numbered=least))


def _spatial(node: Node) -> tuple[int, ...]:
    if node[0].type.rank < 3:
        raise node.fault("NT0611", f"`{node[0].type}` has no spatial dimensions")
    return tuple(range(2, node[0].type.rank))


def _global(make: Callable[..., Op]) -> Callable[[Node, Builder], Value]:
    return lambda node, build: build.add(make(node[0], axes=_spatial(node), keepdims=True))


handles("GlobalAveragePool")(_global(ReduceMean))
handles("GlobalMaxPool")(_global(ReduceMax))


@handles("GlobalLpPool")
def global_lp_pool(node: Node, build: Builder) -> Value:
    p, axes = int(node.attr("p", 2)), _spatial(node)
    if p in (1, 2):
        return build.add((ReduceL1 if p == 1 else ReduceL2)(node[0], axes=axes, keepdims=True))
    powers = build.add(Pow(build.add(Abs(node[0])), scalar_like(build, p, node[0])))
    total = build.add(ReduceSum(powers, axes=axes, keepdims=True))
    return build.add(Pow(total, scalar_like(build, 1 / p, total)))


def _pool(make: Callable[..., Pool], node: Node, **options: int) -> Pool:
    kernel, sizes = tuple(node.required("kernel_shape")), node[0].type.shape[2:]
    if len(sizes) != len(kernel):
        raise node.fault("NT0611", f"a kernel {list(kernel)} does not fit `{node[0].type}`")
    found = geometry(node, sizes, kernel)
    return make(
        node[0],
        kernel=kernel,
        strides=found.strides,
        pads=found.pads,
        dilations=found.dilations,
        ceil_mode=bool(node.attr("ceil_mode", 0)),
        **options,
    )
