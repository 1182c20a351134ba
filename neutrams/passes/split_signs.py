"""``split-signs``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neutrams.ir.functions import has
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.elementwise import Sub
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.counterparts import Counterpart
from neutrams.passes.match import constant, located


@dataclass(frozen=True)
class SplitSigns(Pass):
    """Hold negative weights in neurons of their own, on a chip with unsigned weights.

    ``Σ x·w = Σ x·max(w, 0) - Σ x·max(-w, 0)``: twice the neurons, and a digital difference, for
    which the chip needs `sub`. Exact; nothing is done where a chip has signed weights.
    """

    name: ClassVar[str] = "split-signs"
    takes: ClassVar = ("unit",)
    descends: ClassVar[bool] = True
    rms_bound: ClassVar[float] = 0.0

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if ctx.target is None or ctx.target.weight_codes[0] < 0:
            return False
        changed = False
        for op in list(graph.ops):
            if not isinstance(op, Reduce) or not isinstance(mvm := op.partials.op, Mvm):
                continue
            w = constant(mvm.w)
            if w is None or not (w < 0).any() or len(mvm.result.users) > 1:
                continue
            if not has(ctx.target, "sub"):
                ctx.remark(
                    mvm, "negative weights stay: the chip takes no differences", kind="missed"
                )
                continue
            self._split(graph, mvm, op, w, ctx)
            ctx.remark(mvm, "negative weights are in neurons of their own")
            changed = True
        if changed:
            graph.prune()
        return changed

    def _split(self, graph: Graph, mvm: Mvm, reduce: Reduce, w: Array, ctx: PassContext) -> None:
        name, groups = reduce.result.name, mvm.groups
        wide = w.astype(np.int64).reshape(groups, -1, w.shape[1])
        both = np.concatenate([np.maximum(wide, 0), np.maximum(-wide, 0)], axis=1)
        each = np.arange(2 * len(w)).reshape(groups, 2, -1)
        held = graph.weight(f"{mvm.w.name}.signs", both.reshape(-1, w.shape[1]).astype(w.dtype))
        known = ctx.counterparts.get(mvm.w, Counterpart.of(mvm))
        ctx.counterparts[held] = known if isinstance(known, str) else known.by_sign()
        product = located(replace(mvm, w=held), mvm)
        partials = graph.add(product, before=mvm, name=f"{mvm.result.name}.signs")
        partials.origin = mvm.result.origin or mvm.result.name
        bias = constant(reduce.bias)
        total: Value | None = None
        if bias is not None:
            spread = np.zeros(2 * len(w), bias.dtype)
            spread[each[:, 0].ravel()] = bias
            total = graph.weight(f"{name}.bias.signs", spread)
        added: Op = replace(reduce, partials=partials, bias=total)
        sums = graph.add(located(added, reduce), before=reduce, name=f"{name}.signs")
        sides = []
        for side, word in enumerate(("positive", "negative")):
            places = graph.weight(f"{name}.{word}.places", each[:, side].ravel().astype(np.int64))
            some = Gather(sums, places, axis=reduce.axis % sums.type.rank)
            sides.append(graph.add(located(some, reduce), before=reduce, name=f"{name}.{word}"))
        graph.replace(reduce, located(Sub(*sides), reduce))
        graph.erase(mvm)
