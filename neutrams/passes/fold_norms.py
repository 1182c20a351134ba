"""``fold-norms``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.ops.elementwise import Add, Mul
from neutrams.ir.ops.normalization import BatchNorm
from neutrams.ir.ops.products import Matmul
from neutrams.ir.types import Array
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.linear import Linear, linear
from neutrams.passes.match import constant, located, name_of, read_once


@dataclass(frozen=True)
class FoldNorms(Pass):
    """Fold each batch norm into the weights before it, or turn it into a scale and a shift.

    ``y = s (x - m) / sqrt(v + e) + b`` is ``a x + c`` with constants for each channel, and
    `fold-scales` moves such a pair into the weights behind it where that is exact.
    """

    name: ClassVar[str] = "fold-norms"
    descends: ClassVar[bool] = True

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        for op in list(graph.ops):
            if isinstance(op, BatchNorm) and (pair := _scale_and_shift(op)) is not None:
                self._fold(op, *pair, graph, ctx)
                changed = True
        if changed:
            graph.prune()
        return changed

    def _fold(
        self, op: BatchNorm, scale: Array, shift: Array, graph: Graph, ctx: PassContext
    ) -> None:
        before = linear(op.x.op)
        if before is None or before.axis != 1 or not read_once(graph, op.x):
            _decompose(op, scale, shift, graph)
            ctx.remark(op, f"is now a scale and a shift: {_why_not(op, before)}", kind="missed")
            return
        folded = before.outputs_scaled(scale)
        if isinstance(before.op, Matmul):
            name = name_of(graph, op.x, op)
            product = graph.add(folded.build(graph), before=op, name=name)
            bias = graph.weight(f"{op.result.name}.shift", shift.astype(np.float32))
            graph.replace(op, located(Add(product, bias), op))
        else:
            graph.replace(op, folded.shifted(shift).build(graph))
        ctx.remark(op, f"folded into the weights of `{before.op.name}`")


def _scale_and_shift(op: BatchNorm) -> tuple[Array, Array] | None:
    arrays = [constant(v) for v in (op.scale, op.bias, op.mean, op.variance)]
    scale, bias, mean, variance = (None if a is None else a.astype(np.float64) for a in arrays)
    if scale is None or bias is None or mean is None or variance is None:
        return None
    factor = scale / np.sqrt(variance + op.epsilon)
    return factor, bias - mean * factor


def _decompose(op: BatchNorm, scale: Array, shift: Array, graph: Graph) -> None:
    name, dtype = op.result.name, op.x.type.dtype.numpy
    shape = (-1, *(1,) * (op.x.type.rank - 2)) if op.x.type.rank > 1 else (-1,)
    a = graph.weight(f"{name}.scale", scale.reshape(shape).astype(dtype))
    b = graph.weight(f"{name}.shift", shift.reshape(shape).astype(dtype))
    scaled = graph.add(located(Mul(op.x, a), op), before=op, name=f"{name}.scaled")
    graph.replace(op, located(Add(scaled, b), op))


def _why_not(op: BatchNorm, before: Linear | None) -> str:
    if before is None:
        return "nothing with constant weights is before it"
    return "the value before it is read elsewhere too" if before.axis == 1 else "axes differ"
