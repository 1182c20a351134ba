"""Integers with scales: quantising, dequantising, and the operators that do both at once."""

from __future__ import annotations

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import (
    as_type,
    positive,
    refuse,
    reshaped,
    scalar_like,
)  # fmt: skip
from neutrams.frontends.onnx.handlers.convolution import convolved
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.frontends.onnx.tensors import dtype_of
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Clip
from neutrams.ir.ops.elementwise import Div, Equal, Maximum, Minimum, Mul, Sub, Where
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.reductions import ReduceMax, ReduceMin
from neutrams.ir.ops.unary import Round
from neutrams.ir.types import DType


@handles("QuantizeLinear")
def quantize_linear(node: Node, build: Builder) -> Value:
    """The zero point gives the type, else ``output_dtype``, else it is ``u8``."""
    refuse(node, "block_size", unless=0)
    zero = node.get(2)
    dtype = DType.U8 if zero is None else zero.type.dtype
    if zero is None and (to := node.attr("output_dtype", 0)):
        dtype = dtype_of(to, node.where)
    x, scale = node[0], node[1]
    if not x.type.dtype.is_float:
        x = as_type(build, x, scale.type.dtype)
    precision = node.attr("precision", 0)
    if precision:
        wide = dtype_of(precision, node.where)
        x, scale = as_type(build, x, wide), as_type(build, scale, wide)
    return _quantized(node, build, x, scale, zero, dtype)


@handles("DequantizeLinear")
def dequantize_linear(node: Node, build: Builder) -> Value:
    refuse(node, "block_size", unless=0)
    made = _dequantized(node, build, node[0], node[1], node.get(2))
    to = node.attr("output_dtype", 0)
    return as_type(build, made, dtype_of(to, node.where)) if to else made


@handles("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Node, build: Builder) -> tuple[Value, Value, Value]:
    """Scale and zero point come from the range of the data, which always holds 0."""
    x = node[0]
    nought, one = scalar_like(build, 0, x), scalar_like(build, 1, x)
    axes = tuple(range(x.type.rank))
    low = build.add(Minimum(build.add(ReduceMin(x, axes=axes, keepdims=False)), nought))
    high = build.add(Maximum(build.add(ReduceMax(x, axes=axes, keepdims=False)), nought))
    steps = scalar_like(build, 255, x)
    scale = build.add(Div(build.add(Sub(high, low)), steps))
    empty = build.add(Equal(scale, nought))
    safe = build.add(Where(empty, one, scale))
    exact = build.add(Div(build.add(Sub(nought, low)), safe))
    zero = build.add(Round(build.add(Clip(exact, low=0.0, high=255.0))))
    zero = as_type(build, zero, DType.U8)
    y = build.add(Quantize(x, safe, zero, axis=0, low=0, high=255, dtype=DType.U8))
    return y, scale, zero


@handles("QLinearConv")
def qlinear_conv(node: Node, build: Builder) -> Value:
    """Dequantise, convolve, quantise; the bias has the scale of the products."""
    x = _dequantized(node, build, node[0], node[1], node.get(2))
    w = _dequantized(node, build, node[3], node[4], node.get(5), axis=0)
    bias = node.get(8)
    if bias is not None:
        scale = build.add(Mul(_flat(build, node[1]), _flat(build, node[4])))
        bias = _dequantized(node, build, bias, scale, None, axis=0)
    y = convolved(node, build, x, w, bias)
    return _quantized(node, build, y, node[6], node.get(7), node[7].type.dtype)


@handles("QLinearMatMul")
def qlinear_matmul(node: Node, build: Builder) -> Value:
    a = _dequantized(node, build, node[0], node[1], node.get(2), axis=-2)
    b = _dequantized(node, build, node[3], node[4], node.get(5), axis=-1)
    y = build.add(Matmul(a, b))
    return _quantized(node, build, y, node[6], node.get(7), node[7].type.dtype, axis=-2)


def _flat(build: Builder, value: Value) -> Value:
    return reshaped(build, value, ()) if value.type.shape == (1,) else value


def _grid(
    node: Node, build: Builder, x: Value, scale: Value, zero: Value | None, axis: int | None
) -> tuple[Value, Value | None, int]:
    """Return scale and zero point as scalars or vectors, and the axis of vectors."""
    scale = _flat(build, scale)
    zero = None if zero is None else _flat(build, zero)
    if scale.type.rank > 1:
        raise node.fault("NT0610", f"scales of shape {list(scale.type.shape)} are not supported")
    if zero is not None and zero.type.shape != scale.type.shape:
        raise node.fault("NT0611", "scale and zero point differ in shape")
    if scale.type.rank == 0:
        return scale, zero, 0
    axis = node.attr("axis", 1) if axis is None else axis
    return scale, zero, positive(axis, x.type.rank, node)


def _dequantized(
    node: Node, build: Builder, x: Value, scale: Value, zero: Value | None,
    axis: int | None = None,
) -> Value:  # fmt: skip
    scale, zero, axis = _grid(node, build, x, scale, zero, axis)
    if zero is None:
        zero = build.constant(np.zeros(scale.type.static_shape(), x.type.dtype.numpy))
    return build.add(Dequantize(x, scale, zero, axis=axis))


def _quantized(
    node: Node, build: Builder, x: Value, scale: Value, zero: Value | None, dtype: DType,
    axis: int | None = None,
) -> Value:  # fmt: skip
    scale, zero, axis = _grid(node, build, x, scale, zero, axis)
    if zero is None:
        zero = build.constant(np.zeros(scale.type.static_shape(), dtype.numpy))
    if dtype.is_float:
        raise node.fault("NT0610", f"quantising to `{dtype.value}` is not supported")
    limits = np.iinfo(dtype.numpy)
    low, high = int(limits.min), int(limits.max)
    return build.add(Quantize(x, scale, zero, axis=axis, low=low, high=high, dtype=dtype))
