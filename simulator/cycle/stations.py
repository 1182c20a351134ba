"""The stations of a plan: what one tile does of one copy of an op, or the link of the chip."""

from __future__ import annotations

from math import ceil

from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.simulator.cycle.state import PARTS
from neutrams.simulator.digital import Sizes
from neutrams.simulator.timing.paces import Paces
from neutrams.simulator.traffic.border import Border
from neutrams.simulator.traffic.divided import Divided
from neutrams.simulator.traffic.joins import Node
from neutrams.simulator.traffic.parts import Part

AHEAD = 2
"""Items that an input register holds: one is read while the next is fetched."""

Fields = dict[str, float]
"""Fields of a record by name; 0 where not said."""


def station(
    node: Node, divided: Divided, part: Part, *, target: Target, sizes: Sizes, inferences: int
) -> Fields:
    """Return the station of one part of a node, for a stream of inferences."""
    each = int((divided.owners == part.copy).sum()) * divided.times
    made: Fields = {
        "tile": part.tile,
        "copy": part.copy,
        "copies": len(divided.of_copy),
        "each": each,
        "items": each * inferences,
        "ahead": AHEAD,
        "begin": -1,
    }
    paces = Paces(target)
    if isinstance(node, Mvm):
        return made | _on_crossbars(node, part, paces)
    if isinstance(node, Border):
        link = _fine(paces.link_ns(node.bits), target)
        return made | {"shared": 1, "link": 1, "depth": 2, **link}
    vector = paces.vector_ns(node, part, windows=divided.windows, sizes=sizes)
    return made | {"shared": 1, "depth": 2, **_fine(vector, target)}


def _on_crossbars(op: Mvm, part: Part, paces: Paces) -> Fields:
    pipeline, phases = paces.target.machine.core.pipeline_cycles, op.encoding.phases
    return {
        "work": phases * paces.read,
        "after": pipeline * paces.read,
        "fetch": paces.fetch(op, part),
        "store": paces.store(op, part),
        "depth": pipeline // phases + 2,
    }


def _fine(ns: float, target: Target) -> Fields:
    """Return nanoseconds as clocks of the network and parts of one."""
    parts = ceil(ns * target.machine.network.clock_ghz * PARTS - 1e-9)
    return {"work": parts // PARTS, "parts": parts % PARTS}
