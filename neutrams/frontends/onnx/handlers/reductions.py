"""Reductions, arg-extremes, running sums."""

from __future__ import annotations

from collections.abc import Callable

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import int_list, ints, positive
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops import reductions as red

_REDUCTIONS: dict[str, tuple[type[red.Reduction], int]] = {
    "ReduceL1": (red.ReduceL1, 18),
    "ReduceL2": (red.ReduceL2, 18),
    "ReduceLogSum": (red.ReduceLogSum, 18),
    "ReduceLogSumExp": (red.ReduceLogSumExp, 18),
    "ReduceMax": (red.ReduceMax, 18),
    "ReduceMean": (red.ReduceMean, 18),
    "ReduceMin": (red.ReduceMin, 18),
    "ReduceProd": (red.ReduceProd, 18),
    "ReduceSum": (red.ReduceSum, 13),
    "ReduceSumSquare": (red.ReduceSumSquare, 18),
}
"""The class, and the opset from which axes are an input."""


def _reduction(make: type[red.Reduction], since: int) -> Callable[[Node, Builder], Value]:
    def handler(node: Node, build: Builder) -> Value:
        x = node[0]
        axes = int_list(node, "axes", 1, since=since)
        if not axes and bool(node.attr("noop_with_empty_axes", 0)):
            return build.add(make(x, axes=(), keepdims=True))
        axes = axes or tuple(range(x.type.rank))
        return build.add(make(x, axes=axes, keepdims=bool(node.attr("keepdims", 1))))

    return handler


for _name, (_make, _since) in _REDUCTIONS.items():
    handles(_name)(_reduction(_make, _since))


def _arg(make: type[red.ArgExtreme]) -> Callable[[Node, Builder], Value]:
    def handler(node: Node, build: Builder) -> Value:
        keepdims, last = node.attr("keepdims", 1), node.attr("select_last_index", 0)
        axis = node.attr("axis", 0)
        return build.add(make(node[0], axis=axis, keepdims=bool(keepdims), last=bool(last)))

    return handler


handles("ArgMax")(_arg(red.Argmax))
handles("ArgMin")(_arg(red.Argmin))


def _running(make: type[red.Running]) -> Callable[[Node, Builder], Value]:
    def handler(node: Node, build: Builder) -> Value:
        (axis,) = ints(node.const(1))
        exclusive, reverse = bool(node.attr("exclusive", 0)), bool(node.attr("reverse", 0))
        return build.add(make(node[0], axis=axis, exclusive=exclusive, reverse=reverse))

    return handler


handles("CumSum")(_running(red.Cumsum))
handles("CumProd")(_running(red.Cumprod))


@handles("TopK")
def topk(node: Node, build: Builder) -> tuple[Value, ...]:
    """``k`` is an attribute up to opset 9; unsorted results come sorted."""
    k = node.required("k") if node.version < 10 else ints(node.const(1))[0]
    axis = positive(node.attr("axis", -1), node[0].type.rank, node)
    largest = bool(node.attr("largest", 1))
    return build.add_all(red.Topk(node[0], k=int(k), axis=axis, largest=largest))
