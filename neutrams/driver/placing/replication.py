"""How often each matrix is held: the slowest gets more copies, while that makes anything faster."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.fan_out import most_copies
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.stripes import choices, shape_of
from neutrams.ir.target import Target
from neutrams.simulator.batching import batching
from neutrams.simulator.digital import elements
from neutrams.simulator.traffic.border import sent_form
from neutrams.simulator.traffic.windows import places

Ints = NDArray[np.int64]

GROWTH = 4
"""Copies may use this many times the crossbars the network itself needs."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What decides on copies, unit by unit."""

    reads: Mapping[Mvm, int]
    """Crossbar reads of a window in all steps of an inference."""
    shapes: Mapping[Mvm, tuple[int, int]]
    """Rows and columns of its windows."""
    most: Mapping[Mvm, int]
    """Bounds of units that a fan-out concerns."""
    enough: int
    """Reads in which no inference can follow another, however many copies there are."""

    @staticmethod
    def of(graph: Graph, target: Target, counts: Mapping[Mvm, int]) -> Wanted:
        """Find it for a unit graph; ``counts`` says how often an inference runs each unit."""
        sizes = batching(graph).one()
        return Wanted(
            {unit: count * unit.encoding.phases for unit, count in counts.items()},
            {unit: shape_of(unit, sizes) for unit in counts},
            most_copies(graph, target),
            int(input_ns(graph, target) / target.machine.core.read_ns),
        )

    def copies(self, blocks: Mapping[Mvm, int], room: int) -> dict[Mvm, int]:
        """Return how often units that are held together are held each; those cut apart just once.

        Args:
            blocks: Crossbars of each unit.
            room: Crossbars there are.
        """
        whole = [unit for unit in blocks if blocks[unit] == len(unit.table())]
        needed = sum(blocks.values())
        budget = max(0, min(room, GROWTH * needed) - needed)
        worth = []
        for unit in whole:
            bound = min(1 + budget // blocks[unit], self.most.get(unit, 1 + budget))
            number, busiest = choices(self.shapes[unit], bound)
            worth.append((number, busiest * self.reads[unit]))
        found = balance([blocks[unit] for unit in whole], worth, budget, enough=self.enough)
        return dict.fromkeys(blocks, 1) | dict(zip(whole, found, strict=True))


def balance(
    blocks: Sequence[int], worth: Sequence[tuple[Ints, Ints]], budget: int, *, enough: int = 0
) -> list[int]:
    """Return how many copies each unit gets: the slowest gets more while they last.

    A pipeline runs at the pace of its slowest unit, which its busiest copy sets.

    Args:
        blocks: ``[units]`` crossbars of one copy.
        worth: For each unit, the numbers of copies that are worth while, 1 first, and the time that
            each leaves to the busiest copy.
        budget: Crossbars that further copies may take.
        enough: Time that no unit needs to be faster than.
    """
    at = [0] * len(blocks)
    queue = [(-int(busiest[0]), unit) for unit, (_, busiest) in enumerate(worth)]
    heapq.heapify(queue)
    while queue:
        slowest, unit = heapq.heappop(queue)
        number, busiest = worth[unit]
        step = at[unit] + 1
        if step == len(number) or -slowest <= enough:
            break
        cost = blocks[unit] * int(number[step] - number[step - 1])
        if cost > budget:
            break
        at[unit], budget = step, budget - cost
        heapq.heappush(queue, (-int(busiest[step]), unit))
    return [int(number[step]) for (number, _), step in zip(worth, at, strict=True)]


def input_ns(graph: Graph, target: Target) -> float:
    """Return the time in which the inputs of one inference reach those that read them, at least.

    They come over one link, and leave the tile where it ends flit by flit, each place of an image
    in flits of its own.
    """
    machine, sizes = target.machine, batching(graph).one()
    link = port = 0.0
    for value in graph.inputs:
        form = sent_form(value)
        bits = elements(form, sizes) * form.type.dtype.bits
        link += bits / 8 / machine.io_gbytes_per_s
        count = places(form, sizes)
        port += count * -(-bits // count // machine.network.flit_bits) / machine.network.clock_ghz
    return max(link, port)
