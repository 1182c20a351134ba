"""How long values are on their way between tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutrams.ir.op import Value
from neutrams.ir.program import Program
from neutrams.simulator.batching import batching
from neutrams.simulator.digital import elements
from neutrams.simulator.timing.paces import Paces
from neutrams.simulator.traffic.border import sent_form
from neutrams.simulator.traffic.loads import load_of, sent_by
from neutrams.simulator.traffic.windows import places


@dataclass(frozen=True, slots=True)
class Transfer:
    """From the tiles that make a value to those that read it, in crossbar reads."""

    delay: float
    """Of the mean flit, if nothing is in its way."""
    spread: float
    """From the first flit of an inference to the last, at least: a port sends one in a clock."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """When an input comes over the link of the chip, in crossbar reads."""

    first: float
    last: float
    items: int


def transfers(program: Program) -> dict[str, Transfer]:
    """Return the transfer of each value that is sent, by its name."""
    network = program.target.machine.network
    read = program.target.machine.core.read_ns * network.clock_ghz
    found = {}
    for name, sent in sent_by(program.module["chip"], program.target):
        if not name or not len(sent.source):
            continue
        (ax, ay), (bx, by) = (
            (ends % network.columns, ends // network.columns) for ends in (sent.source, sent.target)
        )
        hops = np.average(abs(ax - bx) + abs(ay - by), weights=sent.flits)
        delay = (hops + 1) * network.router_cycles + hops * network.link_cycles
        spread = int(load_of(sent, program.target).max())
        found[name] = Transfer(float(delay) / read, spread / read)
    return found


def arrivals(program: Program) -> dict[Value, Arrival]:
    """Return when each input comes: one after the other, place by place."""
    graph = program.module["main"]
    sizes, paces = batching(graph).one(), Paces(program.target)
    read, begin = program.target.machine.core.read_ns, 0.0
    found = {}
    for value in graph.inputs:
        form = sent_form(value)
        items = places(form, sizes)
        whole = paces.link_ns(elements(form, sizes) * form.type.dtype.bits) / read
        found[value] = Arrival(begin + whole / items, begin + whole, items)
        begin += whole
    return found


def departures(program: Program) -> dict[Value, float]:
    """Return how long each output takes over the link of the chip, in crossbar reads."""
    graph = program.module["main"]
    sizes, paces = batching(graph).one(), Paces(program.target)
    read = program.target.machine.core.read_ns
    return {
        value: paces.link_ns(elements(value, sizes) * value.type.dtype.bits) / read
        for value in dict.fromkeys(graph.outputs)
    }
