"""Matrix products; ``Gemm`` becomes a matrix product and an addition."""

from __future__ import annotations

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.convolution import shifted
from neutrams.frontends.onnx.handlers.elementwise import every
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.elementwise import Add, Mul
from neutrams.ir.ops.products import Einsum, Matmul
from neutrams.ir.ops.tensors import Reshape, Transpose


@handles("MatMul")
def matmul(node: Node, build: Builder) -> Value:
    return build.add(Matmul(node[0], node[1]))


@handles("Gemm")
def gemm(node: Node, build: Builder) -> Value:
    """``alpha * a @ b + beta * c``; factors of constants go into the constants."""
    a, b, c = node[0], node[1], node.get(2)
    if a.type.rank != 2 or b.type.rank != 2:
        raise node.fault("NT0610", f"`Gemm` multiplies matrices, not `{a.type}` and `{b.type}`")
    a = transposed(a, build) if node.attr("transA", 0) else a
    b = transposed(b, build) if node.attr("transB", 0) else b
    result = build.add(Matmul(a, scaled(node, b, "alpha", build)))
    if c is None or node.attr("beta", 1.0) == 0:
        return result
    return build.add(Add(result, scaled(node, c, "beta", build)))


@handles("MatMulInteger")
def matmul_integer(node: Node, build: Builder) -> Value:
    """Zero points of ``a`` may be one a row, those of ``b`` one a column."""
    rows = node.get(2)
    if rows is not None and rows.type.rank == 1 and rows.type.elements != 1:
        rows = build.add(Reshape(rows, shape=(*rows.type.shape, 1)))
    a = shifted(node[0], rows, build)
    return build.add(Matmul(a, shifted(node[1], node.get(3), build)))


@handles("Einsum")
def einsum(node: Node, build: Builder) -> Value:
    equation = str(node.required("equation")).replace(" ", "")
    return build.add(Einsum(tuple(every(node)), equation=equation))


def transposed(x: Value, build: Builder) -> Value:
    """Return a matrix with its axes swapped."""
    return build.add(Transpose(x, permutation=(1, 0)))


def scaled(node: Node, x: Value, name: str, build: Builder) -> Value:
    """Return ``x`` times the factor that an attribute holds, 1 where it is not set."""
    factor = float(node.attr(name, 1.0))
    if factor == 1:
        return x
    if not x.type.dtype.is_float and not factor.is_integer():
        raise node.fault("NT0610", f"`{name}` = {factor:g} is not supported for integers")
    return build.add(Mul(x, build.constant(np.array(factor, x.type.dtype.numpy))))
