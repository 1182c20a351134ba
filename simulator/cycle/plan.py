"""From a program to stations and edges: who works where, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.graph import Graph
from neutrams.ir.links import Links
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.chip import Group, Place
from neutrams.ir.ops.time import SAME, Run, State, working_ops
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import bind
from neutrams.simulator.batching import batching
from neutrams.simulator.constants import constant
from neutrams.simulator.cycle.needs import block, reached, room, windows_of
from neutrams.simulator.cycle.parts import Part, crossbar_parts, partial_sums, reach, sum_parts
from neutrams.simulator.cycle.state import EDGE, STATION, Plan
from neutrams.simulator.digital import Sizes, elements, work
from neutrams.simulator.network.state import I64

AHEAD = 2
"""Items that an input register holds: one is read while the next is fetched."""
SLACK = 2
"""Items that a buffer holds beyond what its reader needs at once."""


@dataclass(slots=True)
class _Planned:
    """One op: its stations, and the windows of a step and of an inference."""

    parts: list[Part]
    copies: int
    windows: int
    times: int
    first: int
    """Its first station; the others follow."""
    heir_of: Op | None
    """The op in whose tiles it works, copy by copy; ``None`` where it gathers its input."""
    reached: NDArray[np.float64]
    """``[whole]`` part of the network's input that each window needs."""

    @property
    def whole(self) -> int:
        return self.windows * self.times


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A plan, and what its stations stand for."""

    plan: Plan
    ops: tuple[str, ...]
    """``[stations]`` name of the first result of each station's op."""
    buffer_bytes: NDArray[np.int64]
    """``[tiles]`` what the buffers in front of the stations of each tile hold at most."""
    shelf_of: NDArray[np.int64]
    """``[edges]`` the shelf that the items of each edge lie on; readers in one tile share one."""
    shelf_bytes: NDArray[np.float64]
    """``[shelves]`` of one item."""


def lay_out(program: Program, *, inferences: int = 1) -> Layout:
    """Return the stations of a program that is placed as a whole, for a stream of inferences."""
    return _Planner(program, inferences).layout()


