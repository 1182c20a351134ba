"""The cycle grain of a program: what its schedule leaves out, measured clock by clock."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from neutrams.driver.checkpoints import Book
from neutrams.driver.pace import Pace
from neutrams.driver.progress import silent
from neutrams.driver.recording import Record, session
from neutrams.driver.resources import LayerUse, Resources
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.program import Program
from neutrams.simulator.cycle import CycleResult, Layout, Machine, lay_out, routers_of

STREAM = 4
"""Inferences that follow one another, of which the time between two is taken."""


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
    warnings: tuple[Diagnostic, ...] = ()


def run_cycles(
    program: Program,
    *,
    stream: int = STREAM,
    record: Record | None = None,
    book: Book | None = None,
) -> Cycles:
    """Run one inference, then a stream of them, clock by clock.

    Args:
        program: What runs.
        stream: Inferences of the stream.
        record: What is written down, as :func:`check_record` lets it pass.
        book: What is done, and who is told of clocks and items. A run that is recorded begins anew,
            so that what is written is whole.

    Raises:
        NeutramsError: NT0570, the program runs in rounds; NT0020, a file cannot be written.
    """
    if any(op.name == "chip.round" for op in program.module["chip"].ops):
        raise NeutramsError(
            error("NT0570", "the cycle grain cannot run a network in rounds")
            .note("it has no model yet of the time between two rounds")
            .help("leave out `--grain cycle`: the schedule counts rounds and their programming")
        )
    pages, chosen = book or Book(silent), record or Record()
    lengths = dict.fromkeys([1, stream, chosen.inferences] if record else [1, stream])
    made = {n: _run(program, n, record if n == chosen.inferences else None, pages) for n in lengths}
    (one_layout, one, _), (_, many, _) = made[1], made[stream]
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
        warnings=made[chosen.inferences][2] if record else (),
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
    program: Program, inferences: int, record: Record | None, book: Book
) -> tuple[Layout, CycleResult, tuple[Diagnostic, ...]]:
    layout = lay_out(program, inferences=inferences)
    machine = Machine(layout.plan, routers_of(program.target))
    if record is None:
        book.machine(f"{inferences} inferences", machine)
    items = int(layout.plan.stations["items"].sum())
    name = f"{inferences} inferences" if inferences > 1 else "one inference"
    clock_s = 1e-9 / program.target.machine.network.clock_ghz
    pace = Pace(book.tell, name, items=items, clock_s=clock_s)
    with ExitStack() as stack:
        writing = stack.enter_context(session(program, layout, record)) if record else None
        runner = writing.recorder(machine) if writing is not None else machine
        while not runner.advance(pace.next(machine.clock, int(machine.stations["sent"].sum()))):
            pass
        said = writing.close(machine.clock) if writing is not None else ()
    return layout, machine.result(), said


def _last_output(found: CycleResult) -> int:
    """Return when the last output is made; windows that a pool leaves out may be done later."""
    ends = found.stations["ends"] > 0
    return int(found.stations["end"][ends].max(initial=0))


def _times(layout: Layout, found: CycleResult) -> dict[str, tuple[int, int]]:
    names = np.array(layout.ops)
    times: dict[str, tuple[int, int]] = {}
    for name in dict.fromkeys(layout.ops):
        mine = found.stations[names == name]
        times[name] = (int(mine["begin"].min()), int(mine["end"].max()))
    return times
