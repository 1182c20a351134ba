"""``fold-scales``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.elementwise import Add, Div, Mul
from neutrams.ir.ops.products import Matmul
from neutrams.ir.types import Array
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.linear import Linear, linear
from neutrams.passes.match import channel_vector, constant, floats, located, read_once


@dataclass(frozen=True)
class FoldScales(Pass):
    """Fold scales and shifts by constants into the weights before or behind them.

    A shift in front of a padded convolution stays: the pads are not shifted with it.
    """

    name: ClassVar[str] = "fold-scales"
    descends: ClassVar[bool] = True

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        for op in list(graph.ops):
            if not floats(op.results[0]) if op.results else True:
                continue
            changed |= (
                self._into_weights_before(op, graph, ctx)
                or _past_bias(op, graph)
                or self._into_weights_behind(op, graph, ctx)
            )
        if changed:
            graph.prune()
        return changed

    def _into_weights_before(self, op: Op, graph: Graph, ctx: PassContext) -> bool:
        for x, factor, inverse in _scalings(op):
            before = linear(x.op)
            if before is None or not read_once(graph, x) or x.type.plain() != op.results[0].type:
                continue
            vector = channel_vector(factor, x.type.rank, before.axis, before.neurons)
            if vector is None:
                continue
            graph.replace(op, before.outputs_scaled(_factor(vector, inverse)).build(graph))
            ctx.remark(op, f"folded into the weights of the `{before.op.name}` before it")
            return True
        return False

    def _into_weights_behind(self, op: Op, graph: Graph, ctx: PassContext) -> bool:
        behind = linear(op)
        if behind is None or behind.x.op is None or not read_once(graph, behind.x):
            return False
        scaled = self._scaled_input(behind, behind.x.op, graph)
        shifted = None if scaled else self._shifted_input(behind, behind.x.op, graph, ctx)
        new = scaled or shifted
        if new is None:
            return False
        ctx.remark(behind.x.op, f"folded into the weights of the `{op.name}` behind it")
        graph.replace(op, new)
        return True

    def _scaled_input(self, behind: Linear, before: Op, graph: Graph) -> Op | None:
        for x, factor, inverse in _scalings(before):
            if x.type.plain() != behind.x.type.plain():
                continue
            vector = channel_vector(factor, x.type.rank, behind.input_axis, behind.inputs)
            if vector is not None:
                return behind.inputs_scaled(_factor(vector, inverse)).build(graph, x)
        return None

    def _shifted_input(
        self, behind: Linear, before: Op, graph: Graph, ctx: PassContext
    ) -> Op | None:
        if not isinstance(before, Add) or before.a.type.plain() != behind.x.type.plain():
            return None
        x, offset = before.a, before.b
        vector = channel_vector(offset, x.type.rank, behind.input_axis, behind.inputs)
        if vector is None:
            return None
        if behind.padded:
            ctx.remark(before, "stays: the pads behind it would be shifted too", kind="missed")
            return None
        shift = behind.shift_of(vector.astype(np.float64))
        if not isinstance(behind.op, Matmul):
            return behind.shifted(shift).build(graph, x)
        product = graph.add(
            behind.build(graph, x), before=behind.op, name=f"{behind.op.result.name}.product"
        )
        bias = graph.weight(f"{behind.op.result.name}.shift", shift.astype(x.type.dtype.numpy))
        return located(Add(product, bias), behind.op)


def _scalings(op: Op) -> list[tuple[Value, Value, bool]]:
    """Return the ways to read an op as ``value × factor``, or ``value ÷ factor`` (inverse)."""
    match op:
        case Mul(a=a, b=b):
            return [(a, b, False), (b, a, False)]
        case Div(a=a, b=b) if (data := constant(b)) is not None and data.all():
            return [(a, b, True)]
    return []


def _factor(vector: Array, inverse: bool) -> Array:
    wide = vector.astype(np.float64)
    return 1 / wide if inverse else wide


def _past_bias(op: Op, graph: Graph) -> bool:
    """Turn ``(product + c) × s`` into ``product × s + c × s``, so that the scale can be folded."""
    for x, factor, inverse in _scalings(op):
        scale, bias = constant(factor), x.op
        if scale is None or not isinstance(bias, Add) or not read_once(graph, x):
            continue
        shift = constant(bias.b)
        if shift is None or linear(bias.a.op) is None or x.type.plain() != op.results[0].type:
            continue
        wide = shift.astype(np.float64) * _factor(scale, inverse)
        name = op.results[0].name
        scaled = graph.add(located(type(op)(bias.a, factor), op), before=op, name=f"{name}.scaled")  # type: ignore[call-arg]
        moved = graph.weight(f"{name}.shift", wide.astype(shift.dtype))
        graph.replace(op, located(Add(scaled, moved), op))
        return True
    return False
