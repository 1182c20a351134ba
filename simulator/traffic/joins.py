"""Who reads what of whom: the ops of a network, what crosses the chip's edge, and between them
what each tile sends to which.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from neutrams.ir.op import Op, Value
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.simulator.traffic.border import Border, inputs_of, outputs_of
from neutrams.simulator.traffic.channels import (
    UNKNOWN,
    Ranges,
    count,
    flat,
    keeps,
    overlap,
    size,
    unit_axis,
)
from neutrams.simulator.traffic.divided import Divided, Read
from neutrams.simulator.traffic.division import Division, Need
from neutrams.simulator.traffic.parts import Part

Node = Op | Border
"""What works on windows: an op, or the link of the chip on one of its values."""


def value_of(node: Node) -> str:
    """Return the name of the value that a node makes or brings."""
    return node.value.name if isinstance(node, Border) else node.results[0].name


Portion = tuple[str | int, ...]
"""Which part of an item: a value, and what tells its parts apart; a value alone is all of it that
its source makes."""


@dataclass(frozen=True, slots=True, eq=False)
class Join:
    """That a node reads what another makes."""

    source: Node
    target: Node
    value: Value
    need: Need
    bits: float
    """Of one window of the source."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What one part of a node sends to one part of another, of each window."""

    source: int
    """Place among the parts of the source."""
    target: int
    tile: int
    """Where it goes."""
    portion: Portion
    bits: float


@dataclass(slots=True)
class Joins:
    """All joins of some ops; nodes are those ops, then inputs, then outputs."""

    division: Division
    divided: dict[Node, Divided] = field(default_factory=dict)
    of: dict[Node, list[Join]] = field(default_factory=dict)
    """What each node reads."""

    @staticmethod
    def among(
        division: Division, ops: Collection[Op], comes_in: Callable[[Border], bool] | None = None
    ) -> Joins:
        """Join ops of a division; inputs may come in later than that.

        The link of the chip ends at the tile of the first input.
        """
        made = Joins(division)
        for op in ops:
            made.divided[op], made.of[op] = division.ops[op], []
        tiles = []
        for border, readers in inputs_of(division).items():
            if comes_in is None or comes_in(border):
                tiles.append(border.divided.parts[0].tile)
                made.divided[border] = border.divided
                for op, value, need in readers:
                    if op in made.of:
                        made.of[op].append(Join(border, op, value, need, border.bits))
        for op in ops:
            for value, maker in division.makers(op).items():
                if maker in made.of:
                    need, bits = division.need(op, value), division.bits(op, value)
                    made.of[op].append(Join(maker, op, value, need, bits))
        for border, maker, need in outputs_of(division, tiles[0] if tiles else 0):
            if maker in made.of:
                made.divided[border] = border.divided
                made.of[border] = [Join(maker, border, border.value, need, border.bits)]
        return made

    def reads(self, join: Join) -> list[Read]:
        """Return who reads what of whom; see :meth:`Division.all_of`."""
        if join.need.reads or not join.need.delayed:
            return join.need.reads
        assert isinstance(join.target, Op)
        return self.division.all_of(join.target, join.value)

    def pieces(self, join: Join, read: Read) -> Iterator[Piece]:
        """Yield what parts of one copy send to those of another."""
        a, b = self.divided[join.source], self.divided[join.target]
        wanted, targets = _channels(join, a, b), b.of_copy[read.target]
        meeting = _meeting([wanted(part) for _, part in targets]) if wanted else None
        for i, source in a.of_copy[read.source]:
            near = targets if meeting is None else [targets[k] for k in meeting(source.makes)]
            for j, target in near:
                found = _crossing(join, a, b, source, target, wanted=wanted)
                if found is not None:
                    share, portion = found
                    yield Piece(i, j, target.tile, portion, join.bits * share)


FEW = 8
"""Parts that are looked at one by one."""


def _meeting(parts: list[Ranges]) -> Callable[[Ranges], Iterable[int]]:
    """Return what says which of some parts have to do with some channels, or may have to."""
    if len(parts) <= FEW:
        return lambda made: range(len(parts))
    index = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    low, high = np.array([pair for part in parts for pair in part], np.int64).reshape(-1, 2).T

    def near(made: Ranges) -> Iterable[int]:
        found = np.zeros(len(parts), bool)
        for first, end in made:
            found[index[(low < end) & (high > first)]] = True
        return np.flatnonzero(found).tolist()

    return near


def _channels(join: Join, a: Divided, b: Divided) -> Callable[[Part], Ranges] | None:
    """Return what says which channels of the source a part of the target wants, if it is known."""
    op, axis = join.target, a.axis
    if isinstance(op, Reduce) and isinstance(join.source, Mvm):
        return lambda part: part.makes
    if axis == UNKNOWN or isinstance(join.source, Mvm) or count(join.value, axis) != a.channels:
        return None
    if isinstance(op, Mvm):
        return (lambda part: part.takes) if unit_axis(op) == axis else None
    if isinstance(op, Border) or b.axis != axis or not keeps(op, join.value, axis, a.channels):
        return None
    return lambda part: part.makes


def _crossing(
    join: Join, a: Divided, b: Divided, source: Part, target: Part,
    *, wanted: Callable[[Part], Ranges] | None,
) -> tuple[float, Portion] | None:  # fmt: skip
    """Return which part of a window's results goes from one part to another, and what tells it
    apart; ``None`` where they have nothing to do with each other.
    """
    op, value = join.target, join.value.name
    if isinstance(op, Reduce) and isinstance(join.source, Mvm):
        # a tile adds up what its own blocks make of a neuron, and sends that to the neuron's head
        sums = overlap(source.makes, target.makes) if source.copy == target.copy else ()
        head: Portion = (value, op.result.name, target.tile)
        return (size(sums) / a.channels, head) if sums else None
    if b.heir_of is join.source and source.copy == target.copy:
        return (source.share, (value,)) if source.tile == target.tile else None
    if wanted is not None:
        both = overlap(source.makes, wanted(target))
        portion: Portion = (value,) if both == source.makes else (value, *flat(both))
        return (size(both) / a.channels, portion) if both else None
    share = source.share * target.reads
    if isinstance(op, Border) or (isinstance(op, Mvm) and not target.rows):
        return share, (value,)
    if isinstance(op, Mvm):
        return share, (value, op.result.name, *target.rows)
    return share, (value,) if target.reads > 1 - 1e-9 else (value, op.results[0].name, target.tile)
