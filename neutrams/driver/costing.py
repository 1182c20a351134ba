"""What one inference of a program costs, known without running it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from neutrams.costs import charge
from neutrams.driver.resources import ChipFacts
from neutrams.ir.program import Program
from neutrams.simulator.batching import batching
from neutrams.simulator.events import events


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one inference in a full pipeline; crossbars are those in use, copies included."""

    energy_j: float
    crossbars: int
    latency_s: float


def cost_of(program: Program) -> Cost:
    """Return the cost of a mapped and scheduled program, but for events that depend on the data."""
    how = batching(program.module["main"])
    counts: Counter[str] = Counter()
    for layer in events(program, how, inferences=1):
        counts.update(layer.counts)
    facts = ChipFacts.of(program)
    on = facts.occupancy(program)
    each = 1 / facts.throughput_per_s if facts.throughput_per_s else facts.latency_s
    energy = charge(program.target, counts, each, occupancy=on).energy_j
    return Cost(energy, on.crossbars, facts.latency_s)
