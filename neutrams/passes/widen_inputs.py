"""``widen-inputs``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.tensors import Concat
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import constant, located, read_once, scalar


@dataclass(frozen=True)
class WidenInputs(Pass):
    """Give the network's inputs to crossbars in several copies, rounded a part of a step apart.

    Where units read few bits, what is lost at the very first rounding cannot be made good later.
    The sum of ``copies`` roundings, each shifted by its share of a step, is as fine as that of
    log2(copies) bits more; the weights stand in the crossbars once for each copy. This is data
    re-encoding (NEUTRAMS, ASPLOS 2018): precision is bought with width. Run it before
    `split-fan-in`.
    """

    name: ClassVar[str] = "widen-inputs"
    takes: ClassVar = ("unit",)
    rms_bound: ClassVar[float] = 1.0

    copies: int = 4
    """Copies of every input; 1 changes nothing."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        for op in list(graph.ops):
            if self.copies < 2 or not isinstance(op, Quantize) or op.x not in graph.inputs:
                continue
            units = [_unit(graph, user) for user in op.result.users]
            if not units or any(unit is None for unit in units):
                ctx.remark(op, "not widened: other than plain products read it", kind="missed")
                continue
            wide = self._copies(graph, op, ctx, axis=_channels(op.result.users[0]))
            for unit in units:
                assert unit is not None
                self._widen(graph, *unit, wide)
            ctx.remark(op, f"given to crossbars in {self.copies} copies")
            changed = True
        return graph.prune() or changed

    def _copies(self, graph: Graph, op: Quantize, ctx: PassContext, *, axis: int) -> Value:
        """Insert the roundings of an input side by side and return them as one value."""
        step = scalar(op.scale)
        assert step is not None, "checked by `_unit`"
        parts = []
        for copy in range(self.copies):
            by = np.float32(step * (copy / self.copies - (self.copies - 1) / (2 * self.copies)))
            shift = graph.weight(f"{op.x.name}.shift", np.array(by))
            name = op.result.name
            moved = graph.add(located(Add(op.x, shift), op), before=op, name=f"{name}.moved")
            part = graph.add(located(replace(op, x=moved), op), before=op, name=f"{name}.copy")
            part.type = op.result.type
            parts.append(part)
        joined = located(Concat(tuple(parts), axis=axis), op)
        wide = graph.add(joined, before=op, name=f"{op.result.name}.wide")
        if op.result.type.range is not None:
            wide.type = wide.type.with_range(*op.result.type.range)
        if op.result.name in ctx.grids:
            ctx.grids[wide.name] = ctx.grids[op.result.name]
        return wide

    def _widen(
        self, graph: Graph, mvm: Mvm, reduce: Reduce, post: Rescale | Dequantize, wide: Value
    ) -> None:
        """Repeat the weights of a unit; its sums, and so its bias, grow as many times."""
        held = (constant(mvm.w), constant(reduce.bias), constant(post.scale))
        w, bias, scale = (np.asarray(array) for array in held)
        wider = graph.weight(mvm.w.name, np.tile(w, self.copies))
        new = located(replace(mvm, x=wide, w=wider), mvm)
        graph.replace(mvm, new)
        sums = graph.weight("bias", (bias.astype(np.int64) * self.copies).astype(bias.dtype))
        finer = graph.weight(post.scale.name, (scale / self.copies).astype(np.float32))
        after = located(replace(reduce, partials=new.result, bias=sums), reduce)
        graph.replace(reduce, after)
        graph.replace(post, located(replace(post, x=after.result, scale=finer), post))


def _channels(op: Op) -> int:
    return 1 if isinstance(op, Mvm) and op.kernel else op.operands[0].type.rank - 1  # type: ignore[union-attr]


def _unit(graph: Graph, op: Op) -> tuple[Mvm, Reduce, Rescale | Dequantize] | None:
    """Return a product with constant weights in one group, its sum and what follows."""
    if not isinstance(op, Mvm) or op.groups > 1 or not read_once(graph, op.result):
        return None
    reduce = op.result.users[0]
    if not isinstance(reduce, Reduce) or not read_once(graph, reduce.result):
        return None
    post = reduce.result.users[0]
    if not isinstance(post, Rescale | Dequantize):
        return None
    known = all(
        isinstance(value, Weight) and value.data is not None
        for value in (op.w, reduce.bias, post.scale)
    )
    return (op, reduce, post) if known else None
