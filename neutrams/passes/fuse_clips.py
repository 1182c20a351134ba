"""``fuse-clips``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import Clip, Relu
from neutrams.ir.ops.elementwise import Maximum, Minimum
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.tensors import Reshape, Transpose
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import floats, located, read_once, scalar


@dataclass(frozen=True)
class FuseClips(Pass):
    """Merge an activation into the clip that feeds it.

    A chip applies one saturating activation per unit, so a chain of two costs a second unit.
    Chains whose ranges do not meet are constants, and another pass's work. An activation behind
    a max pool, reshape or transpose moves before it, to the unit that makes the value.
    """

    name: ClassVar[str] = "fuse-clips"
    descends: ClassVar[bool] = True

    across_branches: bool = False
    """Fuse even where the inner clip has other users, and so stays."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        for op in list(graph.ops):
            if not op.results or not floats(op.results[0]):
                continue
            if (fused := self._fused(op, graph, ctx)) is not None:
                graph.replace(op, located(fused, op))
                changed = True
            elif (mover := _hoist(op, graph)) is not None:
                ctx.remark(op, f"moved before the `{mover.name}`")
                changed = True
        if changed:
            graph.prune()
        return changed

    def _fused(self, op: Op, graph: Graph, ctx: PassContext) -> Op | None:
        outer = bounds(op)
        if outer is None:
            return None
        x, low, high = outer
        inner = bounds(x.op)
        if inner is None:
            return None if isinstance(op, Clip | Relu) else _clip(x, low, high)
        if not (self.across_branches or read_once(graph, x)):
            ctx.remark(op, f"not merged: `%{x.name}` is read elsewhere too", kind="missed")
            return None
        source, below, above = inner
        low, high = max(low, below), min(high, above)
        if low > high:
            ctx.remark(
                op, f"not merged: its range does not meet that of `%{x.name}`", kind="missed"
            )
            return None
        ctx.remark(op, f"merged into the clip `%{x.name}` before it")
        return _clip(source, low, high)


def bounds(op: Op | None) -> tuple[Value, float, float] | None:
    """Return what an op holds within which bounds; ``None`` where it does something else."""
    match op:
        case Relu(x=x):
            return x, 0.0, inf
        case Clip(x=x, low=low, high=high) if low <= high:
            return x, low, high
        case Maximum(a=a, b=b) | Minimum(a=a, b=b):
            x, limit = (a, scalar(b)) if scalar(b) is not None else (b, scalar(a))
            if limit is None or x.type.plain() != op.result.type.plain():
                return None
            return (x, limit, inf) if isinstance(op, Maximum) else (x, -inf, limit)
    return None


def _clip(x: Value, low: float, high: float) -> Op:
    return Relu(x) if (low, high) == (0.0, inf) else Clip(x, low=low, high=high)


def _hoist(op: Op, graph: Graph) -> Op | None:
    """Turn ``clip(max_pool(x))`` into ``max_pool(clip(x))``: a maximum is monotonic."""
    if not isinstance(op, Clip | Relu) or not read_once(graph, op.x):
        return None
    mover = op.x.op
    if not isinstance(mover, MaxPool | Reshape | Transpose) or len(mover.results) > 1:
        return None
    name = f"{op.result.name}.clip"
    inner = graph.add(located(replace(op, x=mover.x), op), before=mover, name=name)
    graph.replace(op, located(replace(mover, x=inner), mover))
    return mover
