"""One machine of the cycle grain, led from its first clock to its last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutrams.driver.checkpoints.checkpoints import Book
from neutrams.driver.clocked.pace import Pace
from neutrams.driver.clocked.recording import Session
from neutrams.ir.target import Target
from neutrams.simulator.cycle import CycleResult, Layout, Machine, routers_of


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """A layout, and what became of it."""

    layout: Layout
    found: CycleResult

    def outputs_done(self, job: int = 0) -> int:
        """Return when the last output of a job is made; windows that a pool leaves out may be done
        later.
        """
        stations = self.found.stations
        ends = (stations["ends"] > 0) & (self.layout.jobs == job)
        return int(stations["end"][ends].max(initial=0))

    def done(self, job: int = 0) -> int:
        """Return when the last result of a job is made."""
        return int(self.found.stations["end"][self.layout.jobs == job].max(initial=0))

    def layers(self, job: int = 0, *, base: int = 0) -> dict[str, tuple[int, int]]:
        """Return when the work of each op of a job begins and ends, in clocks from ``base``."""
        names = np.where(self.layout.jobs == job, np.array(self.layout.ops), "")
        times: dict[str, tuple[int, int]] = {}
        for name in dict.fromkeys(names[names != ""].tolist()):
            mine = self.found.stations[names == name]
            times[name] = base + int(mine["begin"].min()), base + int(mine["end"].max())
        return times


def run_leg(
    target: Target,
    layout: Layout,
    name: str,
    book: Book,
    *,
    session: Session | None = None,
    base: int = 0,
) -> Leg:
    """Run a layout to its end, on from where a checkpoint left it.

    Args:
        target: The chip.
        layout: What runs.
        name: What it is called.
        book: What is done, and who is told of clocks and items.
        session: Where it is written down; then it begins anew, so that what is written is whole.
        base: Clocks that what is written counts from.
    """
    machine = Machine(layout.plan, routers_of(target))
    if session is None:
        book.machine(name, machine)
    clock_s = 1e-9 / target.machine.network.clock_ghz
    items = int(layout.plan.stations["items"].sum())
    pace = Pace(book.tell, name, items=items, clock_s=clock_s)
    runner = session.recorder(layout, machine, base=base) if session is not None else machine
    while not runner.advance(pace.next(machine.clock, int(machine.stations["sent"].sum()))):
        pass
    return Leg(layout, machine.result())
