"""Run a plan of stations on a mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neutrams.ir.target import Target
from neutrams.ir.traffic import Mesh
from neutrams.simulator.cycle.agenda import WAKE
from neutrams.simulator.cycle.loop import run_cycles
from neutrams.simulator.cycle.mail import Ways
from neutrams.simulator.cycle.state import (
    DONE,
    EVENT,
    NUMBER,
    PACKETS,
    SIZE,
    TILE,
    TRACED,
    Plan,
)
from neutrams.simulator.cycle.tally import deliveries_sent, packets_each
from neutrams.simulator.cycle.watch import Watch, watch_nothing
from neutrams.simulator.network.mesh import NEVER
from neutrams.simulator.network.run import check_conserved, scratch, shape_of
from neutrams.simulator.network.state import (
    BORN,
    CREDITS,
    FLYING,
    I64,
    NOW,
    PACKET,
    SENT,
    WAITING,
    Records,
    Routers,
    fresh,
)

COUNTERS = 5
ROOM = 1 << 14
"""Starts, and changes of what is watched, that are kept until they are told."""

Sink = Callable[[I64], None]
"""Told of what happened, in the order in which it did: rows that it must not keep."""


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What a run of stations took, so far."""

    clocks: int
    finished: bool
    stations: Records
    tiles: Records
    link_busy: int
    """Clocks in which something went on or off the chip."""
    packets: Records
    """Those that were sent, with the clock in which each was born and arrived."""
    load: I64
    """``[rows, columns, 5]`` flits that left each router by each port."""
    flits: int


class Stuck(AssertionError):
    """Stations wait for each other: a buffer of the plan is smaller than a window needs."""


class Machine:
    """A plan under way. It goes on from where it stopped, so that it can be stopped anywhere."""

    def __init__(self, plan: Plan, routers: Routers, *, skip: bool = True) -> None:
        """Prepare a run.

        Args:
            plan: What to run.
            routers: The mesh.
            skip: Whether clocks in which nothing can happen are jumped over; it changes no result.
        """
        self.plan, self.routers, self._skip = plan, routers, skip
        self.stations, self.edges = plan.stations.copy(), plan.edges.copy()
        self.tiles = np.zeros(len(plan.routers) + 1, TILE)
        self.tiles["bus_head"] = self.tiles["vector_head"] = -1
        self.line = np.full(2 * len(self.stations), -1, np.int32)
        self.queue = np.full(len(self.stations), -1, np.int32)
        self.packets = np.zeros(_packets(plan, routers), PACKET)
        self.goals = np.ascontiguousarray(plan.legs["router"])
        self.legs = plan.legs.copy()
        self.ways = Ways(
            plan.classes, plan.lists, plan.chosen, plan.deliveries, self.legs,
            plan.landing, plan.routers, routers.depth,
        )  # fmt: skip
        self.events = np.zeros(_most_events(plan), EVENT)
        self.counters = np.zeros(COUNTERS, np.int64)
        self._trace = np.zeros((0, 4), np.int64)
        self._most = NEVER
        self._watch = watch_nothing()
        self._starts: Sink | None = None
        self._changes: Sink | None = None
        self.network = fresh(routers)
        self._shape, self._scratch = shape_of(routers), scratch()
        for station in range(len(self.stations)):
            self.events[station] = (0, station, WAKE, station)
        self.counters[SIZE] = self.counters[NUMBER] = len(self.stations)

    @property
    def clock(self) -> int:
        return int(self.network.scalars[NOW])

    @property
    def done(self) -> bool:
        """Whether every station is, and nothing more will happen."""
        net, left = self.network, self.counters[SIZE] + self.network.active[-1]
        left += sum(net.scalars[place] for place in (FLYING, WAITING, CREDITS))
        waits = left > 0 or net.scalars[BORN] < self.counters[PACKETS]
        return bool(self.counters[DONE] == len(self.stations)) and not waits

    def tell_starts(self, sink: Sink | None) -> None:
        """From now on tell of every item that a station starts: station, item, clock, clocks."""
        self._starts = sink
        most = _most_starts(self.plan) if sink else 0
        self._trace = np.zeros((ROOM + most if sink else 0, 4), np.int64)
        self._most = ROOM if sink else NEVER

    def watch(self, signals: Watch, sink: Sink | None) -> None:
        """From now on tell of every change of some signals: signal, clock, value."""
        self._watch, self._changes = signals, sink

    def run(self, until: int = NEVER) -> CycleResult:
        """Go on until a clock, or until every station is done.

        Raises:
            Stuck: nothing is left to happen, and stations are not done.
        """
        self.advance(until)
        return self.result()

    def advance(self, until: int) -> bool:
        """Go on as :meth:`run` does, and say whether all is done."""
        if self.done:
            return True
        net = self.network
        more = True
        while more:
            more = run_cycles(
                self.stations, self.edges, self.plan.incoming, self.plan.needs, self.ways,
                self.tiles, self.line, self.queue, self.events, self.counters, self._trace,
                net.scalars, net.nodes, net.ports, net.queues, net.flits, net.sources, net.active,
                net.returned, net.landed, self.packets, self.goals, self._shape, self._watch,
                self._most, until, self._skip, *self._scratch,
            )  # fmt: skip
            self._tell()
        check_conserved(net)
        if net.scalars[NOW] < until and self.counters[DONE] < len(self.stations):
            waiting = np.flatnonzero(self.stations["sent"] < self.stations["items"])
            raise Stuck(f"stations {waiting[:8].tolist()} wait for each other")
        return self.done

    def _tell(self) -> None:
        """Tell what was recorded, and make room."""
        if self._starts is not None:
            assert self.counters[TRACED] < len(self._trace), "a start was not told"
            self._starts(self._trace[: self.counters[TRACED]])
        if self._changes is not None:
            self._changes(self._watch.changes[: self._watch.told[0]])
        self.counters[TRACED] = self._watch.told[0] = 0

    def result(self) -> CycleResult:
        net, mesh = self.network, self.routers.mesh
        return CycleResult(
            clocks=int(net.scalars[NOW]),
            finished=self.done,
            stations=self.stations.copy(),
            tiles=self.tiles[:-1].copy(),
            link_busy=int(self.tiles[-1]["vector_busy"]),
            packets=self.packets[: self.counters[PACKETS]].copy(),
            load=net.ports["load"].reshape(mesh.rows, mesh.columns, -1).copy(),
            flits=int(net.scalars[SENT]),
        )


def routers_of(target: Target) -> Routers:
    """Return the routers of a chip's mesh."""
    network = target.machine.network
    return Routers(
        Mesh(network.columns, network.rows),
        pipeline=network.router_cycles,
        link=network.link_cycles,
    )


def _packets(plan: Plan, routers: Routers) -> int:
    """Return how many packets a plan sends."""
    made = deliveries_sent(plan, plan.stations["items"])
    return int((made * packets_each(plan, routers.depth)).sum())


def _most_starts(plan: Plan) -> int:
    """Return how many items all stations together can start at once."""
    return int(np.minimum(plan.stations["depth"], plan.stations["items"]).sum()) + 1


def _most_events(plan: Plan) -> int:
    """Return how many events can be to come at once; two places more serve the heap.

    Of each station: one on the bus each way, one on the vector unit or free, as many results as it
    holds, one wake-up; of each edge what has been sent and not used, and one word of free places.
    """
    depth = np.minimum(plan.stations["depth"], plan.stations["items"])
    under_way = np.minimum(plan.edges["room"], plan.stations["items"][plan.edges["source"]])
    return int(depth.sum() + under_way.sum()) + 6 * len(plan.stations) + 3 * len(plan.edges) + 2
