"""From programs to stations and edges: who works where, and who waits for whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.ops.chip import Place
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.simulator.constants import constant
from neutrams.simulator.cycle.deliveries import Deliveries
from neutrams.simulator.cycle.layout import Job, Layout
from neutrams.simulator.cycle.shelves import Items, Shelf, room_for
from neutrams.simulator.cycle.state import EDGE, STATION
from neutrams.simulator.cycle.stations import Fields, station
from neutrams.simulator.network.state import I64
from neutrams.simulator.rounds import Rounds, ops_in, program_rounds
from neutrams.simulator.traffic.border import Border
from neutrams.simulator.traffic.divided import Divided, Read
from neutrams.simulator.traffic.division import divide
from neutrams.simulator.traffic.joins import Join, Joins, Node
from neutrams.simulator.traffic.packets import Sent
from neutrams.simulator.traffic.windows import reached, room


@dataclass(slots=True)
class Planner:
    """Adds the stations of one job after another."""

    program: Program
    """The one whose stations are added; any, where all are."""
    joins: Joins = field(init=False)
    first: dict[Node, int] = field(init=False, default_factory=dict)
    """The first station of each node; those of its other parts follow."""
    names: list[str] = field(init=False, default_factory=list)
    jobs: list[int] = field(init=False, default_factory=list)
    reached: dict[Node, NDArray[np.float64]] = field(init=False, default_factory=dict)
    """``[whole]`` part of the network's input that each window of a node needs."""
    stations: list[Fields] = field(init=False, default_factory=list)
    edges: list[Fields] = field(init=False, default_factory=list)
    sent: list[list[Sent]] = field(init=False, default_factory=list)
    """What each station sends over its edges."""
    needs: list[I64] = field(init=False, default_factory=list)
    rows: int = field(init=False, default=0)
    bytes_of: dict[int, float] = field(init=False, default_factory=dict)
    shelf_of: list[int] = field(init=False, default_factory=list)
    shelves: list[float] = field(init=False, default_factory=list)

    def add(self, job: Job, number: int) -> None:
        self.program, turns = job.program, program_rounds(job.program)

        def comes_in(border: Border) -> bool:
            return job.round is None or _comes_in(border, turns) == job.round

        ops = ops_in(job.program, job.round)
        self.joins = Joins.among(divide(job.program, job.round), ops, comes_in)
        for node, divided in self.joins.divided.items():
            self._add(node, divided, job.inferences)
        for node, read in self.joins.of.items():
            self._connect(node, read)
        self.jobs += [number] * (len(self.stations) - len(self.jobs))

    @property
    def target(self) -> Target:
        return self.program.target

    def _add(self, node: Node, divided: Divided, inferences: int) -> None:
        name = node.name if isinstance(node, Border) else node.results[0].name
        self.first[node] = len(self.stations)
        self.reached[node] = np.arange(1, divided.whole + 1) / divided.whole
        for part in divided.parts:
            sizes = self.joins.division.sizes
            self.stations.append(
                station(node, divided, part, target=self.target, sizes=sizes, inferences=inferences)
            )
            self.names.append(name)
            self.sent.append([])

    def _connect(self, node: Node, joins: list[Join]) -> None:
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
            shelves: dict[tuple[int, int], Shelf] = {}
            for read in join.need.reads:
                self._edges(join, read, self._read(join, read, held), shelves)
            for (_, tile), shelf in shelves.items():
                size = shelf.bits / 8
                self.shelves.append(size)
                self.bytes_of[tile] = self.bytes_of.get(tile, 0.0) + size * shelf.most()

    def _read(self, join: Join, read: Read, held: I64) -> Items:
        """Add to the table what each window of a copy needs of another copy."""
        divided = self.joins.divided
        mine = divided[join.target].makes[read.target]
        table = np.searchsorted(read.windows, join.need.table[mine])
        most = np.searchsorted(read.windows, held[mine]) - table[:, 1]
        begin, self.rows = self.rows, self.rows + len(table)
        self.needs.append(table)
        items = np.searchsorted(divided[join.source].makes[read.source], read.windows)
        span = np.stack([held[mine], join.need.table[mine, 1]], axis=1)
        return Items(items, begin, room_for(most), span)

    def _edges(
        self, join: Join, read: Read, items: Items, shelves: dict[tuple[int, int], Shelf]
    ) -> None:
        """Add the edges from the parts of one copy to those of another."""
        for piece in self.joins.pieces(join, read):
            source = self.first[join.source] + piece.source
            edge: Fields = {
                "source": source,
                "target": self.first[join.target] + piece.target,
                "each": len(items.sent),
                "room": items.room,
                "needs": items.needs,
            }
            sent = Sent(len(self.edges), piece.tile, piece.portion, piece.bits, items.sent)
            self.sent[source].append(sent)
            self.edges.append(edge)
            number = len(self.shelves) + len(shelves)
            shelf = shelves.setdefault((piece.source, piece.tile), Shelf(number))
            self.shelf_of.append(shelf.number)
            shelf.add(read, items.span, piece.bits)

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


def _records(rows: list[Fields], kind: np.dtype[np.void]) -> NDArray[np.void]:
    made = np.zeros(len(rows), kind)
    for name in {key for row in rows for key in row}:
        made[name] = [row.get(name, 0) for row in rows]
    return made
