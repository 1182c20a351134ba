"""``remove-identities``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import Clip, Relu
from neutrams.ir.ops.elementwise import Add, Div, Mul, Pow, Sub
from neutrams.ir.ops.pooling import AveragePool, MaxPool
from neutrams.ir.ops.tensors import (
    Cast,
    Concat,
    Expand,
    Pad,
    Reshape,
    Slice,
    Split,
    Tile,
    Transpose,
)
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import located, scalar


@dataclass(frozen=True)
class RemoveIdentities(Pass):
    """Remove ops that give back their operand, and merge pairs of reshapes and of transposes."""

    name: ClassVar[str] = "remove-identities"
    descends: ClassVar[bool] = True

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        while self._sweep(graph, ctx):
            graph.prune()
            changed = True
        return changed

    def _sweep(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        for op in list(graph.ops):
            if not op.results or not graph.is_read(op.result):
                continue
            if (same := _operand_it_equals(op)) is not None:
                ctx.remark(op, "gives back its operand; removed")
                graph.replace_value(op.result, same)
                changed = True
            elif (merged := _merged(op)) is not None:
                graph.replace(op, located(merged, op))
                changed = True
        return changed


def _operand_it_equals(op: Op) -> Value | None:
    value = _candidate(op)
    if value is None or value.type.plain() != op.result.type.plain():
        return None
    return value


def _candidate(op: Op) -> Value | None:
    """Return the operand that the result equals, if the types agree."""
    match op:
        case Reshape(x=x) | Expand(x=x) | Cast(x=x):
            return x
        case Transpose(x=x, permutation=order) if order == tuple(range(len(order))):
            return x
        case Slice(x=x, steps=steps) if set(steps) <= {1}:
            return x
        case Pad(x=x, pads=pads) if not any(pads):
            return x
        case Tile(x=x, repeats=repeats) if set(repeats) <= {1}:
            return x
        case Concat(parts=(only,)):
            return only
        case Split(x=x, sizes=(_,)):
            return x
        case Clip(x=x, low=low, high=high) if low == -float("inf") and high == float("inf"):
            return x
        case MaxPool(x=x) | AveragePool(x=x) if _single_places(op):
            return x
        case Relu(x=Value(op=Relu()) as x):
            return x
        case Add(a=a, b=b):
            return a if scalar(b) == 0 else b if scalar(a) == 0 else None
        case Mul(a=a, b=b):
            return a if scalar(b) == 1 else b if scalar(a) == 1 else None
        case Sub(a=a, b=b) if scalar(b) == 0:
            return a
        case Div(a=a, b=b) | Pow(a=a, b=b) if scalar(b) == 1:
            return a
    return None


def _single_places(op: MaxPool | AveragePool) -> bool:
    return set(op.kernel) == {1} and set(op.strides) <= {1} and not any(op.pads)


def _merged(op: Op) -> Op | None:
    match op:
        case Reshape(x=Value(op=Reshape(x=source))):
            return Reshape(source, shape=op.shape)
        case Transpose(x=Value(op=Transpose(x=source, permutation=inner))):
            return Transpose(source, permutation=tuple(inner[axis] for axis in op.permutation))
    return None
