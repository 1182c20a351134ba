"""When the ops of a graph run: each after what it reads, rounds of windows streaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from neutrams.ir.op import Op, Value
from neutrams.ir.ops.time import SAME, Next, Run, State
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.stripes import windows_each
from neutrams.ir.target import Target
from neutrams.ir.types import bind
from neutrams.ir.windows import filled
from neutrams.simulator.digital import Sizes
from neutrams.simulator.timing.transfers import Transfer


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
class Stream:
    """How a value comes about: evenly from ``first`` to ``last``, row after row."""

    first: float
    last: float
    items: int = 1
    """In which it leaves each tile that makes it, about."""

    def leaves(self, name: str, whole: float) -> StageTime:
        """Return when it goes off the chip, item by item, which takes so long in all."""
        each = whole / max(self.items, 1)
        finish = max(self.last + each, self.first + whole)
        begin = int(self.first)
        return StageTime(f"{name}, to outside", "chip.io", 1, begin, 0, ceil(finish), whole, whole)

    def sent(self, transfer: Transfer | None) -> Stream:
        """Return how it arrives where it is read."""
        if transfer is None:
            return self
        each = transfer.spread / max(self.items, 1)
        last = max(self.last + each, self.first + transfer.spread) + transfer.delay
        return replace(self, first=self.first + each + transfer.delay, last=last)


@dataclass(frozen=True, slots=True)
class Planner:
    """Places the ops of a graph one after another; a run's steps follow each other."""

    target: Target
    sizes: Sizes
    copies: Mapping[str, int]
    busy: Mapping[Op, float]
    """Read cycles of vector work each time an op runs."""
    periods: Mapping[Op, float]
    buses: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Read cycles that a matrix takes on a bus, by the name of its result: one copy for a window,
    and all copies of a tile for one each."""
    transfers: Mapping[str, Transfer] = field(default_factory=dict)

    def plan(self, ops: Sequence[Op], flows: dict[Value, Stream]) -> list[StageTime]:
        """Return the stages of ops, and add when their values come about to ``flows``."""
        stages: list[StageTime] = []
        for op in ops:
            if isinstance(op, Run):
                stages += self._run(op, flows)
            elif not isinstance(op, State | Next):
                stage, flow = self._one(op, flows)
                arrives = flow.sent(self.transfers.get(op.results[0].name))
                flows.update(dict.fromkeys(op.results, arrives))
                stages.append(stage)
        return stages

    def _one(self, op: Op, flows: Mapping[Value, Stream]) -> tuple[StageTime, Stream]:
        if not isinstance(op, Mvm):
            cycles = self.busy[op]
            return _stage(op, flows, 1, cycles, cycles, ceil(self.periods[op]))
        alone, shared = self.buses.get(op.result.name, (0.0, 0.0))
        step = max(float(op.encoding.phases), shared)
        depth = op.encoding.phases + self.target.machine.core.pipeline_cycles + alone
        rounds = windows_each(op, self.copies.get(op.result.name, 1), self.sizes)
        return _stage(op, flows, rounds, step, depth, ceil(step))

    def _run(self, op: Run, flows: dict[Value, Stream]) -> list[StageTime]:
        """A step begins when the one before has ended and its part of the sequence is there."""
        step = self.plan(op.cell.ops, {})
        cycles = max((stage.finish_cycle for stage in step), default=0)
        count = bind(op.length, dict(self.sizes))
        start, last_in = 0.0, 0.0
        for value, axis in zip(op.sources, op.over, strict=True):
            flow = flows.get(value, Stream(0.0, 0.0))
            early = axis != SAME and not op.reverse
            start, last_in = max(start, flow.first if early else flow.last), max(last_in, flow.last)
        begin = max(start, last_in - (count - 1) * cycles)
        finish = begin + count * cycles
        for value, axis in zip(op.results, op.stack, strict=True):
            early = axis != SAME and not op.reverse
            flows[value] = Stream(begin + cycles if early else finish, finish)
        return [_repeated(stage, int(begin), count, cycles) for stage in step]


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
    op: Op, flows: Mapping[Value, Stream], rounds: int, step: float, depth: float, interval: int
) -> tuple[StageTime, Stream]:
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
    items = rounds if isinstance(op, Mvm) else max((f.items for f in sources), default=1)
    return stage, Stream(min(first, finish), finish, items)


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
