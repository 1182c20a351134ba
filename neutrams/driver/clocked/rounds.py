"""Rounds at the cycle grain: cells are programmed, a batch runs through them, and so on.

Programming and what moves on and off the chip between two rounds take the time that the program
states (``chip.round``); what one round leaves is in the buffers of the next one from its start.
"""

from __future__ import annotations

from contextlib import nullcontext
from math import ceil

import numpy as np

from neutrams.driver.checkpoints.checkpoints import Book
from neutrams.driver.clocked.clocks import Cycles
from neutrams.driver.clocked.legs import Leg, run_leg
from neutrams.driver.clocked.recording import Record, session
from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.ops.chip import Round
from neutrams.ir.program import Program
from neutrams.simulator.cycle import lay_out


def run_rounds(program: Program, *, record: Record | None, book: Book) -> Cycles:
    """Run a batch through every round, clock by clock.

    Raises:
        NeutramsError: NT0020, a file cannot be written.
    """
    rounds = [op for op in program.module["chip"].ops if isinstance(op, Round)]
    legs, begins, spans = list[Leg](), list[int](), list[tuple[int, int]]()
    base, said = 0, tuple[Diagnostic, ...]()
    with session({"": program}, record) if record is not None else nullcontext() as writing:
        for fact in rounds:
            layout = lay_out(program, inferences=fact.batch, round=fact.round)
            begin = base + _clocks(program, fact.write_ns)
            if writing is not None:
                writing.programmed(fact.round, base, begin)
            name = f"round {fact.round + 1} of {len(rounds)}"
            leg = run_leg(program.target, layout, name, book, session=writing, base=begin)
            moved_ns = fact.batch * fact.spilled_bytes / program.target.machine.io_gbytes_per_s
            done = begin + leg.found.clocks
            end = done + _clocks(program, moved_ns)
            if writing is not None:
                writing.spilled(fact.round, done, end)
            legs.append(leg)
            begins.append(begin)
            spans.append((begin - base, end - base))
            base = end
        if writing is not None:
            said = writing.close(base)
    return _joined(program, legs, begins, spans, said)


def _clocks(program: Program, ns: float) -> int:
    return ceil(ns * program.target.machine.network.clock_ghz - 1e-9)


def _joined(
    program: Program,
    legs: list[Leg],
    begins: list[int],
    spans: list[tuple[int, int]],
    said: tuple[Diagnostic, ...],
) -> Cycles:
    """Add up rounds; an op that works in several begins in the first and ends in the last."""
    batch = next(op.batch for op in program.module["chip"].ops if isinstance(op, Round))
    clocks = sum(whole for _, whole in spans)
    clock_s = 1e-9 / program.target.machine.network.clock_ghz
    load = np.sum([leg.found.load for leg in legs], axis=0)
    buses, vectors = (
        np.sum([leg.found.tiles[key] for leg in legs], axis=0)
        for key in ("bus_busy", "vector_busy")
    )
    layers: dict[str, tuple[int, int]] = {}
    for leg, begin in zip(legs, begins, strict=True):
        for name, (start, end) in leg.layers(base=begin).items():
            layers[name] = layers.get(name, (start, end))[0], end
    return Cycles(
        clocks=clocks,
        clock_s=clock_s,
        period_s=clocks * clock_s / batch,
        flits=sum(leg.found.flits for leg in legs) // batch,
        router_flits=int(load.sum()) // batch,
        link_flits=int(load[..., :4].sum()) // batch,
        busiest_link=float(load.max()) / max(clocks, 1),
        busiest_bus=float(buses.max()) / max(clocks, 1),
        busiest_vector=float(vectors.max()) / max(clocks, 1),
        buffer_bytes=max(int(leg.layout.buffer_bytes.max(initial=0)) for leg in legs),
        layers=layers,
        warnings=said,
        rounds=tuple(spans),
    )
