"""From a program to stations and edges: who works where, and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.op import Op, Value
from neutrams.ir.ops.chip import Group, Place, Vector
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.simulator.batching import batching
from neutrams.simulator.constants import constant
from neutrams.simulator.cycle.border import Border, inputs_of, outputs_of
from neutrams.simulator.cycle.deliveries import Deliveries, Portion, Sent
from neutrams.simulator.cycle.state import EDGE, PARTS, STATION, Plan
from neutrams.simulator.digital import work
from neutrams.simulator.division import Divided, Division, Need, Read
from neutrams.simulator.network.state import I64
from neutrams.simulator.parts import ELSEWHERE, Part
from neutrams.simulator.rounds import Rounds, ops_in, program_rounds
from neutrams.simulator.windows import reached, room

AHEAD = 2
"""Items that an input register holds: one is read while the next is fetched."""
AT_ONCE = 2
"""Times what its reader needs at once that a buffer holds: while one part is worked on, the next
comes."""
SLACK = 2
"""Items that a buffer holds beyond what its reader needs at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A plan, and what its stations stand for."""

    plan: Plan
    ops: tuple[str, ...]
    """``[stations]`` name of the first result of each station's op."""
    buffer_bytes: NDArray[np.int64]
    """``[tiles]`` what the buffers in front of the stations of each tile hold at most."""
    shelf_of: NDArray[np.int64]
    """``[edges]`` the shelf that the items of each edge lie on; parts of a copy in one tile share
    one."""
    shelf_bytes: NDArray[np.float64]
    """``[shelves]`` of one item."""
    jobs: NDArray[np.int64]
    """``[stations]`` the number of the job that each works for."""


@dataclass(frozen=True, slots=True)
class Job:
    """What runs: a stream of inferences through a program, or through one round of it."""

    program: Program
    inferences: int = 1
    round: int | None = None


def lay_out(program: Program, *, inferences: int = 1, round: int | None = None) -> Layout:
    """Return the stations of a program, or of one of its rounds, for a stream of inferences.

    What earlier rounds have made is there from the start; an input comes in the first round that
    reads it.
    """
    return lay_out_all([Job(program, inferences, round)])


def lay_out_all(jobs: Sequence[Job]) -> Layout:
    """Return the stations of programs that were placed together, one behind the other."""
    planner = _Planner(jobs[0].program)
    for number, job in enumerate(jobs):
        planner.add(job, number)
    return planner.finished()


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


@dataclass(frozen=True, slots=True, eq=False)
class _Items:
    """Items that go from one copy to another."""

    sent: I64
    """Which of those that the source makes in an inference."""
    needs: int
    """First row of the table that says how many of them each window of the target needs."""
    room: int
    """How many the buffer between them holds."""
    span: I64
    """``[windows, 2]`` from which on, and before which, it holds them for each window."""


@dataclass(slots=True, eq=False)
class _Shelf:
    """Where what one part makes lies in a tile, for all copies there that read it."""

    number: int
    bits: float = 0.0
    """Of one item."""
    reads: list[tuple[I64, I64]] = field(default_factory=list)

    def add(self, read: Read, span: I64, bits: float) -> None:
        self.bits = max(self.bits, bits)
        self.reads.append((read.windows, span))

    def most(self) -> int:
        """Return the most items that lie there while all copies keep step."""
        items = np.unique(np.concatenate([windows for windows, _ in self.reads]))
        steps = min(len(span) for _, span in self.reads)
        spans = np.stack([span[:steps] for _, span in self.reads])
        high, low = spans[..., 0].max(axis=0), spans[..., 1].min(axis=0)
        held = np.searchsorted(items, high) - np.searchsorted(items, low)
        return min(AT_ONCE * int(held.max(initial=0)) + SLACK, len(items))


Node = Op | Border
"""What has stations: an op, or what goes over the link of the chip."""


@dataclass(frozen=True, slots=True, eq=False)
class _Join:
    """That a node reads what another makes."""

    source: Node
    target: Node
    value: Value
    need: Need
    bits: float
    """Of one window of the source."""


