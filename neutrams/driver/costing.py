"""What one inference of a program costs, known without running it."""

from __future__ import annotations

from dataclasses import dataclass

from neutrams.driver.resources import ChipFacts, energy
from neutrams.ir.program import Program


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one inference in a full pipeline; crossbars are those in use, copies included."""

    energy_j: float
    crossbars: int
    latency_s: float


def cost_of(program: Program) -> Cost:
    """Return the cost of a mapped and scheduled program; no event depends on the data."""
    facts = ChipFacts.of(program)
    on = facts.occupancy(program)
    return Cost(energy(program, facts), on.crossbars, facts.latency_s)
