"""What stations send where: which packets each item leaves in, and which edges a packet serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neutrams.simulator.cycle.state import DELIVERY, LEG, Plan
from neutrams.simulator.network.state import I32, I64, Records
from neutrams.simulator.traffic.packets import Sent, Targets, classes, deliveries, flits


@dataclass(slots=True)
class Deliveries:
    """Gathers the deliveries of all stations."""

    routers: I32
    flit_bits: int
    multicast: bool
    classes: list[I32] = field(default_factory=list)
    items: int = 0
    lists: list[tuple[int, int]] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)
    deliveries: list[tuple[int, int, int]] = field(default_factory=list)
    legs: list[tuple[int, int, int]] = field(default_factory=list)
    landing: list[int] = field(default_factory=list)
    known: dict[tuple[int, ...], int] = field(default_factory=dict)

    def add(self, here: int, each: int, sent: Sequence[Sent]) -> int:
        """Add what a station in tile ``here`` sends of each item; return the first place of its
        items in the table of classes.
        """
        begin, self.items = self.items, self.items + each
        edges, kind = classes(each, sent)
        self.known.clear()
        numbers = [self._list(here, ones) for ones in edges]
        self.classes.append(np.array(numbers, np.int32)[kind])
        return begin

    def plan(
        self, stations: Records, edges: Records, incoming: I32, needs: I64, routers: I32
    ) -> Plan:
        """Return the whole plan."""
        return Plan(
            stations=stations,
            edges=edges,
            incoming=incoming,
            needs=needs,
            routers=routers,
            classes=_joined(self.classes),
            lists=np.array(self.lists, np.int32).reshape(-1, 2),
            chosen=np.array(self.chosen, np.int32),
            deliveries=_records(self.deliveries, DELIVERY, ("flits", "begin", "end")),
            legs=_records(self.legs, LEG, ("router", "begin", "end")),
            landing=np.array(self.landing, np.int32),
        )

    def _list(self, here: int, sent: Sequence[Sent]) -> int:
        """Add the deliveries of an item that goes over some edges; return their list."""
        begin = len(self.chosen)
        together = deliveries(here, sent, multicast=self.multicast)
        self.chosen += [self._delivery(here, tiles) for tiles in together]
        self.lists.append((begin, len(self.chosen)))
        return len(self.lists) - 1

    def _delivery(self, here: int, tiles: Targets) -> int:
        """Return the delivery of one portion to some tiles."""
        key = tuple(one.edge for ones in tiles.values() for one in ones)
        if key in self.known:
            return self.known[key]
        by_router: dict[int, list[Sent]] = {}
        for tile, ones in tiles.items():
            by_router.setdefault(int(self.routers[tile]), []).extend(ones)
        first = len(self.legs)
        for router, ones in by_router.items():
            begin = len(self.landing)
            self.landing += [one.edge for one in ones]
            self.legs.append((router, begin, len(self.landing)))
        self.deliveries.append((flits(here, tiles, self.flit_bits), first, len(self.legs)))
        self.known[key] = len(self.deliveries) - 1
        return self.known[key]


def _joined(parts: list[I32]) -> I32:
    return np.concatenate(parts) if parts else np.zeros(0, np.int32)


def _records(
    rows: list[tuple[int, int, int]], kind: np.dtype[np.void], names: tuple[str, str, str]
) -> NDArray[np.void]:
    made = np.zeros(len(rows), kind)
    table = np.array(rows, np.int64).reshape(-1, 3)
    for column, name in enumerate(names):
        made[name] = table[:, column]
    return made
