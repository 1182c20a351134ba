"""Several networks on one chip at the cycle grain: tiles of their own, one network on chip."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace

from neutrams.driver.checkpoints.checkpoints import Book
from neutrams.driver.clocked.clocks import Cycles
from neutrams.driver.clocked.cycles import STREAM, run_cycles
from neutrams.driver.clocked.legs import run_leg
from neutrams.driver.clocked.recording import Record, session
from neutrams.driver.placing.sharing import check_apart
from neutrams.ir.program import Program
from neutrams.simulator.cycle import Job, lay_out_all

MOST = 64
"""Inferences of the fastest network, while the slowest does a stream."""


def run_together(
    programs: Mapping[str, Program], *, record: Record | None, book: Book
) -> dict[str, Cycles]:
    """Run one inference of each network at once, then streams that last about as long.

    Each is run by itself first: its flits are the same then, and its times what others cost.

    Raises:
        NeutramsError: NT0578, the programs were not placed together; NT0020, a file cannot be
            written.
    """
    check_apart(programs)
    alone = {name: run_cycles(each, book=book, name=name) for name, each in programs.items()}
    longest = max(each.period_s for each in alone.values())
    counts = {
        name: min(max(round(STREAM * longest / each.period_s), STREAM), MOST)
        for name, each in alone.items()
    }
    target = next(iter(programs.values())).target
    first = lay_out_all([Job(program) for program in programs.values()])
    with session(programs, record) if record is not None else nullcontext() as writing:
        one = run_leg(target, first, "all networks at once", book, session=writing)
        said = writing.close(one.found.clocks) if writing is not None else ()
    streams = lay_out_all([Job(program, counts[name]) for name, program in programs.items()])
    many = run_leg(target, streams, "streams of all networks", book)
    whole, tiles = max(many.found.clocks, 1), many.found.tiles
    found = {}
    for job, (name, by_itself) in enumerate(alone.items()):
        period = (many.done(job) - one.done(job)) / (counts[name] - 1)
        found[name] = replace(
            by_itself,
            busiest_link=float(many.found.load.max()) / whole,
            busiest_bus=float(tiles["bus_busy"].max()) / whole,
            busiest_vector=float(tiles["vector_busy"].max()) / whole,
            clocks=one.outputs_done(job),
            period_s=period * by_itself.clock_s,
            layers=one.layers(job),
            warnings=said if job == 0 else (),
            beside=tuple(other for other in programs if other != name),
            alone=(by_itself.clocks, by_itself.period_s),
        )
    return found
