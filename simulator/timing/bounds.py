"""What inferences that follow each other share beside stages: buses, routers, the chip's link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from neutrams.ir.program import Program
from neutrams.simulator.batching import batching
from neutrams.simulator.digital import elements
from neutrams.simulator.network.state import EAST, LOCAL, NORTH, SOUTH, WEST
from neutrams.simulator.network.trees import NODE
from neutrams.simulator.timing.buses import BusUse
from neutrams.simulator.timing.paces import Paces
from neutrams.simulator.traffic.border import sent_form
from neutrams.simulator.traffic.loads import I64, network_load

STEPS = {EAST: (1, 0), WEST: (-1, 0), NORTH: (0, -1), SOUTH: (0, 1)}


@dataclass(frozen=True, slots=True)
class Bound:
    """A part that no two inferences can have at once."""

    part: str
    busy_ns: float
    """In which one inference takes it."""


def bounds(program: Program, buses: Iterable[BusUse]) -> tuple[Bound, ...]:
    """Return the busiest part of each kind, the longest first; those never used are left out."""
    clock_ns = 1 / program.target.machine.network.clock_ghz
    found = [Bound("link of the chip", _link_ns(program)), _bus(buses, clock_ns)]
    load = network_load(program.module["chip"], program.target)
    found += [Bound(name, clock_ns * clocks) for name, clocks in _ports(load)]
    return tuple(sorted((b for b in found if b.busy_ns), key=lambda b: -b.busy_ns))


def _link_ns(program: Program) -> float:
    """Return the time in which all inputs and outputs go over the link."""
    graph = program.module["main"]
    sizes, paces = batching(graph).one(), Paces(program.target)
    values = [sent_form(value) for value in graph.inputs] + graph.outputs
    return sum(paces.link_ns(elements(v, sizes) * v.type.dtype.bits) for v in values)


def _bus(buses: Iterable[BusUse], clock_ns: float) -> Bound:
    total = Counter[int]()
    for use in buses:
        total.update(use.tiles)
    tile, clocks = max(total.items(), key=lambda item: (item[1], -item[0]), default=(0, 0))
    return Bound(f"bus of tile {tile}", clock_ns * clocks)


def _ports(load: I64) -> Iterator[tuple[str, int]]:
    """Yield the busiest link between routers, way out of one, and way into one, with its flits."""
    for outputs in (tuple(STEPS), (LOCAL,), (NODE,)):
        part = load[..., outputs]
        y, x, port = (int(i) for i in np.unravel_index(int(part.argmax()), part.shape))
        yield _name(x, y, outputs[port]), int(part[y, x, port])


def _name(x: int, y: int, port: int) -> str:
    if port in STEPS:
        dx, dy = STEPS[port]
        return f"link ({x},{y})->({x + dx},{y + dy})"
    return f"way out of router ({x},{y})" if port == LOCAL else f"way into router ({x},{y})"
