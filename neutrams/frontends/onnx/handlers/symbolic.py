"""Spreads values along dimensions that are only symbols, such as a class token over the batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.node import Node
from neutrams.ir.op import Value
from neutrams.ir.ops.elementwise import Equal, Where
from neutrams.ir.ops.tensors import Expand, Reshape, Slice
from neutrams.ir.types import Dim, Shape, Symbol, broadcast


def expanded(node: Node, x: Value, shape: Sequence[Dim], build: Builder) -> Value:
    """Return ``x`` broadcast with ``shape``; the result has the wider of both.

    A symbol that the type of ``x`` does not name is learnt from an input of the model: a choice
    between ``x`` and ``x``, by a condition as long as that input.

    Raises:
        NeutramsError: NT0103, the shapes do not broadcast; NT0605, no input has the symbol.
    """
    wide = broadcast(x.type.shape, tuple(shape))
    known = _names(x.type.shape)
    for axis, dim in enumerate(wide):
        if isinstance(dim, Symbol) and not set(dim.names) <= known:
            condition = _as_long_as(node, dim, len(wide) - 1 - axis, build)
            x = build.add(Where(condition, x, x))
            known |= set(dim.names)
    return x if x.type.shape == wide else build.add(Expand(x, shape=wide))


def _as_long_as(node: Node, dim: Symbol, behind: int, build: Builder) -> Value:
    """Return truth values of shape ``[dim, 1, ...]`` with ``behind`` axes of size 1."""
    for value in build.graph.inputs:
        if dim in value.type.shape and len(_names(value.type.shape)) == 1:
            return _lengthwise(value, value.type.shape.index(dim), behind, build)
    message = f"`{node.op_type}` needs the size `{dim}`, which no input of the model has"
    raise node.fault("NT0605", message)


def _lengthwise(value: Value, axis: int, behind: int, build: Builder) -> Value:
    shape = value.type.shape
    others = tuple(i for i in range(len(shape)) if i != axis)
    if prod(d for i, d in enumerate(shape) if i != axis and isinstance(d, int)) != 1:
        ones = (1,) * len(others)
        value = build.add(Slice(value, starts=(0,) * len(others), ends=ones, axes=others))
    value = build.add(Reshape(value, shape=(shape[axis], *(1,) * behind)))
    return build.add(Equal(value, value))


def _names(shape: Shape) -> set[str]:
    return {name for dim in shape if isinstance(dim, Symbol) for name in dim.names}
