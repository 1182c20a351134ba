"""The cycle grain: a program clock by clock, with all that its parts wait for."""

from __future__ import annotations

from neutrams.simulator.cycle.layout import Job, Layout
from neutrams.simulator.cycle.plan import lay_out, lay_out_all
from neutrams.simulator.cycle.run import CycleResult, Machine, Stuck, routers_of

__all__ = [
    "CycleResult",
    "Job",
    "Layout",
    "Machine",
    "Stuck",
    "lay_out",
    "lay_out_all",
    "routers_of",
]
