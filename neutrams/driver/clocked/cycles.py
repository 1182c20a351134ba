"""The cycle grain of a program: what its schedule leaves out, measured clock by clock."""

from __future__ import annotations

from neutrams.driver.checkpoints.checkpoints import Book
from neutrams.driver.clocked.clocks import Cycles
from neutrams.driver.clocked.legs import Leg, run_leg
from neutrams.driver.clocked.recording import Record, session
from neutrams.driver.clocked.rounds import run_rounds
from neutrams.driver.progress import silent
from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.program import Program
from neutrams.simulator.cycle import lay_out

STREAM = 4
"""Inferences that follow one another, of which the time between two is taken."""


def run_cycles(
    program: Program,
    *,
    stream: int = STREAM,
    record: Record | None = None,
    book: Book | None = None,
    name: str = "",
) -> Cycles:
    """Run one inference, then a stream of them, clock by clock.

    Args:
        program: What runs.
        stream: Inferences of the stream.
        record: What is written down, as :func:`check_record` lets it pass.
        book: What is done, and who is told of clocks and items. A run that is recorded begins anew,
            so that what is written is whole.
        name: Of the network, where there are several.

    Raises:
        NeutramsError: NT0020, a file cannot be written.
    """
    pages = book or Book(silent)
    if any(op.name == "chip.round" for op in program.module["chip"].ops):
        return run_rounds(program, record=record, book=pages)
    written = record.inferences if record is not None else 1
    legs: dict[int, Leg] = {}
    said: tuple[Diagnostic, ...] = ()
    for count in dict.fromkeys([1, stream, written]):
        layout = lay_out(program, inferences=count)
        leg = f"{count} inferences" if count > 1 else "one inference"
        leg = f"{name}: {leg}" if name else leg
        if record is None or count != written:
            legs[count] = run_leg(program.target, layout, leg, pages)
            continue
        with session({"": program}, record) as writing:
            legs[count] = run_leg(program.target, layout, leg, pages, session=writing)
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
