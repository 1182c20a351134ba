"""When each op runs: a pipeline of layers, windows streaming from one to the next.

All times are in cycles of one crossbar read. A matrix works on a window for ``phases`` cycles and
its result lies in the buffer ``pipeline_cycles`` later; copies share the windows. A tile's vector
unit divides its lanes among the ops of the tile. An op may start when the first rows that its
first window sees are there, and ends after the last row has come and its last windows are done.
Nothing depends on the data, so the schedule is fixed. Time on the network is not in it.
The steps of a run follow one another, each as long as its longest path; a symbolic number of
steps stands for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.chip import Group, Round, Vector
from neutrams.ir.ops.time import SAME, Next, Run, State, within
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.stripes import windows_each
from neutrams.ir.target import Target
from neutrams.ir.types import bind
from neutrams.ir.windows import filled
from neutrams.simulator.batching import batching
from neutrams.simulator.constants import constant
from neutrams.simulator.digital import Sizes, work
from neutrams.simulator.rounds import SpanTime, program_rounds, spans


@dataclass(frozen=True, slots=True)
class StageTime:
    """When one op runs within one inference."""

    unit: str
    """Name of the op's first result."""
    op: str
    windows: int
    """Rounds it works through: windows of one inference shared among copies; 1 if digital."""
    start_cycle: int
    interval_cycles: int
    """Cycles from one round to the next; for a digital op, from one inference to the next, as
    the other ops of its tiles allow."""
    finish_cycle: int
    busy_cycles: float
    """Cycles of work in one inference."""
    alone_cycles: float
    """Cycles it takes when all of its input is there."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The schedule of one inference, and what follows for a stream of them."""

    stages: tuple[StageTime, ...]
    """Of several rounds: those of the first inference of a batch."""
    cycle_s: float
    spans: tuple[SpanTime, ...] = ()
    """The rounds, where there are several."""
    batch: int = 1
    """Inferences that run through a round before the next one."""

    @property
    def latency_s(self) -> float:
        """From the first input to the last output of one inference, or of a batch in rounds."""
        last = self.spans[-1].finish_cycle if self.spans else self.last_cycle
        return self.cycle_s * last

    @property
    def layer_by_layer_s(self) -> float:
        """The same where each op waits for all of its input."""
        return self.cycle_s * sum(stage.alone_cycles for stage in self.stages)

    @property
    def period_s(self) -> float:
        """From one inference to the next: what the busiest stage takes, or a share of a batch."""
        return self.latency_s / self.batch if self.spans else self.cycle_s * self.busiest

    @property
    def busiest(self) -> int:
        """Cycles of the busiest stage."""
        return max((s.windows * s.interval_cycles for s in self.stages), default=0)

    @property
    def last_cycle(self) -> int:
        """Cycle in which the last stage of one inference ends."""
        return max((stage.finish_cycle for stage in self.stages), default=0)

    @property
    def throughput_per_s(self) -> float:
        return 1 / self.period_s if self.period_s else 0.0

    @property
    def crossbar_busy(self) -> float:
        """Share of the time that crossbars read, all matrices counted alike, in a full stream."""
        busy = [stage.busy_cycles for stage in self.stages if stage.op == Mvm.name]
        period = self.period_s / self.cycle_s if self.cycle_s else 0.0
        return float(np.mean(busy)) / period if busy and period else 0.0


@dataclass(frozen=True, slots=True)
class _Flow:
    """How a value comes about: evenly from ``first`` to ``last``, row after row."""

    first: float
    last: float


def schedule(program: Program) -> Timing:
    """Return the schedule of a mapped program; see :func:`schedule_graph`."""
    chip = program.module.graphs.get("chip")
    ops = chip.ops if chip is not None else []
    copies = {op.unit: op.copies for op in ops if isinstance(op, Group)}
    tiles = {op.unit: tuple(constant(op.tiles)) for op in ops if isinstance(op, Vector)}
    if any(isinstance(op, Round) for op in ops):
        return _schedule_rounds(program, copies, tiles)
    return schedule_graph(program.target, program.module["main"], copies=copies, tiles=tiles)


