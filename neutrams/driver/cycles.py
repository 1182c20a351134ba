"""The cycle grain of a program: what its schedule leaves out, measured clock by clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neutrams.driver.progress import Progress
from neutrams.driver.resources import LayerUse, Resources
from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.program import Program
from neutrams.simulator.cycle import CycleResult, Layout, Machine, lay_out, routers_of

STREAM = 4
"""Inferences that follow one another, of which the time between two is taken."""
SLICE = 100_000
"""Clocks between two looks at the progress; Ctrl-C is heard there."""


@dataclass(frozen=True, slots=True)
class Cycles:
    """What a run of the cycle grain found, of one inference unless it says otherwise."""

    clocks: int
    """From the first input to the last output of one inference."""
    clock_s: float
    period_s: float
    """From one inference to the next in a stream."""
    flits: int
    router_flits: int
    """Flits times the routers they cross."""
    link_flits: int
    busiest_link: float
    """Share of the clocks of the stream in which the busiest link carries a flit."""
    busiest_bus: float
    busiest_vector: float
    """The same of the busiest bus and vector unit of a tile."""
    buffer_bytes: int
    """What the buffers of the fullest tile are sized for, so that no part waits for ever."""
    layers: dict[str, tuple[int, int]]
    """Clock of the first start and of the last result of one inference, by name of the values."""


def run_cycles(
    program: Program, *, stream: int = STREAM, progress: Progress | None = None
) -> Cycles:
    """Run one inference, then a stream of them, clock by clock.

    Raises:
        NeutramsError: NT0570, the program runs in rounds.
    """
    if any(op.name == "chip.round" for op in program.module["chip"].ops):
        raise NeutramsError(
            error("NT0570", "the cycle grain cannot run a network in rounds")
            .note("it has no model yet of the time between two rounds")
            .help("leave out `--grain cycle`: the schedule counts rounds and their programming")
        )
    one_layout, one = _run(program, 1, progress)
    _, many = _run(program, stream, progress) if stream > 1 else (one_layout, one)
    clock_s = 1e-9 / program.target.machine.network.clock_ghz
    period = (many.clocks - one.clocks) / (stream - 1) if stream > 1 else one.clocks
    links = one.load[..., :4].sum()
    return Cycles(
        clocks=_last_output(one),
        clock_s=clock_s,
        period_s=period * clock_s,
        flits=one.flits,
        router_flits=int(one.load.sum()),
        link_flits=int(links),
        busiest_link=float(many.load.max()) / max(many.clocks, 1),
        busiest_bus=float(many.tiles["bus_busy"].max()) / max(many.clocks, 1),
        busiest_vector=float(many.tiles["vector_busy"].max()) / max(many.clocks, 1),
        buffer_bytes=int(one_layout.buffer_bytes.max(initial=0)),
        layers=_times(one_layout, one),
    )


def with_cycles(found: Resources, cycles: Cycles, *, samples: int) -> Resources:
    """Return resources with the times that were measured in place of those of the schedule.

    Args:
        found: What the schedule says.
        cycles: What was measured.
        samples: Samples of one inference: more than 1 where a network mixes them.
    """
    return replace(
        found,
        latency_s=cycles.clocks * cycles.clock_s,
        throughput_per_s=samples / cycles.period_s if cycles.period_s else 0.0,
        buffer_bytes=cycles.buffer_bytes,
        layers=tuple(_measured(layer, cycles) for layer in found.layers),
    )


def _measured(layer: LayerUse, cycles: Cycles) -> LayerUse:
    times = [cycles.layers[name] for name in layer.ops if name in cycles.layers]
    if not times:
        return layer
    start, finish = min(time[0] for time in times), max(time[1] for time in times)
    return replace(layer, start_s=start * cycles.clock_s, finish_s=finish * cycles.clock_s)


def _run(
    program: Program, inferences: int, progress: Progress | None
) -> tuple[Layout, CycleResult]:
    layout = lay_out(program, inferences=inferences)
    machine = Machine(layout.plan, routers_of(program.target))
    items = int(layout.plan.stations["items"].sum())
    until, found = SLICE, machine.run(SLICE)
    while not found.finished:
        if progress is not None:
            progress(f"clock {until:,}", int(found.stations["sent"].sum()), items)
        until += SLICE
        found = machine.run(until)
    return layout, found


def _last_output(found: CycleResult) -> int:
    """Return when the last result is made that no station reads: those are the outputs.

    Windows that a pool leaves out may be done later still.
    """
    ends = found.stations["out_begin"] == found.stations["out_end"]
    return int(found.stations["end"][ends].max(initial=0))


def _times(layout: Layout, found: CycleResult) -> dict[str, tuple[int, int]]:
    names = np.array(layout.ops)
    times: dict[str, tuple[int, int]] = {}
    for name in dict.fromkeys(layout.ops):
        mine = found.stations[names == name]
        times[name] = (int(mine["begin"].min()), int(mine["end"].max()))
    return times
