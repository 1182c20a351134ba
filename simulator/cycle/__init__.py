"""The cycle grain: a program clock by clock, with all that its parts wait for."""

from __future__ import annotations

from neutrams.simulator.cycle.plan import Layout, lay_out
from neutrams.simulator.cycle.run import CycleResult, Machine, Stuck, routers_of

__all__ = ["CycleResult", "Layout", "Machine", "Stuck", "lay_out", "routers_of"]
