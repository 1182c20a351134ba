"""The schedule of one inference, written into the chip graph."""

from __future__ import annotations

from neutrams.ir.ops.chip import Stage
from neutrams.ir.program import Program
from neutrams.simulator import schedule


def add_schedule(program: Program) -> None:
    """Add one ``chip.stage`` for each scheduled op."""
    chip = program.module["chip"]
    for stage in schedule(program).stages:
        chip.insert(
            Stage(
                unit=stage.unit,
                windows=stage.windows,
                start_cycle=stage.start_cycle,
                interval_cycles=stage.interval_cycles,
                finish_cycle=stage.finish_cycle,
            )
        )
