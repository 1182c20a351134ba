"""The cycle grain of a program: what its schedule leaves out, measured clock by clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

from neutrams.driver.checkpoints import Book
from neutrams.driver.legs import Leg, run_leg
from neutrams.driver.progress import silent
from neutrams.driver.recording import Record, session
from neutrams.driver.resources import LayerUse, Resources
from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.program import Program
from neutrams.simulator.cycle import lay_out

STREAM = 4
"""Inferences that follow one another, of which the time between two is taken."""


@dataclass(frozen=True, slots=True)
class Cycles:
    """What a run of the cycle grain found, of one inference unless it says otherwise."""

    clocks: int
    """From the first input to the last output of one inference, or of a batch in rounds."""
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
    """Clock of the first start and of the last result of one inference, by name of the values; of
    a whole batch in rounds."""
    warnings: tuple[Diagnostic, ...] = ()
    rounds: tuple[tuple[int, int], ...] = ()
    """Clocks of each round of a batch: of programming, and of all of it."""
    beside: tuple[str, ...] = ()
    """Networks that ran on the same chip meanwhile."""
    alone: tuple[int, float] | None = None
    """``clocks`` and ``period_s`` of the network by itself, where others ran beside it."""


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
        NeutramsError: NT0020, a file cannot be written.
    """
    pages = book or Book(silent)
    if any(op.name == "chip.round" for op in program.module["chip"].ops):
        from neutrams.driver.cycle_rounds import run_rounds

        return run_rounds(program, record=record, book=pages)
    written = record.inferences if record is not None else 1
    legs: dict[int, Leg] = {}
    said: tuple[Diagnostic, ...] = ()
    for count in dict.fromkeys([1, stream, written]):
        layout = lay_out(program, inferences=count)
        name = f"{count} inferences" if count > 1 else "one inference"
        if record is None or count != written:
            legs[count] = run_leg(program.target, layout, name, pages)
            continue
        with session({"": program}, layout, record) as writing:
            legs[count] = run_leg(program.target, layout, name, pages, session=writing)
            said = writing.close(legs[count].found.clocks)
    one, many = legs[1], legs[stream]
    period = float(one.found.clocks)
    if stream > 1:
        period = (many.found.clocks - one.found.clocks) / (stream - 1)
    return measured(program, one, many, period=period, warnings=said)


def measured(
    program: Program,
    one: Leg,
    many: Leg,
    *,
    period: float,
    warnings: tuple[Diagnostic, ...] = (),
) -> Cycles:
    """Return what one inference took, and a stream of them with ``period`` clocks between two."""
    clock_s = 1e-9 / program.target.machine.network.clock_ghz
    whole = max(many.found.clocks, 1)
    return Cycles(
        clocks=one.outputs_done(),
        clock_s=clock_s,
        period_s=period * clock_s,
        flits=one.found.flits,
        router_flits=int(one.found.load.sum()),
        link_flits=int(one.found.load[..., :4].sum()),
        busiest_link=float(many.found.load.max()) / whole,
        busiest_bus=float(many.found.tiles["bus_busy"].max()) / whole,
        busiest_vector=float(many.found.tiles["vector_busy"].max()) / whole,
        buffer_bytes=int(one.layout.buffer_bytes.max(initial=0)),
        layers=one.layers(),
        warnings=warnings,
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
        rounds=tuple(
            replace(each, programming_s=part * cycles.clock_s, batch_s=whole * cycles.clock_s)
            for each, (part, whole) in zip(found.rounds, cycles.rounds, strict=True)
        ),
    )


def _measured(layer: LayerUse, cycles: Cycles) -> LayerUse:
    times = [cycles.layers[name] for name in layer.ops if name in cycles.layers]
    if not times:
        return layer
    start, finish = min(time[0] for time in times), max(time[1] for time in times)
    return replace(layer, start_s=start * cycles.clock_s, finish_s=finish * cycles.clock_s)
