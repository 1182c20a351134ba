"""How many levels of units merge partial sums, and how many sums a unit of each level merges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from neutrams.ir.blocks import row_splits


@dataclass(frozen=True, slots=True)
class Room:
    """What merging units may be."""

    rows: int
    """Inputs of one crossbar."""
    neurons: int
    """Neurons of one crossbar; 0 for any number."""
    most: int
    """Inputs of one unit: several crossbars, where some of their sums are added digitally."""
    entries: int
    """Outputs that stand for one partial sum: 2 for pairs."""

    @property
    def fan_in(self) -> int:
        """Partial sums that one unit merges."""
        return self.most // self.entries


def depth(parts: int, fan_in: int) -> int:
    """Return the least levels that merge so many parts: ``⌈log(parts) / log(fan_in)⌉``."""
    levels, reach = 0, 1
    while reach < parts:
        levels, reach = levels + 1, reach * fan_in
    return levels


def plan(parts: int, neurons: int, room: Room) -> tuple[int, ...]:
    """Return the most sums that a unit merges, level by level: fewest levels, then crossbars."""

    @cache
    def best(left: int, levels: int) -> tuple[int, tuple[int, ...]]:
        if not levels:
            return 0, ()
        tried = []
        for width in widths(left, levels, room.fan_in):
            after = row_splits(left, width)
            rest, sizes = best(after, levels - 1)
            cost = crossbars(neurons * after, width, room, last=levels == 1)
            tried.append((cost + rest, (width, *sizes)))
        return min(tried)

    return best(parts, depth(parts, room.fan_in))[1]


def widths(left: int, levels: int, fan_in: int) -> Iterator[int]:
    """Yield the sums a unit may merge so that the levels above it can merge all that is left."""
    for width in range(2, min(left, fan_in) + 1):
        if row_splits(left, width) <= fan_in ** (levels - 1):
            yield width


def crossbars(groups: int, width: int, room: Room, *, last: bool) -> int:
    """Return the crossbars of one level, in which each of ``groups`` merges ``width`` sums."""
    inputs = width * room.entries
    outputs = 1 if last else room.entries
    if inputs > room.rows:
        return groups * row_splits(inputs, room.rows)
    fit = min(room.rows // inputs, room.neurons // outputs if room.neurons else groups)
    return row_splits(groups, max(fit, 1))
