"""Matrix products."""

from __future__ import annotations

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import as_type, reshaped, scalar_like
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.elementwise import Add, Mul, Sub
from neutrams.ir.ops.products import Det, Einsum, Matmul
from neutrams.ir.ops.tensors import Transpose
from neutrams.ir.types import DType


@handles("MatMul")
def matmul(node: Node, build: Builder) -> Value:
    return build.add(Matmul(node[0], node[1]))


@handles("Gemm")
def gemm(node: Node, build: Builder) -> Value:
    """``alpha * A' B' + beta * C``; a factor goes into ``B`` where that is a constant."""
    a, b, c = node[0], node[1], node.get(2)
    alpha, beta = float(node.attr("alpha", 1.0)), float(node.attr("beta", 1.0))
    a = build.add(Transpose(a, permutation=(1, 0))) if node.attr("transA", 0) else a
    b = build.add(Transpose(b, permutation=(1, 0))) if node.attr("transB", 0) else b
    if alpha != 1:
        b = build.add(Mul(b, scalar_like(build, alpha, b)))
    y = build.add(Matmul(a, b))
    if c is None or beta == 0:
        return y
    if beta != 1:
        c = build.add(Mul(c, scalar_like(build, beta, c)))
    return build.add(Add(y, c))


@handles("MatMulInteger")
def matmul_integer(node: Node, build: Builder) -> Value:
    """Zero points are scalars, or vectors: of ``a`` by row, of ``b`` by column."""
    a, b = as_type(build, node[0], DType.I32), as_type(build, node[1], DType.I32)
    if (zero := node.get(2)) is not None:
        if zero.type.rank == 1:
            shape = (*zero.type.shape, 1) if zero.type.shape != (1,) else ()
            zero = reshaped(build, zero, shape)
        a = build.add(Sub(a, as_type(build, zero, DType.I32)))
    if (zero := node.get(3)) is not None:
        b = build.add(Sub(b, as_type(build, zero, DType.I32)))
    return build.add(Matmul(a, b))


@handles("Einsum")
def einsum(node: Node, build: Builder) -> Value:
    parts = tuple(node[i] for i in range(len(node)))
    return build.add(Einsum(parts, equation=str(node.required("equation"))))


@handles("Det")
def det(node: Node, build: Builder) -> Value:
    return build.add(Det(node[0]))
