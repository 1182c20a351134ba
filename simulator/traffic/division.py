"""How the work of a network is divided: which tile does what part of which windows of an op, and
which results each part needs of which others.

Copies of a matrix share its windows in stripes (:mod:`neutrams.ir.stripes`). Sums work where the
first blocks of their neurons are, other digital ops where most of their input is made, window by
window; so neighbours on a chip are neighbours in an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.graph import Graph
from neutrams.ir.links import Links
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.chip import Group, Vector
from neutrams.ir.ops.time import SAME, Run, State, working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.stripes import shape_of, stripes
from neutrams.ir.types import bind
from neutrams.simulator.batching import batching
from neutrams.simulator.constants import constant
from neutrams.simulator.digital import Sizes, elements
from neutrams.simulator.traffic.channels import (
    UNKNOWN,
    Ranges,
    count,
    covers,
    first_axis,
    keeps,
    unit_axis,
)
from neutrams.simulator.traffic.divided import Divided, Read, reads_of
from neutrams.simulator.traffic.parts import ELSEWHERE, Part, crossbar_parts, sum_parts
from neutrams.simulator.traffic.windows import block, rectangles, windows_of

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Need:
    """What an op waits for of one of its operands."""

    table: I64
    """``[whole, 2]`` windows of the maker that each window waits for, and is done with."""
    reads: list[Read]
    delayed: bool
    """Whether a state lies between: what is read was made in an earlier step, or is there from the
    start."""


@dataclass(slots=True)
class Division:
    """The division of a whole graph, op by op in its order."""

    graph: Graph
    sizes: Sizes
    tiles: Mapping[Op, NDArray[np.int32]]
    """For each matrix ``[copies, blocks]`` the tile of each block."""
    first_tile: Mapping[Op, int]
    """Tile of each op that only inputs of the network reach; 0 where not said."""
    links: Links = field(init=False)
    ops: dict[Op, Divided] = field(init=False, default_factory=dict)
    placed: set[Op] = field(init=False, default_factory=set)
    """Matrices, and all that reads what they make: their tiles are known from those."""

    def __post_init__(self) -> None:
        self.links = Links.of(self.graph)
        for op, times in working_ops(self.graph):
            self.ops[op] = self._divide(op, bind(times, dict(self.sizes)))

    def makers(self, op: Op) -> dict[Value, Op]:
        """Return the operands of an op that other ops make."""
        found = {value: self.links.maker(value) for value in op.present}
        return {value: maker for value, maker in found.items() if maker is not None}

    def need(self, op: Op, value: Value) -> Need:
        """Return what an op needs of one of the operands that :meth:`makers` names."""
        maker = self.makers(op)[value]
        runs, delay = self._way(value)
        table = self._table(op, value, maker, runs, delay)
        a, b = self.ops[maker], self.ops[op]
        seen = None
        if not runs and delay == 0:
            seen = rectangles(op, value, a.windows, self.sizes)
        return Need(table, reads_of(a, b, table, seen), delay > 0)

    def all_of(self, op: Op, value: Value) -> list[Read]:
        """Return what an op reads of a state if a step is before its first: a single step may
        stand for many.
        """
        a, b = self.ops[self.makers(op)[value]], self.ops[op]
        return reads_of(a, b, np.tile([[a.whole, 0]], (b.whole, 1)), None)

    def bits(self, op: Op, value: Value) -> float:
        """Return the bits of one window's results, as an op reads them."""
        maker = self.makers(op)[value]
        whole = elements(value, self.sizes) * value.type.dtype.bits
        split = maker.splits if isinstance(maker, Mvm) else 1
        return whole / max(self.ops[maker].windows, 1) / split

    def _divide(self, op: Op, times: int) -> Divided:
        made = {v: self.ops[m] for v, m in self.makers(op).items() if m in self.ops}
        windows = windows_of(op, self.sizes, {v: p.windows for v, p in made.items()})
        if isinstance(op, Mvm):
            parts = crossbar_parts(op, self.tiles[op])
            self.placed.add(op)
            owners = stripes(shape_of(op, self.sizes), len(self.tiles[op])).owners()
            axis = unit_axis(op)
            return Divided(_busy(parts, owners), windows, times, owners, None, axis, op.outputs)
        if not made:
            axis = first_axis(op.result)
            channels = count(op.result, axis)
            one = [Part(self.first_tile.get(op, 0), 0, 1.0, 1.0, makes=((0, channels),))]
            owners = np.zeros(windows, np.int64)
            return Divided(one, windows, times, owners, None, axis if channels else 0, channels)
        follows = [v for v in made if self.makers(op)[v] in self.placed]
        self.placed.update([op] if follows else [])
        largest = max(follows or made, key=lambda v: elements(v, self.sizes))
        source, maker = made[largest], self.makers(op)[largest]
        last = block(op, largest, source.windows, windows, self.sizes)[:, 0] - 1
        owners = source.owners[np.maximum(last, 0)]
        parts = sum_parts(maker, source.parts) if isinstance(maker, Mvm) else source.parts
        axis, channels = source.axis, source.channels
        if not (keeps(op, largest, axis, channels) and _whole(parts, channels)):
            axis = UNKNOWN
        return Divided(_busy(parts, owners), windows, times, owners, maker, axis, channels)

    def _table(self, op: Op, value: Value, maker: Op, runs: list[int], delay: int) -> I64:
        """Return what each window of an inference needs of the windows that make an operand."""
        a, b = self.ops[maker], self.ops[op]
        if not runs:
            steps = np.arange(b.times)[:, None, None] - delay
            if delay == 0:
                table = block(op, value, a.windows, b.windows, self.sizes)[None]
                table = table + steps * a.windows
            else:
                all_before = (steps + 1) * a.windows
                table = np.broadcast_to(all_before, (b.times, b.windows, 2)).copy()
                table[..., 1] -= a.windows
            return np.maximum(table.reshape(-1, 2), 0)
        if b.times > a.times and all(axis != SAME for axis in runs):
            step = np.arange(b.times)
            need = -(-(step + 1) * a.whole // b.times)
            done = step * a.whole // b.times
            return np.repeat(np.stack([need, done], axis=1), b.windows, axis=0)
        return np.tile(np.array([[a.whole, 0]], np.int64), (b.whole, 1))

    def _way(self, value: Value) -> tuple[list[int], int]:
        """Return the axes of the runs that lie between a value and its maker, and steps passed."""
        runs: list[int] = []
        delay = 0
        seen = {value}
        while value in self.links.sources:
            op = value.op
            if isinstance(op, State):
                delay += op.delay
            elif isinstance(op, Run):
                runs.append(SAME)
            else:
                runs.append(self._over(value))
            value = self.links.sources[value]
            if value in seen:
                break
            seen.add(value)
        return runs, delay

    def _over(self, value: Value) -> int:
        """Return the axis along which a run reads an input of its cell, if from the first on."""
        for run in self._runs(self.graph):
            for inner, axis in zip(run.cell.inputs, run.over, strict=True):
                if inner is value:
                    return SAME if run.reverse else axis
        return SAME

    def _runs(self, graph: Graph) -> Iterator[Run]:
        for op in graph.ops:
            if isinstance(op, Run):
                yield op
                yield from self._runs(op.cell)


def _busy(parts: list[Part], owners: I64) -> list[Part]:
    """Return the parts of copies that have windows to do."""
    held = set(np.unique(owners).tolist())
    return [part for part in parts if part.copy in held]


def divide(program: Program, round: int | None = None) -> Division:
    """Return who does what of a program; of a matrix in several rounds, of what one holds."""
    graph, chip = program.module["main"], program.module["chip"]
    machine = program.target.machine
    per_tile = machine.cores_per_tile * machine.core.crossbars
    groups = {op.unit: op for op in chip.ops if isinstance(op, Group)}
    homes = {op.unit: op for op in chip.ops if isinstance(op, Vector)}
    tiles: dict[Op, NDArray[np.int32]] = {}
    first: dict[Op, int] = {}
    for op, _ in working_ops(graph):
        name = op.results[0].name
        if name in groups:
            held = constant(groups[name].crossbars) // per_tile
            turns = groups[name].rounds
            if turns is not None and (here := constant(turns) == round).any():
                held = np.where(here, held, ELSEWHERE)
            tiles[op] = held.reshape(groups[name].copies, -1).astype(np.int32)
        elif name in homes:
            first[op] = int(constant(homes[name].tiles)[0])
    return Division(graph, batching(graph).one(), tiles, first)


def _whole(parts: list[Part], channels: int) -> bool:
    """Say whether the parts of every copy make each channel once."""
    copies: dict[int, list[Ranges]] = {}
    for part in parts:
        copies.setdefault(part.copy, []).append(part.makes)
    return all(covers(made, channels) for made in copies.values())
