"""What matrices ask of the buses of their tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neutrams.ir.ops.chip import Group
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.stripes import shape_of, stripes
from neutrams.ir.types import bind
from neutrams.simulator.batching import batching
from neutrams.simulator.constants import constant
from neutrams.simulator.timing.paces import Paces
from neutrams.simulator.traffic.parts import crossbar_parts


@dataclass(frozen=True, slots=True)
class BusUse:
    """Of one matrix, in clocks of the network."""

    alone: int
    """To fetch a window and to store what is made of it."""
    round: int
    """The same for all copies of the tile that holds most of them."""
    tiles: Mapping[int, int]
    """Of each tile, for an inference."""


def bus_uses(program: Program) -> dict[str, BusUse]:
    """Return the use of each ``unit.mvm`` by the name of its result."""
    graph, machine = program.module["main"], program.target.machine
    sizes, paces = batching(graph).one(), Paces(program.target)
    groups = {op.unit: op for op in program.module["chip"].ops if isinstance(op, Group)}
    per_tile = machine.cores_per_tile * machine.core.crossbars
    found = {}
    for op, times in working_ops(graph):
        if not isinstance(op, Mvm):
            continue
        group = groups[op.result.name]
        tiles = (constant(group.crossbars) // per_tile).reshape(group.copies, -1)
        owners = stripes(shape_of(op, sizes), group.copies).owners()
        windows = np.bincount(owners, minlength=group.copies) * bind(times, dict(sizes))
        alone, once, whole = 0, Counter[int](), Counter[int]()
        for part in crossbar_parts(op, tiles.astype(np.int32)):
            clocks = paces.fetch(op, part) + paces.store(op, part)
            alone = max(alone, clocks)
            once[part.tile] += clocks
            whole[part.tile] += clocks * int(windows[part.copy])
        found[op.result.name] = BusUse(alone, max(once.values(), default=0), whole)
    return found
