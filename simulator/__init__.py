"""Run compiled programs: outputs bit for bit, event counts, timing."""

from __future__ import annotations

from neutrams.simulator.events import LayerEvents
from neutrams.simulator.run import Batched, Elsewhere, Result, Runner, run_batched, simulate
from neutrams.simulator.timing.schedule import Timing, schedule, schedule_graph
from neutrams.simulator.timing.stages import StageTime
from neutrams.simulator.usage import Usage, usage

__all__ = [
    "Batched",
    "Elsewhere",
    "LayerEvents",
    "Result",
    "Runner",
    "StageTime",
    "Timing",
    "Usage",
    "run_batched",
    "schedule",
    "schedule_graph",
    "simulate",
    "usage",
]
