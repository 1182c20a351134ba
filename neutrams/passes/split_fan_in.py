"""``split-fan-in``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from neutrams.ir.blocks import blocks, row_splits
from neutrams.ir.cores import crossbars_by_kind
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Machine
from neutrams.mapper.assign import assign
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import located


class Shape(NamedTuple):
    """A matrix of so many groups of ``fan_in`` × ``neurons``."""

    groups: int
    fan_in: int
    neurons: int
    weight_bits: int


@dataclass(frozen=True)
class SplitFanIn(Pass):
    """Cut every matrix into blocks that a crossbar holds; partial sums are merged digitally.

    Every synapse is kept. Rows that need several blocks are spread over them evenly, which
    keeps the largest sum that a converter sees small; so are neurons. Where a chip has cores of
    several sizes, each matrix is cut for the one that leaves fewest cells unused, within what
    there are of each.
    """

    name: ClassVar[str] = "split-fan-in"
    takes: ClassVar = ("unit",)
    obeys_limits: ClassVar[bool] = True

    rows: int = 0
    """Most inputs of a block; 0 for what the target's units read."""
    neurons: int = 0
    """Most neurons of a block; 0 for what the target's units make."""
    even: bool = True
    """Spread rows and neurons evenly over as many blocks as are needed."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if not (self.rows and self.neurons):
            ctx.need_target()
        graphs = [*graph.cells(), graph]
        found = [(each, op) for each in graphs for op in each.ops if isinstance(op, Mvm)]
        shapes = [
            Shape(op.groups, op.fan_in, op.outputs // op.groups, op.weight_bits) for _, op in found
        ]
        sizes = self.choose(shapes, ctx)
        changes = [
            self._split(each, op, rows, neurons, ctx)
            for (each, op), (_, rows, neurons) in zip(found, sizes, strict=True)
        ]
        return any(changes)

    def choose(self, shapes: Sequence[Shape], ctx: PassContext) -> list[tuple[int, int, int]]:
        """Return for each matrix the kind of core, and rows and neurons of its blocks."""
        choices = [
            [self.sizes(shape.fan_in, shape.neurons, *most) for most in self._choices(shape, ctx)]
            for shape in shapes
        ]
        kinds = [0] * len(shapes)
        if any(len(each) > 1 for each in choices):
            kinds = _assigned(shapes, choices, ctx.need_target().machine)
        return [(kind, *sizes[kind]) for kind, sizes in zip(kinds, choices, strict=True)]

    def _choices(self, shape: Shape, ctx: PassContext) -> Sequence[tuple[int, int]]:
        """Return the largest blocks of each kind of core; one where the options say how large."""
        if ctx.target is None or self.rows or self.neurons:
            return [self.limits(ctx, shape.weight_bits)]
        return ctx.target.block_limits(shape.weight_bits)

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
        if (op.rows, op.neurons) == (rows, neurons):
            return False
        new = replace(op, rows=rows, neurons=neurons)
        graph.replace(op, located(new, op))
        ctx.remark(new, f"blocks: {len(new.table())}; partial sums a neuron: {new.splits}")
        return True


def _assigned(
    shapes: Sequence[Shape], choices: Sequence[Sequence[tuple[int, int]]], machine: Machine
) -> list[int]:
    counts = [
        [len(blocks(s.groups, s.fan_in, s.neurons, *size)) for size in sizes]
        for s, sizes in zip(shapes, choices, strict=True)
    ]
    cells = np.array([kind.cells for kind in machine.kinds])
    chosen = assign(np.array(counts), cells, crossbars_by_kind(machine))
    kinds: list[int] = chosen.tolist()
    return kinds


def _evenly(total: int, limit: int) -> int:
    """Return the size of equal parts that fit the limit; the limit itself where one part does."""
    parts = row_splits(total, limit)
    return limit if parts == 1 else -(-total // parts)