@dataclass(slots=True)
class _Planner:
    program: Program
    """The one whose stations are added; any, where all are."""
    inferences: int = field(init=False)
    jobs: list[int] = field(init=False, default_factory=list)
    division: Division = field(init=False)
    divided: dict[Node, Divided] = field(init=False, default_factory=dict)
    first: dict[Node, int] = field(init=False, default_factory=dict)
    """The first station of each node; those of its other parts follow."""
    names: list[str] = field(init=False, default_factory=list)
    reached: dict[Node, NDArray[np.float64]] = field(init=False, default_factory=dict)
    """``[whole]`` part of the network's input that each window of a node needs."""
    stations: list[dict[str, float]] = field(init=False, default_factory=list)
    edges: list[dict[str, float]] = field(init=False, default_factory=list)
    sent: list[list[Sent]] = field(init=False, default_factory=list)
    """What each station sends over its edges."""
    needs: list[I64] = field(init=False, default_factory=list)
    rows: int = field(init=False, default=0)
    bytes_of: dict[int, float] = field(init=False, default_factory=dict)
    shelf_of: list[int] = field(init=False, default_factory=list)
    shelves: list[float] = field(init=False, default_factory=list)

    def add(self, job: Job, number: int) -> None:
        self.program, self.inferences = job.program, job.inferences
        self.division = divide(job.program, job.round)
        turns, ops = program_rounds(job.program), ops_in(job.program, job.round)
        for op in ops:
            self._add(op, self.division.ops[op], op.results[0].name)
        joins: dict[Node, list[_Join]] = {op: [] for op in ops}
        tiles = []
        for border, readers in inputs_of(self.division).items():
            if job.round is None or _comes_in(border, turns) == job.round:
                self._add(border, border.divided, f"{border.value.name}, from outside")
                tiles.append(border.divided.parts[0].tile)
                for op, value, need in readers:
                    if op in ops:
                        joins[op].append(_Join(border, op, value, need, border.bits))
        for op in ops:
            for value, maker in self.division.makers(op).items():
                if maker in ops:
                    need, bits = self.division.need(op, value), self.division.bits(op, value)
                    joins[op].append(_Join(maker, op, value, need, bits))
        # the link of the chip ends at the router of the first input's tile
        for border, maker, need in outputs_of(self.division, tiles[0] if tiles else 0):
            if maker in ops:
                self._add(border, border.divided, f"{border.value.name}, to outside")
                joins[border] = [_Join(maker, border, border.value, need, border.bits)]
        self.sent += [[] for _ in self.stations[len(self.sent) :]]
        for node, read in joins.items():
            self._connect(node, read)
        self.jobs += [number] * (len(self.stations) - len(self.jobs))

    def _add(self, node: Node, divided: Divided, name: str) -> None:
        self.divided[node], self.first[node] = divided, len(self.stations)
        self.reached[node] = np.arange(1, divided.whole + 1) / divided.whole
        self.stations += [self._station(node, divided, part) for part in divided.parts]
        self.names += [name] * len(divided.parts)

    @property
    def target(self) -> Target:
        return self.program.target

    def clocks(self, ns: float) -> int:
        """Return nanoseconds as clocks of the network, begun ones counted whole."""
        return ceil(ns * self.target.machine.network.clock_ghz - 1e-9)

    def _station(self, op: Node, divided: Divided, part: Part) -> dict[str, float]:
        machine = self.target.machine
        each = int((divided.owners == part.copy).sum()) * divided.times
        station: dict[str, float] = {
            "tile": part.tile,
            "copy": part.copy,
            "copies": len(divided.of_copy),
            "each": each,
            "items": each * self.inferences,
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
                "depth": machine.core.pipeline_cycles // phases + 2,
            }
        elif isinstance(op, Border):
            nanoseconds = op.bits / 8 / machine.io_gbytes_per_s
            station |= {"shared": 1, "link": 1, "depth": 2, **self._fine(nanoseconds)}
        else:
            total = sum(work(op, self.division.sizes).values()) / max(divided.windows, 1)
            clocks = total * part.share / machine.tile.vector_lanes
            station |= {"shared": 1, "depth": 2, **self._fine(clocks / machine.tile.clock_ghz)}
        return station

    def _fine(self, ns: float) -> dict[str, float]:
        """Return nanoseconds as clocks of the network and parts of one."""
        parts = ceil(ns * self.target.machine.network.clock_ghz * PARTS - 1e-9)
        return {"work": parts // PARTS, "parts": parts % PARTS}

    def _bus(self, count: float) -> int:
        """Return clocks that so many bytes take on a tile's bus."""
        tile = self.target.machine.tile
        return self.clocks(ceil(count * 8 / tile.bus_bits - 1e-9) / tile.clock_ghz)

    def _connect(self, node: Node, joins: list[_Join]) -> None:
        ahead = [
            reached(join.need.table, self.reached[join.source])
            for join in joins
            if not join.need.delayed
        ]
        if ahead:
            self.reached[node] = np.maximum.accumulate(np.max(ahead, axis=0))
        for join in joins:
            held = join.need.table[:, 0]
            if len(ahead) > 1:  # else nothing but this operand keeps a window waiting
                held = room(join.need.table, self.reached[join.source], self.reached[node])
            shelves: dict[tuple[int, int], _Shelf] = {}
            for read in join.need.reads:
                self._edges(join, read, self._read(join, read, held), shelves)
            for (_, tile), shelf in shelves.items():
                size = shelf.bits / 8
                self.shelves.append(size)
                self.bytes_of[tile] = self.bytes_of.get(tile, 0.0) + size * shelf.most()

    def _read(self, join: _Join, read: Read, held: I64) -> _Items:
        """Add to the table what each window of a copy needs of another copy."""
        mine = self.divided[join.target].makes[read.target]
        table = np.searchsorted(read.windows, join.need.table[mine])
        most = np.searchsorted(read.windows, held[mine]) - table[:, 1]
        begin, self.rows = self.rows, self.rows + len(table)
        self.needs.append(table)
        items = np.searchsorted(self.divided[join.source].makes[read.source], read.windows)
        span = np.stack([held[mine], join.need.table[mine, 1]], axis=1)
        return _Items(items, begin, AT_ONCE * int(most.max(initial=0)) + SLACK, span)

    def _edges(
        self, join: _Join, read: Read, items: _Items, shelves: dict[tuple[int, int], _Shelf]
    ) -> None:
        """Add the edges from the parts of one copy to those of another."""
        a, b = self.divided[join.source], self.divided[join.target]
        for i, source in a.of_copy[read.source]:
            for j, target in b.of_copy[read.target]:
                share = self._share(join, source, target)
                if share is None:
                    continue
                edge: dict[str, float] = {
                    "source": self.first[join.source] + i,
                    "target": self.first[join.target] + j,
                    "each": len(items.sent),
                    "room": items.room,
                    "needs": items.needs,
                }
                bits, portion = join.bits * share, _portion(join, target)
                sent = Sent(len(self.edges), target.tile, portion, bits, items.sent)
                self.sent[self.first[join.source] + i].append(sent)
                self.edges.append(edge)
                number = len(self.shelves) + len(shelves)
                shelf = shelves.setdefault((i, target.tile), _Shelf(number))
                self.shelf_of.append(shelf.number)
                shelf.add(read, items.span, bits)

    def _share(self, join: _Join, source: Part, target: Part) -> float | None:
        if isinstance(join.source, Op) and isinstance(join.target, Op):
            return self.division.share(join.target, join.source, source, target)
        return source.share * target.reads

    def finished(self) -> Layout:
        chip, network = self.program.module["chip"], self.target.machine.network
        place = next(op for op in chip.ops if isinstance(op, Place))
        routers = (constant(place.y) * network.columns + constant(place.x)).astype(np.int32)
        stations = _records(self.stations, STATION)
        edges = _records(self.edges, EDGE)
        made = Deliveries(routers, network.flit_bits, multicast=network.multicast)
        for number, sent in enumerate(self.sent):
            here = int(stations[number]["tile"])
            stations[number]["classes"] = made.add(here, int(stations[number]["each"]), sent)
        needs = np.concatenate(self.needs) if self.needs else np.zeros((0, 2), np.int64)
        edges["used"] = edges["known"] = needs[edges["needs"], 1]  # what the first window skips
        edges["told"] = -1
        ends = stations["tile"][edges["source"]], stations["tile"][edges["target"]]
        edges["delay"] = np.where(ends[0] == ends[1], 0, self._way(*(routers[e] for e in ends)))
        incoming = np.argsort(edges["target"], kind="stable").astype(np.int32)
        numbers = np.arange(len(stations))
        stations["in_begin"] = np.searchsorted(edges["target"][incoming], numbers)
        stations["in_end"] = np.searchsorted(edges["target"][incoming], numbers, side="right")
        stations["ends"] = (stations["link"] > 0) & ~np.isin(numbers, edges["source"])
        buffers = np.zeros(len(routers), np.int64)
        for tile, count in self.bytes_of.items():
            buffers[tile] = ceil(count)
        return Layout(
            plan=made.plan(stations, edges, incoming, needs, routers),
            ops=tuple(self.names),
            buffer_bytes=buffers,
            shelf_of=np.array(self.shelf_of, np.int64),
            shelf_bytes=np.array(self.shelves, np.float64),
            jobs=np.array(self.jobs, np.int64),
        )

    def _way(self, source: I64, target: I64) -> I64:
        """Return the clocks that one flit takes between routers when nothing is in its way."""
        network = self.target.machine.network
        columns = abs(source % network.columns - target % network.columns)
        rows = abs(source // network.columns - target // network.columns)
        hops: I64 = (columns + rows).astype(np.int64)
        return (hops + 1) * network.router_cycles + hops * network.link_cycles


def _comes_in(border: Border, turns: Rounds) -> int:
    """Return the first round that reads an input of the network."""
    return min(turns[op][0] for op in border.value.users)


def _portion(join: _Join, target: Part) -> Portion:
    """Return what tells apart which part of a value a part of a node reads."""
    op, value = join.target, join.value.name
    if isinstance(op, Border) or (isinstance(op, Mvm) and not target.rows):
        return (value,)
    if isinstance(op, Mvm):
        return (value, op.results[0].name, *target.rows)
    whole = target.reads > 1 - 1e-9 and not isinstance(op, Reduce)
    return (value,) if whole else (value, op.results[0].name, target.tile)


def _records(rows: list[dict[str, float]], kind: np.dtype[np.void]) -> NDArray[np.void]:
    made = np.zeros(len(rows), kind)
    for name in {key for row in rows for key in row}:
        made[name] = [row.get(name, 0) for row in rows]
    return made