@dataclass(slots=True)
class _Planner:
    program: Program
    inferences: int
    sizes: Sizes = field(init=False)
    links: Links = field(init=False)
    planned: dict[Op, _Planned] = field(init=False, default_factory=dict)
    stations: list[dict[str, float]] = field(init=False, default_factory=list)
    edges: list[dict[str, float]] = field(init=False, default_factory=list)
    needs: list[I64] = field(init=False, default_factory=list)
    rows: int = field(init=False, default=0)
    bytes_of: dict[int, float] = field(init=False, default_factory=dict)
    shelves: list[tuple[int, float]] = field(init=False, default_factory=list)
    """First edge, in the order of planning, and bytes of an item."""

    def layout(self) -> Layout:
        graph, chip = self.program.module["main"], self.program.module["chip"]
        self.sizes, self.links = batching(graph).one(), Links.of(graph)
        groups = {op.unit: op for op in chip.ops if isinstance(op, Group)}
        for op, times in working_ops(graph):
            self._add(op, bind(times, dict(self.sizes)), groups.get(op.results[0].name))
        for op in self.planned:
            self._connect(op)
        return self._finished(graph, chip)

    @property
    def target(self) -> Target:
        return self.program.target

    def clocks(self, ns: float) -> int:
        """Return nanoseconds as clocks of the network, begun ones counted whole."""
        return ceil(ns * self.target.machine.network.clock_ghz - 1e-9)

    def _add(self, op: Op, times: int, group: Group | None) -> None:
        makers = {v: self.links.maker(v) for v in op.present}
        made = {v: self.planned[m] for v, m in makers.items() if m in self.planned}
        windows = windows_of(op, self.sizes, {v: p.windows for v, p in made.items()})
        if isinstance(op, Mvm):
            assert group is not None
            parts, copies, source = crossbar_parts(op, group, self._per_tile), group.copies, None
        else:
            parts, copies, source = self._digital_parts(op, made)
            if windows < copies:
                parts, copies, source = [part for part in parts if part.copy == 0], 1, None
        evenly = np.arange(1, windows * times + 1) / (windows * times)
        self.planned[op] = _Planned(
            parts, copies, windows, times, len(self.stations), source, evenly
        )
        for part in parts:
            self.stations.append(self._station(op, part, copies, windows, times))

    def _digital_parts(
        self, op: Op, made: Mapping[Value, _Planned]
    ) -> tuple[list[Part], int, Op | None]:
        """A sum works where the first blocks of its neurons are, others where most of their input
        lies.
        """
        if not made:
            return [Part(self._reader_tile(op), 0, 1.0, 1.0)], 1, None
        largest = max(made, key=lambda v: elements(v, self.sizes))
        source = made[largest]
        maker = self.links.maker(largest)
        if not isinstance(maker, Mvm):
            return source.parts, source.copies, maker
        return sum_parts(maker, source.parts), source.copies, maker

    def _reader_tile(self, op: Op) -> int:
        """An op that only inputs of the network reach works in the tile of its vector op."""
        name = op.results[0].name
        for each in self.program.module["chip"].ops:
            if getattr(each, "unit", None) == name and each.name == "chip.vector":
                return int(constant(each.operands[0])[0])  # type: ignore[arg-type]
        return 0

    @property
    def _per_tile(self) -> int:
        """Return the crossbars of a tile."""
        return self.target.machine.cores_per_tile * self.target.machine.core.crossbars

    def _station(
        self, op: Op, part: Part, copies: int, windows: int, times: int
    ) -> dict[str, float]:
        machine = self.target.machine
        each = max(windows - part.copy + copies - 1, 0) // copies * times
        station: dict[str, float] = {
            "tile": part.tile,
            "each": each,
            "items": each * self.inferences,
            "windows": windows * times,
            "copies": copies,
            "copy": part.copy,
            "ahead": AHEAD,
            "begin": -1,
        }
        if isinstance(op, Mvm):
            read = self.clocks(machine.core.read_ns)
            phases = op.encoding.phases
            into = part.reads * op.groups * op.fan_in * -(-op.input_bits // 8)
            out = part.share * op.outputs * op.result.type.dtype.bits / 8
            station |= {
                "work": phases * read,
                "after": machine.core.pipeline_cycles * read,
                "fetch": self._bus(into),
                "store": self._bus(out),
                "depth": machine.core.pipeline_cycles // phases + SLACK,
            }
        else:
            total = sum(work(op, self.sizes).values()) / max(windows, 1)
            clocks = total * part.share / machine.tile.vector_lanes / machine.tile.clock_ghz
            station |= {"shared": 1, "work": self.clocks(clocks), "depth": SLACK}
        return station

    def _bus(self, count: float) -> int:
        """Return clocks that so many bytes take on a tile's bus."""
        tile = self.target.machine.tile
        return self.clocks(ceil(count * 8 / tile.bus_bits - 1e-9) / tile.clock_ghz)

    def _connect(self, op: Op) -> None:
        makers = {value: self.links.maker(value) for value in op.present}
        tables = {v: (m, self._table(op, v, m)) for v, m in makers.items() if m is not None}
        ahead = [
            reached(table, self.planned[maker].reached)
            for value, (maker, table) in tables.items()
            if not self._way(value)[1]
        ]
        if ahead:
            self.planned[op].reached = np.maximum.accumulate(np.max(ahead, axis=0))
        for value, (maker, table) in tables.items():
            self._edges(op, value, maker, table)

    def _edges(self, op: Op, value: Value, maker: Op, table: I64) -> None:
        a, b = self.planned[maker], self.planned[op]
        begin, self.rows = self.rows, self.rows + len(table)
        self.needs.append(table)
        held = room(table, a.reached, b.reached) // a.copies + 1 + SLACK
        bits = elements(value, self.sizes) * value.type.dtype.bits / max(a.windows, 1)
        if isinstance(maker, Mvm):
            bits /= maker.splits
        for i, source in enumerate(a.parts):
            sent = [self._bits(op, maker, source, each, bits, b.copies) for each in b.parts]
            whole = bits * source.share
            for tile in dict.fromkeys(each.tile for each in b.parts):
                there = [
                    (b.first + j, each)
                    for j, each in enumerate(sent)
                    if each is not None and b.parts[j].tile == tile
                ]
                total = min(sum(each for _, each in there), whole)
                self._send(a.first + i, source.tile, tile, there, total, held, begin)

    def _send(
        self,
        source: int,
        here: int,
        there: int,
        targets: list[tuple[int, float]],
        bits: float,
        held: int,
        needs: int,
    ) -> None:
        """Add the edges to the stations of one tile: one packet an item brings it to all."""
        flits = -(-ceil(bits - 1e-9) // self.target.machine.network.flit_bits)
        for number, (target, _) in enumerate(targets):
            edge: dict[str, float] = {
                "source": source,
                "target": target,
                "room": held,
                "needs": needs,
            }
            first = number == 0 or here == there
            edge |= {"flits": flits if first and here != there else 0, "follows": not first}
            self.edges.append(edge)
        if targets:
            self.shelves.append((len(self.edges) - len(targets), bits / 8))
            self.bytes_of[there] = self.bytes_of.get(there, 0.0) + held * bits / 8

    def _bits(
        self, op: Op, maker: Op, source: Part, target: Part, bits: float, copies: int
    ) -> float | None:
        """Return what one item sends over an edge; ``None`` where there is none."""
        if isinstance(op, Reduce) and isinstance(maker, Mvm):
            return partial_sums(maker, source, target, bits)
        if isinstance(op, Mvm):
            return bits * source.share * target.reads * reach(op, copies)
        if self.planned[op].heir_of is maker:
            here = source.tile == target.tile and source.copy == target.copy
            return bits * source.share if here else None
        return bits * source.share * target.reads / copies

    def _table(self, op: Op, value: Value, maker: Op) -> I64:
        """Return what each window of an inference needs of the windows that make an operand."""
        a, b = self.planned[maker], self.planned[op]
        runs, delay = self._way(value)
        one = block(op, value, a.windows, b.windows, self.sizes)
        if not runs:
            steps = np.arange(b.times)[:, None, None] - delay
            table = one[None] + steps * a.windows if delay == 0 else None
            if table is None:
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
        for run in self._runs(self.program.module["main"]):
            for inner, axis in zip(run.cell.inputs, run.over, strict=True):
                if inner is value:
                    return SAME if run.reverse else axis
        return SAME

    def _runs(self, graph: Graph) -> Iterator[Run]:
        for op in graph.ops:
            if isinstance(op, Run):
                yield op
                yield from self._runs(op.cell)

    def _finished(self, graph: Graph, chip: Graph) -> Layout:
        stations = _records(self.stations, STATION)
        for number, edge in enumerate(self.edges):
            edge["number"] = number
        edges = _records(sorted(self.edges, key=lambda edge: edge["target"]), EDGE)
        numbers = np.arange(len(stations))
        edges["next"] = _chains(edges)
        stations["in_begin"] = np.searchsorted(edges["target"], numbers)
        stations["in_end"] = np.searchsorted(edges["target"], numbers, side="right")
        outgoing = np.argsort(edges["source"], kind="stable").astype(np.int32)
        ordered = edges["source"][outgoing]
        stations["out_begin"] = np.searchsorted(ordered, numbers)
        stations["out_end"] = np.searchsorted(ordered, numbers, side="right")
        place = next(op for op in chip.ops if isinstance(op, Place))
        network = self.target.machine.network
        routers = constant(place.y) * network.columns + constant(place.x)
        needs = np.concatenate(self.needs) if self.needs else np.zeros((0, 2), np.int64)
        source, target = stations[edges["source"]], stations[edges["target"]]
        done = needs[edges["needs"] + target["copy"], 1]  # with what a copy's first window skips
        edges["used"] = np.maximum(done - source["copy"] + source["copies"] - 1, 0)
        edges["used"] //= source["copies"]
        buffers = np.zeros(len(routers), np.int64)
        for tile, count in self.bytes_of.items():
            buffers[tile] = ceil(count)
        names = [op.results[0].name for op, planned in self.planned.items() for _ in planned.parts]
        plan = Plan(stations, edges, outgoing, needs, routers.astype(np.int32))
        starts, sizes = np.array(self.shelves or [(0, 0.0)]).T
        shelf_of = np.searchsorted(starts, edges["number"], side="right") - 1
        return Layout(plan, tuple(names), buffers, shelf_of, sizes)


def _chains(edges: NDArray[np.void]) -> NDArray[np.int32]:
    """Return for each edge the next that the same packets serve; -1 for the last.

    Edges that follow another were added right behind it.
    """
    order = np.argsort(edges["number"])
    following = np.append(edges["follows"][order][1:], 0)
    after = np.append(order[1:], -1)
    chained = np.full(len(edges), -1, np.int32)
    chained[order] = np.where(following, after, -1)
    return chained


def _records(rows: list[dict[str, float]], kind: np.dtype[np.void]) -> NDArray[np.void]:
    made = np.zeros(len(rows), kind)
    for name in {key for row in rows for key in row}:
        made[name] = [row.get(name, 0) for row in rows]
    return made
