"""The schedule of a network: a pipeline of layers, windows streaming from one to the next.

All times are in cycles of one crossbar read. A matrix works on a window for ``phases`` cycles and
its result lies in the buffer ``pipeline_cycles`` later; copies share the windows. A tile's vector
unit divides its lanes among the ops of the tile. An op may start when the first rows that its
first window sees are there, and ends after the last row has come and its last windows are done.
Of a program that is placed, windows take time on buses, values on their way between tiles, and
inputs on the link of the chip; nothing waits for what others send. Nothing depends on the data, so
the schedule is fixed. The steps of a run follow one another, each as long as its longest path; a
symbolic number of steps stands for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.chip import Group, Place, Round, Vector
from neutrams.ir.ops.time import within
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import bind
from neutrams.simulator.batching import batching
from neutrams.simulator.constants import constant
from neutrams.simulator.digital import Sizes, work
from neutrams.simulator.rounds import SpanTime, program_rounds, spans
from neutrams.simulator.timing.bounds import Bound, bounds
from neutrams.simulator.timing.buses import bus_uses
from neutrams.simulator.timing.stages import Planner, StageTime, Stream
from neutrams.simulator.timing.transfers import Transfer, arrivals, departures, transfers


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
    bounds: tuple[Bound, ...] = ()
    """What inferences share beside stages, the longest first; not told of several rounds."""

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
        """From one inference to the next: what the busiest part takes, or a share of a batch."""
        if self.spans:
            return self.latency_s / self.batch
        return max(self.cycle_s * self.busiest, *(each.busy_ns * 1e-9 for each in self.bounds), 0.0)

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


def schedule(program: Program) -> Timing:
    """Return the schedule of a mapped program; see :func:`schedule_graph`."""
    chip = program.module.graphs.get("chip")
    ops = chip.ops if chip is not None else []
    copies = {op.unit: op.copies for op in ops if isinstance(op, Group)}
    tiles = {op.unit: tuple(constant(op.tiles)) for op in ops if isinstance(op, Vector)}
    if any(isinstance(op, Round) for op in ops):
        return _schedule_rounds(program, copies, tiles)
    if chip is None or not any(isinstance(op, Place) for op in ops):
        return schedule_graph(program.target, program.module["main"], copies=copies, tiles=tiles)
    return _schedule_placed(program, copies, tiles)


def _schedule_placed(
    program: Program, copies: Mapping[str, int], tiles: Mapping[str, Sequence[int]]
) -> Timing:
    """Schedule a program that knows its tiles: buses, ways between tiles, the link of the chip."""
    graph, buses = program.module["main"], bus_uses(program)
    network, core = program.target.machine.network, program.target.machine.core
    read = core.read_ns * network.clock_ghz
    ways = transfers(program)
    streams = {
        value: Stream(each.first, each.last, each.items).sent(ways.get(value.name))
        for value, each in arrivals(program).items()
    }
    made = schedule_graph(
        program.target,
        graph,
        copies=copies,
        tiles=tiles,
        buses={name: (use.alone / read, use.round / read) for name, use in buses.items()},
        transfers=ways,
        inputs=streams,
        outputs=departures(program),
    )
    return replace(made, bounds=bounds(program, buses.values()))


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
    buses: Mapping[str, tuple[float, float]] | None = None,
    transfers: Mapping[str, Transfer] | None = None,
    inputs: Mapping[Value, Stream] | None = None,
    outputs: Mapping[Value, float] | None = None,
) -> Timing:
    """Return the schedule of one inference of a unit graph.

    Args:
        target: The chip.
        graph: A unit graph; a symbolic batch stands for one sample.
        copies: Times each matrix is held, by the name of its result; 1 where not said.
        tiles: Tiles whose vector units run each digital op, by the name of its first result;
            where not said, one tile of its own.
        ops: Only these of its ops; what others make is there from the start.
        buses: Crossbar reads that a window of a matrix, and one of each copy of a tile, are on a
            bus; none where not said.
        transfers: How long values are on their way; at once where not said.
        inputs: How inputs arrive; all there from the start where not said.
        outputs: Crossbar reads in which outputs leave; each of them adds a stage.
    """
    sizes = batching(graph).one()
    held, homes = copies or {}, tiles or {}
    chosen = graph.ops if ops is None else ops
    counts = {op: bind(count, sizes) for op, count in within(chosen)}
    busy = {op: _vector_cycles(op, target, sizes, homes) for op in counts}
    periods = _periods({op: busy[op] * count for op, count in counts.items()}, homes)
    planner = Planner(target, sizes, held, busy, periods, buses or {}, transfers or {})
    streams = dict(inputs or {})
    stages = planner.plan(chosen, streams)
    for value, whole in (outputs or {}).items():
        if value in streams:
            stages.append(streams[value].leaves(value.name, whole))
    return Timing(tuple(stages), target.machine.core.read_ns * 1e-9)


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
