"""Element types, sizes, and tensors made from nothing but numbers."""

from __future__ import annotations

import numpy as np
from onnx import helper

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.geometry import whole
from neutrams.frontends.onnx.handlers.symbolic import expanded
from neutrams.frontends.onnx.handlers.tensors import reshaped
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops import tensors as ops
from neutrams.ir.ops.elementwise import Mul
from neutrams.ir.ops.indexing import Trilu
from neutrams.ir.types import Array, Dim, DType, TensorType


@handles("Cast")
def cast(node: Node, build: Builder) -> Value:
    return _cast(node[0], dtype_of(node, int(node.required("to"))), build)


@handles("CastLike")
def cast_like(node: Node, build: Builder) -> Value:
    return _cast(node[0], node[1].type.dtype, build)


@handles("Identity")
def identity(node: Node, build: Builder) -> Value:
    return node[0]


@handles("Dropout")
def dropout(node: Node, build: Builder) -> tuple[Value, ...]:
    """Nothing is dropped when inferring, so the mask is true everywhere."""
    if node.get(2) is not None and bool(node.const(2)) and np.any(node.const_or(1, 0.5)):
        raise node.fault("NT0610", "`Dropout` in training mode is not supported")
    if not any(node.output_names[1:]):
        return (node[0],)
    return node[0], expanded(node, build.constant(np.array(True)), node[0].type.shape, build)


@handles("Constant")
def constant(node: Node, build: Builder) -> Value:
    for name, dtype in (("float", np.float32), ("int", np.int64)):
        for key in (f"value_{name}", f"value_{name}s"):
            if key in node.attrs:
                return build.constant(np.array(node.attrs[key], dtype))
    return build.constant(node.required("value"))


@handles("ConstantOfShape")
def constant_of_shape(node: Node, build: Builder) -> Value:
    value = np.asarray(node.attr("value", np.zeros(1, np.float32))).reshape(())
    return filled(node, value, node.dims(0), build)


@handles("Shape")
def shape(node: Node, build: Builder) -> Value:
    """All sizes, or those from ``start`` to ``end``."""
    sizes = build.add(ops.Shape(node[0]))
    rank = node[0].type.rank
    start, end, _ = slice(node.attr("start", 0), node.attr("end", None)).indices(rank)
    if (start, end) == (0, rank):
        return sizes
    return build.add(ops.Slice(sizes, starts=(start,), ends=(max(start, end),), axes=(0,)))


@handles("Size")
def size(node: Node, build: Builder) -> Value:
    if node[0].type.is_static:
        return build.constant(np.array(node[0].type.elements, np.int64))
    sizes = build.add(ops.Shape(node[0]))
    total: Value = build.constant(np.array([1], np.int64))
    for i in range(node[0].type.rank):
        one = build.add(ops.Slice(sizes, starts=(i,), ends=(i + 1,), axes=(0,)))
        total = build.add(Mul(total, one))
    return reshaped(total, (), build)


@handles("Range")
def range_of(node: Node, build: Builder) -> Value:
    start, limit, delta = (node.const(i).reshape(()) for i in range(3))
    if delta == 0:
        raise node.fault("NT0610", "a step of 0 never reaches the limit")
    count = max(0, int(np.ceil((float(limit) - float(start)) / float(delta))))
    _check(TensorType(DType.of(start.dtype), (count,)), build)
    return build.constant(
        (start + np.arange(count).astype(start.dtype) * delta).astype(start.dtype)
    )


@handles("EyeLike")
def eye_like(node: Node, build: Builder) -> Value:
    if node[0].type.rank != 2:
        raise node.fault("NT0610", f"`EyeLike` makes matrices, not a `{node[0].type}`")
    rows, columns = (whole(node, d) for d in node[0].type.shape)
    to = node.attr("dtype", None)
    dtype = node[0].type.dtype if to is None else dtype_of(node, int(to))
    return build.constant(np.eye(rows, columns, int(node.attr("k", 0)), dtype.numpy))


@handles("Trilu")
def trilu(node: Node, build: Builder) -> Value:
    k = int(node.const_or(1, np.zeros((), np.int64)).item())
    return build.add(Trilu(node[0], upper=bool(node.attr("upper", 1)), k=k))


def dtype_of(node: Node, number: int) -> DType:
    """Return the element type of ONNX's number.

    Raises:
        NeutramsError: NT0101, it has no counterpart here.
    """
    try:
        return DType.of(helper.tensor_dtype_to_np_dtype(number))
    except KeyError:
        raise node.fault("NT0101", f"there is no element type {number}") from None


def filled(node: Node, value: Array, dims: tuple[Dim, ...], build: Builder) -> Value:
    """Return a tensor of one number everywhere; a constant where its shape is all numbers."""
    data = np.asarray(value)
    sizes = tuple(d for d in dims if isinstance(d, int))
    if any(d < 0 for d in sizes):
        raise node.fault("NT0610", f"a shape of {list(dims)} holds negative sizes")
    _check(TensorType(DType.of(data.dtype), dims), build)
    if len(sizes) == len(dims):
        return build.constant(np.full(sizes, data))
    return expanded(node, build.constant(data), dims, build)


def _cast(x: Value, dtype: DType, build: Builder) -> Value:
    return x if x.type.dtype is dtype else build.add(ops.Cast(x, dtype=dtype))


def _check(type: TensorType, build: Builder) -> None:
    build.check_size(type, build.where)
