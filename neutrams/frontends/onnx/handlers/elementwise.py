"""Arithmetic, comparison, logic and rounding, element by element."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import broadcast_pair, choice, scalar_like
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.frontends.onnx.tensors import dtype_of
from neutrams.ir.op import Op, Value
from neutrams.ir.ops import elementwise as two
from neutrams.ir.ops import unary as one
from neutrams.ir.ops.activations import Clip
from neutrams.ir.ops.tensors import Cast

_UNARY: dict[str, Callable[[Value], Op]] = {
    "Abs": one.Abs,
    "Acos": one.Acos,
    "Acosh": one.Acosh,
    "Asin": one.Asin,
    "Asinh": one.Asinh,
    "Atan": one.Atan,
    "Atanh": one.Atanh,
    "BitwiseNot": one.BitwiseNot,
    "Ceil": one.Ceil,
    "Cos": one.Cos,
    "Cosh": one.Cosh,
    "Erf": one.Erf,
    "Exp": one.Exp,
    "Floor": one.Floor,
    "IsNaN": one.IsNan,
    "Log": one.Log,
    "Neg": one.Neg,
    "Not": one.LogicalNot,
    "Reciprocal": one.Reciprocal,
    "Round": one.Round,
    "Sign": one.Sign,
    "Sin": one.Sin,
    "Sinh": one.Sinh,
    "Sqrt": one.Sqrt,
    "Tan": one.Tan,
}
_BINARY: dict[str, Callable[[Value, Value], Op]] = {
    "Add": two.Add,
    "And": two.LogicalAnd,
    "BitwiseAnd": two.BitwiseAnd,
    "BitwiseOr": two.BitwiseOr,
    "BitwiseXor": two.BitwiseXor,
    "Div": two.Div,
    "Equal": two.Equal,
    "Greater": two.Greater,
    "GreaterOrEqual": two.GreaterEqual,
    "Less": two.Less,
    "LessOrEqual": two.LessEqual,
    "Mul": two.Mul,
    "Or": two.LogicalOr,
    "Pow": two.Pow,
    "Sub": two.Sub,
    "Xor": two.LogicalXor,
}
_VARIADIC: dict[str, Callable[[Value, Value], Op]] = {
    "Max": two.Maximum,
    "Min": two.Minimum,
    "Sum": two.Add,
}


def every(node: Node) -> tuple[Value, ...]:
    """Return all inputs of a node that takes any number of them, at least one."""
    return tuple(node[i] for i in range(max(len(node), 1)))


def _unary(make: Callable[[Value], Op]) -> Callable[[Node, Builder], Value]:
    return lambda node, build: build.add(make(node[0]))


def _binary(make: Callable[[Value, Value], Op]) -> Callable[[Node, Builder], Value]:
    return lambda node, build: build.add(make(*broadcast_pair(node, build)))


def _variadic(make: Callable[[Value, Value], Op]) -> Callable[[Node, Builder], Value]:
    def handler(node: Node, build: Builder) -> Value:
        return reduce(lambda a, b: build.add(make(a, b)), every(node))

    return handler


for _name, _one in _UNARY.items():
    handles(_name)(_unary(_one))
for _name, _two in _BINARY.items():
    handles(_name)(_binary(_two))
for _name, _two in _VARIADIC.items():
    handles(_name)(_variadic(_two))


@handles("Mean")
def mean(node: Node, build: Builder) -> Value:
    total = _variadic(two.Add)(node, build)
    return build.add(two.Div(total, scalar_like(build, len(node), total)))


@handles("Mod")
def mod(node: Node, build: Builder) -> Value:
    truncated = bool(node.attr("fmod", 0))
    return build.add(two.Mod(node[0], node[1], truncated=truncated))


@handles("BitShift")
def bit_shift(node: Node, build: Builder) -> Value:
    direction = choice(node, "direction", "", "LEFT", "RIGHT")
    return build.add(two.BitShift(node[0], node[1], direction=direction.lower()))


@handles("IsInf")
def is_inf(node: Node, build: Builder) -> Value:
    positive, negative = node.attr("detect_positive", 1), node.attr("detect_negative", 1)
    return build.add(one.IsInf(node[0], positive=bool(positive), negative=bool(negative)))


@handles("Where")
def where(node: Node, build: Builder) -> Value:
    return build.add(two.Where(node[0], node[1], node[2]))


@handles("Clip")
def clip_attributes(node: Node, build: Builder) -> Value:
    """Bounds are attributes up to opset 10."""
    return _clipped(build, node[0], node.attr("min", -np.inf), node.attr("max", np.inf))


@handles("Clip", since=11)
def clip_inputs(node: Node, build: Builder) -> Value:
    """Bounds are inputs; where they depend on data they are compared with."""
    x, low, high = node[0], node.get(1), node.get(2)
    known = [None if v is None else build.const_of(v) for v in (low, high)]
    if all(v is None or k is not None for v, k in zip((low, high), known, strict=True)):
        low_number = -np.inf if known[0] is None else float(known[0].item())
        high_number = np.inf if known[1] is None else float(known[1].item())
        return _clipped(build, x, low_number, high_number)
    if low is not None:
        x = build.add(two.Maximum(x, low))
    return x if high is None else build.add(two.Minimum(x, high))


def _clipped(build: Builder, x: Value, low: float, high: float) -> Value:
    if low == -np.inf and high == np.inf:
        return x
    return build.add(Clip(x, low=float(low), high=float(high)))


@handles("BitCast")
def bit_cast(node: Node, build: Builder) -> Value:
    dtype = dtype_of(node.required("to"), node.where)
    return build.add(Cast(node[0], dtype=dtype, bits=True))
