"""The schedule of one inference, written into the chip graph."""

from __future__ import annotations

from neutrams.ir.ops.chip import Bound, Span, Stage
from neutrams.ir.program import Program
from neutrams.simulator import schedule


def add_schedule(program: Program) -> None:
    """Add one ``chip.stage`` for each scheduled op, and one ``chip.span`` for each round."""
    chip, timing = program.module["chip"], schedule(program)
    for span in timing.spans:
        chip.insert(
            Span(
                round=span.round,
                start_cycle=span.start_cycle,
                run_cycle=span.run_cycle,
                finish_cycle=span.finish_cycle,
            )
        )
    for bound in timing.bounds:
        chip.insert(Bound(part=bound.part, busy_ns=bound.busy_ns))
    for stage in timing.stages:
        chip.insert(
            Stage(
                unit=stage.unit,
                windows=stage.windows,
                start_cycle=stage.start_cycle,
                interval_cycles=stage.interval_cycles,
                finish_cycle=stage.finish_cycle,
            )
        )
