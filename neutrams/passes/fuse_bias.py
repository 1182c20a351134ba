"""``fuse-bias``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.elementwise import Add, Sub
from neutrams.ir.ops.products import Matmul
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.linear import linear
from neutrams.passes.match import channel_vector, constant, floats, located, name_of, read_once


@dataclass(frozen=True)
class FuseBias(Pass):
    """Make constants added to a convolution its bias, and merge chains of added constants.

    Afterwards a constant stands on the right of every sum. A matrix product has no bias operand:
    the sum behind it stays, and lowering reads both as one.
    """

    name: ClassVar[str] = "fuse-bias"
    descends: ClassVar[bool] = True

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        for op in list(graph.ops):
            if not isinstance(op, Add | Sub) or not floats(op.result):
                continue
            new = _ordered(op, graph) or _into_conv(op, graph) or _merged(op, graph)
            if new is not None:
                graph.replace(op, located(new, op))
                changed = True
                ctx.remark(op, f"is now `{new.name}` of {_operand_names(new)}")
        if changed:
            graph.prune()
        return changed


def _operand_names(op: Op) -> str:
    return ", ".join(value.name for value in op.present)


def _ordered(op: Add | Sub, graph: Graph) -> Op | None:
    """Return a subtracted constant as an added one, a constant on the left on the right."""
    right = constant(op.b)
    if isinstance(op, Sub):
        return None if right is None else Add(op.a, graph.weight(name_of(graph, op.b, op), -right))
    return Add(op.b, op.a) if right is None and constant(op.a) is not None else None


def _into_conv(op: Add | Sub, graph: Graph) -> Op | None:
    before = linear(op.a.op)
    if before is None or isinstance(before.op, Matmul) or not read_once(graph, op.a):
        return None
    vector = channel_vector(op.b, op.a.type.rank, before.axis, before.neurons)
    if vector is None or op.a.type.plain() != op.result.type.plain():
        return None
    return before.shifted(vector.astype(np.float64)).build(graph)


def _merged(op: Add | Sub, graph: Graph) -> Op | None:
    match op:
        case Add(a=Value(op=Add(a=source, b=first)) as inner, b=second):
            x, y = constant(first), constant(second)
            if x is not None and y is not None and read_once(graph, inner):
                total = graph.weight(name_of(graph, second, op), (x + y).astype(x.dtype))
                return Add(source, total)
    return None