def _schedule_rounds(
    program: Program, copies: Mapping[str, int], tiles: Mapping[str, Sequence[int]]
) -> Timing:
    graph, rounds = program.module["main"], program_rounds(program)
    facts = [op for op in program.module["chip"].ops if isinstance(op, Round)]
    chosen = [[op for op, turns in rounds.items() if fact.round in turns] for fact in facts]
    parts = [
        schedule_graph(program.target, graph, copies=copies, tiles=tiles, ops=ops) for ops in chosen
    ]
    times = spans(facts, [p.last_cycle for p in parts], [p.busiest for p in parts], program)
    stages: dict[str, StageTime] = {}
    for part, span in zip(parts, times, strict=True):
        for stage in part.stages:
            stages[stage.unit] = _joined(stages.get(stage.unit), stage, span.run_cycle)
    return Timing(tuple(stages.values()), parts[0].cycle_s, times, facts[0].batch)


def schedule_graph(
    target: Target,
    graph: Graph,
    *,
    copies: Mapping[str, int] | None = None,
    tiles: Mapping[str, Sequence[int]] | None = None,
    ops: Sequence[Op] | None = None,
) -> Timing:
    """Return the schedule of one inference of a unit graph.

    Args:
        target: The chip.
        graph: A unit graph; a symbolic batch stands for one sample.
        copies: Times each matrix is held, by the name of its result; 1 where not said.
        tiles: Tiles whose vector units run each digital op, by the name of its first result;
            where not said, one tile of its own.
        ops: Only these of its ops; what others make is there from the start.
    """
    sizes = batching(graph).one()
    held, homes = copies or {}, tiles or {}
    chosen = graph.ops if ops is None else ops
    counts = {op: bind(count, sizes) for op, count in within(chosen)}
    busy = {op: _vector_cycles(op, target, sizes, homes) for op in counts}
    periods = _periods({op: busy[op] * count for op, count in counts.items()}, homes)
    planner = _Planner(target, sizes, held, busy, periods)
    return Timing(tuple(planner.plan(chosen, {})), target.machine.core.read_ns * 1e-9)


@dataclass(frozen=True, slots=True)
class _Planner:
    """Places the ops of a graph one after another; a run's steps follow each other."""

    target: Target
    sizes: Sizes
    copies: Mapping[str, int]
    busy: Mapping[Op, float]
    """Read cycles of vector work each time an op runs."""
    periods: Mapping[Op, float]

    def plan(self, ops: Sequence[Op], flows: dict[Value, _Flow]) -> list[StageTime]:
        """Return the stages of ops, and add when their values come about to ``flows``."""
        stages: list[StageTime] = []
        for op in ops:
            if isinstance(op, Run):
                stages += self._run(op, flows)
            elif not isinstance(op, State | Next):
                stage, flow = self._one(op, flows)
                flows.update(dict.fromkeys(op.results, flow))
                stages.append(stage)
        return stages

    def _one(self, op: Op, flows: Mapping[Value, _Flow]) -> tuple[StageTime, _Flow]:
        if not isinstance(op, Mvm):
            cycles = self.busy[op]
            return _stage(op, flows, 1, cycles, cycles, ceil(self.periods[op]))
        interval = op.encoding.phases
        depth = float(interval + self.target.machine.core.pipeline_cycles)
        rounds = windows_each(op, self.copies.get(op.result.name, 1), self.sizes)
        return _stage(op, flows, rounds, float(interval), depth, interval)

    def _run(self, op: Run, flows: dict[Value, _Flow]) -> list[StageTime]:
        """A step begins when the one before has ended and its part of the sequence is there."""
        step = self.plan(op.cell.ops, {})
        cycles = max((stage.finish_cycle for stage in step), default=0)
        count = bind(op.length, dict(self.sizes))
        start, last_in = 0.0, 0.0
        for value, axis in zip(op.sources, op.over, strict=True):
            flow = flows.get(value, _Flow(0.0, 0.0))
            early = axis != SAME and not op.reverse
            start, last_in = max(start, flow.first if early else flow.last), max(last_in, flow.last)
        begin = max(start, last_in - (count - 1) * cycles)
        finish = begin + count * cycles
        for value, axis in zip(op.results, op.stack, strict=True):
            early = axis != SAME and not op.reverse
            flows[value] = _Flow(begin + cycles if early else finish, finish)
        return [_repeated(stage, int(begin), count, cycles) for stage in step]


def _joined(before: StageTime | None, stage: StageTime, begin: int) -> StageTime:
    """Return a stage of a round that begins so late, with that of the same op in earlier ones."""
    later = replace(
        stage,
        start_cycle=begin + stage.start_cycle,
        finish_cycle=begin + stage.finish_cycle,
    )
    if before is None:
        return later
    return replace(
        later,
        windows=before.windows + stage.windows,
        start_cycle=before.start_cycle,
        busy_cycles=before.busy_cycles + stage.busy_cycles,
        alone_cycles=before.alone_cycles + stage.alone_cycles,
    )


