"""Run passes in order: check levels and structure, time, print, compare meanings."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from threadpoolctl import threadpool_limits

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.target import Target
from neutrams.ir.text import print_graph
from neutrams.ir.types import Array
from neutrams.ir.verifier import beyond_units, check, verify
from neutrams.passes import losses
from neutrams.passes.base import Pass, PassContext, PassTiming
from neutrams.passes.meaning import Seen, compare
from neutrams.passes.pipeline import parse_pipeline
from neutrams.passes.samples import batches

PROBE = 8
"""Calibration samples that ``verify_each`` runs through the graph before and after each pass."""


class PassManager:
    """A pipeline, as a list of passes or as text.

    Raises:
        NeutramsError: NT0201 to NT0204, a text that is no pipeline.
    """

    def __init__(self, passes: str | Sequence[Pass | str]) -> None:
        parts: Sequence[Pass | str] = [passes] if isinstance(passes, str) else passes
        self.passes: list[Pass] = []
        for part in parts:
            self.passes += parse_pipeline(part) if isinstance(part, str) else [part]

    def run(self, graph: Graph, ctx: PassContext | None = None) -> bool:
        """Run every pass on a graph, changing it in place, and say whether any changed it.

        One BLAS thread is used, so that results do not depend on the number of cores.

        Raises:
            NeutramsError: the graph is not valid, or a pass refuses it (NT02xx).
        """
        ctx = ctx or PassContext()
        check(graph)
        with threadpool_limits(1, user_api="blas"):
            changed = [self._run_one(made, graph, ctx) for made in self.passes]
        if ctx.timing and ctx.emit:
            ctx.emit(timing_table(ctx.timings))
        return any(changed)

    def _run_one(self, made: Pass, graph: Graph, ctx: PassContext) -> bool:
        _want_level(made, graph)
        probe = _probe(graph, ctx) if ctx.verify_each else None
        before = Seen.of(graph, probe, converters=made.converters) if probe else None
        judged = ctx.measure_losses or losses.gate_of(made, ctx) > 0
        if judged:
            losses.start(graph, ctx)
        ctx.running = made.name
        start = time.perf_counter()
        graphs = [*graph.cells(), graph] if made.descends else [graph]
        changes = [made.run(each, ctx) for each in graphs]
        changed = any(changes)
        ctx.timings.append(PassTiming(made.name, time.perf_counter() - start, changed))
        ctx.running = ""
        assert made.gives is None or graph.level == made.gives, f"{made.name} left {graph.level}"
        _verify_after(made, graph, ctx)
        if probe and before:
            after = Seen.of(graph, probe, converters=made.converters)
            compare(made, before, after, graph, ctx)
        if judged:
            losses.judge(made, graph, ctx, changed=changed)
        elif changed:
            ctx.answers.pop("latest", None)
        if ctx.emit and _wants_print(made, ctx):
            ctx.emit(f"; after {made.name}\n{print_graph(graph)}")
        return changed


def timing_table(timings: Sequence[PassTiming]) -> str:
    """Return one line a pass: milliseconds, name, and whether it changed the graph."""
    total = sum(timing.seconds for timing in timings)
    lines = [
        f"{1e3 * timing.seconds:10.2f} ms  {timing.name}{'' if timing.changed else '  (no change)'}"
        for timing in timings
    ]
    return "\n".join([*lines, f"{1e3 * total:10.2f} ms  total"])


def _wants_print(made: Pass, ctx: PassContext) -> bool:
    if isinstance(ctx.print_after, bool):
        return ctx.print_after
    return made.name in ctx.print_after


def _want_level(made: Pass, graph: Graph) -> None:
    if graph.level not in made.takes:
        wanted = " or ".join(f"`{level}`" for level in made.takes)
        raise NeutramsError(
            error("NT0205", f"`{made.name}` cannot take a graph of level `{graph.level}`")
            .note(f"it takes {wanted}")
            .help("`lower-units` turns an `nn` graph into a `unit` graph")
        )


def _verify_after(made: Pass, graph: Graph, ctx: PassContext) -> None:
    """A pass that leaves an invalid graph is our bug; a graph beyond the limits is the user's."""
    faults = verify(graph)
    assert not faults, f"after {made.name}:\n" + "\n".join(fault.render() for fault in faults)
    if not made.obeys_limits or ctx.target is None:
        return
    if broken := beyond_units(graph, _meanwhile(ctx.target, ctx)):
        raise NeutramsError(*broken)


def _meanwhile(target: Target, ctx: PassContext) -> Target:
    """Return a target that has as many bits as `split-digits` is still to take apart."""
    limits = target.limits
    wide = replace(
        limits,
        input_bits=max(limits.input_bits, ctx.reads),
        output_bits=max(limits.output_bits, ctx.reads),
        weight_bits=max(limits.weight_bits, ctx.holds),
    )
    return replace(target, limits=wide)


def _probe(graph: Graph, ctx: PassContext) -> Mapping[str, Array] | None:
    if not ctx.calibration:
        return None
    return next(batches(graph, ctx.calibration, limit=PROBE, size=PROBE))
