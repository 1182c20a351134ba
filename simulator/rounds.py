"""Rounds: which ops of a network run in which, and when each runs within a batch.

A round programs its cells, then lets a batch through, sample after sample, as a network that is
held at once would; what earlier rounds made is there from its start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op
from neutrams.ir.ops.chip import Group, Round
from neutrams.ir.ops.time import Run, within, working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.simulator.constants import constant

Rounds = Mapping[Op, tuple[int, ...]]
"""For each op of a graph the rounds that it works in, rising; results are whole after the last."""


@dataclass(frozen=True, slots=True)
class SpanTime:
    """When a round runs within one batch."""

    round: int
    start_cycle: int
    run_cycle: int
    """Cells are programmed, and the first inference starts."""
    finish_cycle: int


def unit_rounds(chip: Graph) -> dict[str, tuple[int, ...]]:
    """Return the rounds of every ``unit.mvm`` by the name of its result."""
    return {
        op.unit: (op.round,)
        if op.rounds is None
        else tuple(np.unique(constant(op.rounds)).tolist())
        for op in chip.ops
        if isinstance(op, Group)
    }


def op_rounds(graph: Graph, units: Mapping[str, tuple[int, ...]]) -> dict[Op, tuple[int, ...]]:
    """Return the rounds of every op of a graph: what is digital works as soon as it can.

    The units of a cell have one round in common, which is that of its run.
    """
    found: dict[Op, tuple[int, ...]] = {}
    for op in graph.ops:
        earlier = [found[value.op][-1] for value in op.present if value.op in found]
        inner = [units[unit.result.name] for unit in units_of(op)]
        found[op] = inner[0] if inner else (max(earlier, default=0),)
    return found


def units_of(op: Op) -> list[Mvm]:
    """Return the matrix units that an op of a graph is, or runs."""
    if isinstance(op, Run):
        return [inner for inner, _ in working_ops(op.cell) if isinstance(inner, Mvm)]
    return [op] if isinstance(op, Mvm) else []


def program_rounds(program: Program) -> dict[Op, tuple[int, ...]]:
    """Return the rounds of every op of a program's unit graph; empty where it has just one."""
    chip = program.module.graphs.get("chip")
    if chip is None or not any(isinstance(op, Round) for op in chip.ops):
        return {}
    return op_rounds(program.module["main"], unit_rounds(chip))


def ops_in(program: Program, round: int | None) -> dict[Op, None]:
    """Return the ops that work in a round, those of cells among them; all where it is ``None``."""
    graph, rounds = program.module["main"], program_rounds(program)
    if round is None:
        return {op: None for op, _ in working_ops(graph)}
    return {op: None for op, _ in within(op for op in graph.ops if round in rounds[op])}


def spans(
    facts: Sequence[Round], latencies: Sequence[int], periods: Sequence[int], program: Program
) -> tuple[SpanTime, ...]:
    """Return when each round runs: programming, the first inference, the rest of the batch."""
    machine = program.target.machine
    found, clock = list[SpanTime](), 0
    for fact, latency, period in zip(facts, latencies, periods, strict=True):
        run = clock + ceil(fact.write_ns / machine.core.read_ns)
        moved_ns = fact.batch * fact.spilled_bytes / machine.io_gbytes_per_s
        moving = ceil(moved_ns / machine.core.read_ns)
        finish = run + latency + (fact.batch - 1) * period + moving
        found.append(SpanTime(fact.round, clock, run, finish))
        clock = finish
    return tuple(found)