def _repeated(stage: StageTime, begin: int, count: int, cycles: int) -> StageTime:
    """Return the stage of an op that every step of a run does once, ``cycles`` apart."""
    return replace(
        stage,
        windows=stage.windows * count,
        start_cycle=begin + stage.start_cycle,
        interval_cycles=max(stage.interval_cycles, -(-cycles // stage.windows)),
        finish_cycle=begin + (count - 1) * cycles + stage.finish_cycle,
        busy_cycles=stage.busy_cycles * count,
        alone_cycles=stage.alone_cycles * count,
    )


def _stage(
    op: Op, flows: Mapping[Value, _Flow], rounds: int, step: float, depth: float, interval: int
) -> tuple[StageTime, _Flow]:
    """Place one op after what it reads: ``rounds``, one each ``step``, done after ``depth``."""
    head, tail = _reach(op)
    sources = [flows[v] for v in op.present if v in flows]
    start = max((f.first + head * (f.last - f.first) for f in sources), default=0.0)
    alone = (rounds - 1) * step + depth
    left = max(ceil(rounds * tail), 1)
    last_in = max((f.last for f in sources), default=0.0)
    remaining = (left - 1) * step + depth if isinstance(op, Mvm) else alone * tail
    finish = max(start + alone, last_in + remaining)
    first = start + (depth if isinstance(op, Mvm) else alone * tail)
    stage = StageTime(
        unit=op.results[0].name,
        op=op.name,
        windows=rounds,
        start_cycle=int(start),
        interval_cycles=interval,
        finish_cycle=ceil(finish),
        busy_cycles=rounds * step,
        alone_cycles=alone,
    )
    return stage, _Flow(min(first, finish), finish)


def _reach(op: Op) -> tuple[float, float]:
    """Return the share of its input an op needs to start, and the share of its work that needs
    the last of it.

    Rows are those of the first spatial axis, or the places a matrix product runs over.
    """
    kernel: tuple[int, ...] = getattr(op, "kernel", ())
    if kernel and op.present:
        return _window_reach(op, kernel)
    if isinstance(op, Mvm):
        places = op.x.type.shape[1:-1]
        count = int(np.prod([d for d in places if isinstance(d, int)], dtype=np.int64))
        return 1 / max(count, 1), 1 / max(count, 1)
    mixed = op.mixes()
    streams = mixed is not None and not any(mixed)
    if streams or op.name in ("unit.reduce", "tensor.reshape", "unit.lut"):
        return 0.0, 0.0
    return 1.0, 1.0


def _window_reach(op: Op, kernel: tuple[int, ...]) -> tuple[float, float]:
    x = next(iter(op.present)).type.shape
    _, pads, dilations = filled(
        len(kernel), (), getattr(op, "pads", ()), getattr(op, "dilations", ())
    )
    height = x[2] if isinstance(x[2], int) else 1
    out = op.result.type.shape[-len(kernel)]
    needed = (kernel[0] - 1) * dilations[0] + 1 - pads[0]
    return min(max(needed, 1) / height, 1.0), 1 / out if isinstance(out, int) else 1.0


def _vector_cycles(
    op: Op, target: Target, sizes: Sizes, tiles: Mapping[str, Sequence[int]]
) -> float:
    """Return read cycles of vector work on each of an op's tiles."""
    if isinstance(op, Mvm):
        return 0.0
    tile = target.machine.tile
    share = max(len(tiles.get(op.results[0].name, ())), 1)
    clocks = sum(work(op, sizes).values()) / (tile.vector_lanes * share)
    return clocks / tile.clock_ghz / target.machine.core.read_ns


def _periods(busy: Mapping[Op, float], tiles: Mapping[str, Sequence[int]]) -> dict[Op, float]:
    """Return for each op the vector work of its fullest tile, over all ops of that tile."""
    load: dict[int, float] = {}
    for op, cycles in busy.items():
        for tile in tiles.get(op.results[0].name, ()):
            load[tile] = load.get(tile, 0.0) + cycles
    return {
        op: max((load[tile] for tile in tiles.get(op.results[0].name, ())), default=cycles)
        for op, cycles in busy.items()
    }
