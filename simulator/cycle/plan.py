"""From programs to stations and edges."""

from __future__ import annotations

from collections.abc import Sequence

from neutrams.ir.program import Program
from neutrams.simulator.cycle.layout import Job, Layout
from neutrams.simulator.cycle.planner import Planner


def lay_out(program: Program, *, inferences: int = 1, round: int | None = None) -> Layout:
    """Return the stations of a program, or of one of its rounds, for a stream of inferences.

    What earlier rounds have made is there from the start; an input comes in the first round that
    reads it.
    """
    return lay_out_all([Job(program, inferences, round)])


def lay_out_all(jobs: Sequence[Job]) -> Layout:
    """Return the stations of programs that were placed together, one behind the other."""
    planner = Planner(jobs[0].program)
    for number, job in enumerate(jobs):
        planner.add(job, number)
    return planner.finished()
