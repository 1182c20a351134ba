"""``split-fan-in``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from neutrams.ir.blocks import row_splits
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import located


@dataclass(frozen=True)
class SplitFanIn(Pass):
    """Cut every matrix into blocks that a crossbar holds; partial sums are merged digitally.

    Every synapse is kept. Rows that need several blocks are spread over them evenly, which
    keeps the largest sum that a converter sees small; so are neurons.
    """

    name: ClassVar[str] = "split-fan-in"
    takes: ClassVar = ("unit",)
    descends: ClassVar[bool] = True
    obeys_limits: ClassVar[bool] = True

    rows: int = 0
    """Most inputs of a block; 0 for what the target's units read."""
    neurons: int = 0
    """Most neurons of a block; 0 for what the target's units make."""
    even: bool = True
    """Spread rows and neurons evenly over as many blocks as are needed."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        if not (self.rows and self.neurons):
            ctx.need_target()
        for op in list(graph.ops):
            if isinstance(op, Mvm):
                changed |= self._split(graph, op, *self.limits(ctx, op.weight_bits), ctx)
        return changed

    def limits(self, ctx: PassContext, weight_bits: int) -> tuple[int, int]:
        """Return the rows and the neurons of the largest block with weights of so many bits."""
        if self.rows and self.neurons:
            return self.rows, self.neurons
        target = ctx.need_target()
        return self.rows or target.limits.fan_in, self.neurons or target.neurons_at(weight_bits)

    def sizes(self, fan_in: int, held: int, rows: int, neurons: int) -> tuple[int, int]:
        """Return the rows and neurons of the blocks of a matrix, within those of the largest."""
        if not self.even:
            return rows, neurons
        return _evenly(fan_in, rows), _evenly(held, neurons)

    def _split(self, graph: Graph, op: Mvm, rows: int, neurons: int, ctx: PassContext) -> bool:
        rows, neurons = self.sizes(op.fan_in, op.outputs // op.groups, rows, neurons)
        if (op.rows, op.neurons) == (rows, neurons):
            return False
        new = replace(op, rows=rows, neurons=neurons)
        graph.replace(op, located(new, op))
        ctx.remark(new, f"blocks: {len(new.table())}; partial sums a neuron: {new.splits}")
        return True


def _evenly(total: int, limit: int) -> int:
    """Return the size of equal parts that fit the limit; the limit itself where one part does."""
    parts = row_splits(total, limit)
    return limit if parts == 1 else -(-total // parts)
