"""How operators state axes, windows and broadcasting, which changed from version to version."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.node import Node
from neutrams.ir.op import Value
from neutrams.ir.ops.tensors import Cast, Reshape
from neutrams.ir.types import Array, Dim, DType


def choice(node: Node, name: str, default: str, *known: str) -> str:
    """Return a word among those supported; raise NT0610 for any other."""
    word = str(node.attr(name, default))
    if word not in known:
        message = f"`{name}` is `{word}`"
        raise node.fault("NT0610", f"{message}; supported: {', '.join(known)}")
    return word


def refuse(node: Node, name: str, *, unless: object) -> None:
    """Raise NT0610 where an attribute is set to anything but the one value that is supported."""
    value = node.attr(name, unless)
    if value != unless:
        raise node.fault("NT0610", f"`{name}` = {value} is not supported, only {unless}")


def positive(axis: int, rank: int, node: Node) -> int:
    """Return an axis counted from the front; raise NT0611 where there is none such."""
    if not -rank <= axis < max(rank, 1):
        raise node.fault("NT0611", f"axis {axis} is out of range for {rank} dimensions")
    return axis % max(rank, 1)


def ints(array: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.asarray(array).reshape(-1))


def int_list(node: Node, name: str, index: int, *, since: int) -> tuple[int, ...] | None:
    """Return integers that are an attribute before opset ``since`` and an input from it on."""
    if node.version < since:
        found = node.attr(name, None)
        return None if found is None else tuple(found)
    return None if node.get(index) is None else ints(node.const(index))


def scalar_like(build: Builder, number: float, like: Value) -> Value:
    """Return a constant of another value's element type."""
    return build.constant(np.array(number, like.type.dtype.numpy))


def reshaped(build: Builder, x: Value, shape: Sequence[Dim]) -> Value:
    """Return ``x`` in another shape, itself where the shape is the same."""
    return x if x.type.shape == tuple(shape) else build.add(Reshape(x, shape=tuple(shape)))


def as_type(build: Builder, x: Value, dtype: DType) -> Value:
    """Return ``x`` cast, itself where it has the type already."""
    return x if x.type.dtype is dtype else build.add(Cast(x, dtype=dtype))


def broadcast_pair(node: Node, build: Builder) -> tuple[Value, Value]:
    """Return two operands, the second shaped so that it broadcasts as in NumPy.

    Before opset 7, ``axis`` says along which axis of the first operand the second begins.
    """
    a, b = node[0], node[1]
    if node.version >= 7 or not node.attr("broadcast", 0) or "axis" not in node.attrs:
        return a, b
    axis = positive(node.attr("axis", 0), a.type.rank, node)
    behind = a.type.rank - axis - b.type.rank
    return a, reshaped(build, b, (*b.type.shape, *(1,) * behind))
