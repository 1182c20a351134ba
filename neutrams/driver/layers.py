"""Layers as a user counts them: a matrix unit with the merging and rescaling that follows it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op
from neutrams.ir.ops.digits import Join
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit import Lut, Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm

_SUFFIX = re.compile(r"\.(q|sum|mvm)(_\d+)?$")
"""What lowering appends to the name of a value it makes an integer twin of."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Ops that belong together, in the order they run in."""

    ops: tuple[Op, ...]

    @property
    def name(self) -> str:
        """What the model calls the layer's result, where that is known."""
        made = [op.result for op in (self.ops[0], self.ops[-1])]
        known = [value.origin for value in made if value.origin]
        return known[0] if known else _SUFFIX.sub("", made[-1].name)

    @property
    def unit(self) -> Mvm | None:
        """The matrix unit, where the layer runs on crossbars."""
        head = self.ops[0]
        return head if isinstance(head, Mvm) else None

    @property
    def kind(self) -> str:
        """What the layer does, in a word: the op that gives it its meaning."""
        if self.unit is not None:
            return "conv" if self.unit.kernel else "matmul"
        return self.ops[0].name.partition(".")[2]


def layers(graph: Graph) -> list[Layer]:
    """Group the ops of a unit graph and its cells, each layer at the place of its first op."""
    heads: dict[Op, Op] = {}
    members: dict[Op, list[Op]] = {}
    for op, _ in working_ops(graph):
        head = _head(op, heads)
        heads[op] = head
        members.setdefault(head, []).append(op)
    return [Layer(tuple(ops)) for ops in members.values()]


def _head(op: Op, heads: dict[Op, Op]) -> Op:
    """Return the op whose layer ``op`` belongs to: itself, or that of the unit it finishes."""
    if not isinstance(op, Reduce | Join | Rescale | Lut):
        return op
    maker = next(op.present).op
    if maker is None or not isinstance(heads.get(maker), Mvm):
        return op
    only_reader = len({id(user) for user in maker.result.users}) == 1
    return heads[maker] if only_reader else op
