"""``fold-constants``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import evaluate
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.tensors import Reshape, Transpose
from neutrams.ir.ops.time import Next, State
from neutrams.ir.types import bind
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import constant, located, name_of


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Compute at once what depends on constants alone.

    A dequantised constant stays as it is, for its integers are what a crossbar holds; a
    transpose or reshape of one moves onto the integers.
    """

    name: ClassVar[str] = "fold-constants"
    descends: ClassVar[bool] = True

    max_bytes: int = 2**26
    """Leave a result larger than this and than all it is made of (an expanded constant, say)."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        for op in list(graph.ops):
            if isinstance(op, Dequantize | State | Next):
                continue
            if _known(op) and self._fits(op):
                _fold(op, graph)
                changed = True
            elif (moved := _move_inside(op, graph)) is not None:
                graph.replace(op, moved)
                changed = True
        if changed:
            graph.prune()
        return changed

    def _fits(self, op: Op) -> bool:
        inputs = [data for value in op.present if (data := constant(value)) is not None]
        made = sum(_bytes(value) for value in op.results)
        return made <= max(self.max_bytes, sum(data.nbytes for data in inputs))


def _known(op: Op) -> bool:
    operands = list(op.present)
    return (
        bool(operands)
        and all(constant(value) is not None for value in operands)
        and all(value.type.is_static for value in op.results)
    )


def _fold(op: Op, graph: Graph) -> None:
    live: dict[Value, object] = {
        value: value.data for value in op.present if isinstance(value, Weight)
    }
    for value, array in zip(op.results, evaluate(op, live), strict=True):  # type: ignore[arg-type]
        name = value.name
        graph.rename(value, f"{name}.old")
        weight = graph.weight(name, np.ascontiguousarray(array).reshape(array.shape))
        weight.origin = value.origin
        graph.replace_value(value, weight)


def _bytes(value: Value) -> int:
    return bind(value.type.elements, {}) * value.type.dtype.bits // 8


def _move_inside(op: Op, graph: Graph) -> Op | None:
    """Return the dequantised result of moving the integers instead."""
    if not isinstance(op, Transpose | Reshape) or not isinstance(op.x.op, Dequantize):
        return None
    inner = op.x.op
    data = constant(inner.x)
    if data is None:
        return None
    per_tensor = inner.scale.type.rank == 0
    match op:
        case Transpose(permutation=permutation):
            moved = data.transpose(permutation)
            axis = inner.axis if per_tensor else permutation.index(inner.axis % data.ndim)
        case Reshape() if per_tensor:
            moved, axis = data.reshape(op.result.type.static_shape()), inner.axis
        case _:
            return None
    weight = graph.weight(name_of(graph, inner.x, inner), np.ascontiguousarray(moved))
    if inner.x.type.range is not None:
        weight.type = weight.type.with_range(*inner.x.type.range)
    return located(replace(inner, x=weight, axis=axis), inner)
