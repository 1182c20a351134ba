"""What stations send where: which packets each item leaves in, and which edges a packet serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from neutrams.simulator.cycle.state import DELIVERY, LEG, Plan
from neutrams.simulator.network.state import I32, I64, Records

Portion = tuple[str | int, ...]
"""Which part of an item: a value, and what tells its parts apart; a value alone is all of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """What a station sends over one edge."""

    edge: int
    tile: int
    """Where it ends."""
    portion: Portion
    bits: float
    """Of one item."""
    items: I64
    """Items of an inference that go over it, in their order."""


@dataclass(slots=True)
class Deliveries:
    """Gathers the deliveries of all stations.

    Edges of one station that end in one tile are served by one packet an item. Where routers copy
    packets, so are tiles that want the same portion of it.
    """

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

    def add(self, here: int, each: int, sent: list[Sent]) -> int:
        """Add what a station in tile ``here`` sends of each item; return the first place of its
        items in the table of classes.
        """
        begin, self.items = self.items, self.items + each
        over = np.zeros((each, len(sent)), bool)
        for column, one in enumerate(sent):
            over[one.items, column] = True
        packed = np.ascontiguousarray(np.packbits(over, axis=1))
        if not sent:
            packed = np.zeros((each, 1), np.uint8)
        rows = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
        _, first, kind = np.unique(rows, return_index=True, return_inverse=True)
        self.known.clear()
        numbers = [self._list(here, [sent[i] for i in np.flatnonzero(over[n])]) for n in first]
        self.classes.append(np.array(numbers, np.int32)[kind.reshape(-1)])
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

    def _list(self, here: int, sent: list[Sent]) -> int:
        """Add the deliveries of an item that goes over some edges; return their list."""
        at: dict[int, list[Sent]] = {}
        for one in sent:
            at.setdefault(one.tile, []).append(one)
        groups: dict[tuple[object, ...], dict[int, list[Sent]]] = {}
        for tile, ones in at.items():
            together = self.multicast and tile != here
            key: tuple[object, ...] = tuple(sorted(_portions(ones))) if together else (tile,)
            groups.setdefault(key, {})[tile] = ones
        begin = len(self.chosen)
        self.chosen += [self._delivery(here, tiles) for tiles in groups.values()]
        self.lists.append((begin, len(self.chosen)))
        return len(self.lists) - 1

    def _delivery(self, here: int, tiles: dict[int, list[Sent]]) -> int:
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
        flits = 0 if here in tiles else max(self._flits(ones) for ones in tiles.values())
        self.deliveries.append((flits, first, len(self.legs)))
        self.known[key] = len(self.deliveries) - 1
        return self.known[key]

    def _flits(self, sent: list[Sent]) -> int:
        """Return the flits of what one tile wants."""
        bits = sum(_portions(sent).values())
        return max(-(-ceil(bits - 1e-9) // self.flit_bits), 1)


def _portions(sent: list[Sent]) -> dict[Portion, float]:
    """Return the portions of an item that one tile wants and their bits, each once."""
    found: dict[Portion, float] = {}
    for one in sent:
        found[one.portion] = max(found.get(one.portion, 0.0), one.bits)
    return {key: bits for key, bits in found.items() if len(key) == 1 or key[:1] not in found}


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
