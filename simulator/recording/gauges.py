"""Counters of a trace: what is read off a machine between two looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neutrams.simulator.cycle import Machine
from neutrams.simulator.network.state import I64, PORTS
from neutrams.simulator.recording.places import Places

APART = 1 << 20
"""Added to the number of a router without tiles in use, to number its process."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One counter."""

    pid: int
    name: str
    unit: str


@dataclass(slots=True, eq=False)
class Gauges:
    """All counters: flits over links and clocks of buses in a bin, then bytes in buffers and flits
    in routers at its end.
    """

    all: list[Gauge]
    processes: list[tuple[int, str]]
    ports: I64
    tiles: I64
    shelf_of: I64
    shelf_bytes: NDArray[np.float64]
    shelf_tile: I64
    _before: I64 | None = field(init=False, default=None)
    _shown: I64 = field(init=False)

    def __post_init__(self) -> None:
        self._shown = np.zeros(len(self.all), np.int64)

    @staticmethod
    def of(places: Places) -> Gauges:
        tiles = np.unique(places.tiles)
        homes = places.layout.plan.routers[tiles].tolist()
        pids: dict[int, int] = {}
        processes = []
        for tile, router in zip(tiles.tolist(), homes, strict=True):
            pids.setdefault(router, tile + 1)
            processes.append((tile + 1, "tile {} at ({},{})".format(tile, *places.at(router))))
        for router in range(places.columns * places.rows):
            pid = pids.setdefault(router, APART + router)
            if pid >= APART:
                processes.append((pid, "router at ({},{})".format(*places.at(router))))
        links = places.links()
        gauges = [Gauge(pids[p // PORTS], _link(*ends), "flits") for p, ends in links.items()]
        gauges += [Gauge(tile + 1, "bus", "clocks") for tile in tiles.tolist()]
        gauges += [Gauge(tile + 1, "buffer", "bytes") for tile in tiles.tolist()]
        gauges += [
            Gauge(pids[r], "router({},{})".format(*places.at(r)), "held") for r in range(len(pids))
        ]
        plan, layout = places.layout.plan, places.layout
        shelf_tile = np.zeros(len(layout.shelf_bytes), np.int64)
        shelf_tile[layout.shelf_of] = plan.stations["tile"][plan.edges["target"]]
        return Gauges(
            gauges, processes, np.array(list(links)), tiles, layout.shelf_of, layout.shelf_bytes,
            shelf_tile,
        )  # fmt: skip

    @staticmethod
    def none() -> Gauges:
        """Return no counters."""
        nothing = np.zeros(0, np.int64)
        return Gauges([], [], nothing, nothing, nothing, np.zeros(0), nothing)

    def after(self, before: Gauges) -> list[Gauge]:
        """Go on from what other counters show, and return those that are none of these."""
        shown = dict(zip(before.all, before._shown.tolist(), strict=True))
        self._shown[:] = [shown.pop(gauge, 0) for gauge in self.all]
        return [gauge for gauge, value in shown.items() if value]

    def flow(self, machine: Machine) -> I64 | None:
        """Return what links and buses did since the last look; ``None`` at the first."""
        flits = machine.network.ports["load"][self.ports]
        busy = machine.tiles["bus_busy"][self.tiles]
        now = np.concatenate([flits, busy]).astype(np.int64)
        before, self._before = self._before, now
        return None if before is None else now - before

    def level(self, machine: Machine) -> I64:
        """Return what lies in buffers and routers."""
        waiting = machine.edges["arrived"] - machine.edges["used"]
        items = np.zeros(len(self.shelf_bytes), np.int64)
        np.maximum.at(items, self.shelf_of, waiting)
        held = np.bincount(
            self.shelf_tile, items * self.shelf_bytes, int(self.tiles.max(initial=0)) + 1
        )
        bytes_ = np.ceil(held[self.tiles] - 1e-6)
        return np.concatenate([bytes_, machine.network.nodes["held"]]).astype(np.int64)

    def changed(self, first: int, values: I64) -> Iterator[tuple[Gauge, int]]:
        """Yield the counters from number ``first`` on that have another value than was shown."""
        numbers = first + np.flatnonzero(values != self._shown[first : first + len(values)])
        self._shown[first : first + len(values)] = values
        for number in numbers.tolist():
            yield self.all[number], int(self._shown[number])


def _link(start: tuple[int, int], end: tuple[int, int]) -> str:
    return f"link({start[0]},{start[1]})->({end[0]},{end[1]})"
