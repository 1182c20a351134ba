"""What the stations of a layout are called, and where on the chip they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.ops.chip import Group
from neutrams.ir.program import Program
from neutrams.simulator.constants import constant
from neutrams.simulator.cycle import Layout
from neutrams.simulator.network.state import EAST, I64, NORTH, PORTS, SOUTH, WEST

STEPS = {EAST: (1, 0), WEST: (-1, 0), NORTH: (0, -1), SOUTH: (0, 1)}
"""Columns and rows to the router behind each port."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Names and places of a layout, for what is told of it."""

    layout: Layout
    layers: tuple[str, ...]
    """``[stations]`` the layer that each works for."""
    cores: tuple[tuple[int, ...], ...]
    """``[stations]`` cores of its tile that hold its blocks; none on the vector unit."""
    columns: int
    rows: int
    """Of the mesh."""
    clock_ns: float

    @staticmethod
    def of(
        programs: Sequence[Program], layout: Layout, layers: Sequence[Mapping[str, str]]
    ) -> Places:
        """Find them for a layout of programs on one chip.

        Args:
            programs: One for each job of the layout.
            layout: What runs.
            layers: For each program what its stations work for, by ``layout.ops``.
        """
        network = programs[0].target.machine.network
        return Places(
            layout=layout,
            layers=tuple(
                layers[job][op] for op, job in zip(layout.ops, layout.jobs.tolist(), strict=True)
            ),
            cores=_cores(programs, layout),
            columns=network.columns,
            rows=network.rows,
            clock_ns=1 / network.clock_ghz,
        )

    @property
    def tiles(self) -> I64:
        """``[stations]``."""
        found: I64 = self.layout.plan.stations["tile"].astype(np.int64)
        return found

    @property
    def shared(self) -> NDArray[np.bool_]:
        """``[stations]`` whether it is one that takes turns on its tile's vector unit."""
        stations = self.layout.plan.stations
        found: NDArray[np.bool_] = (stations["shared"] > 0) & (stations["link"] == 0)
        return found

    @property
    def link(self) -> NDArray[np.bool_]:
        """``[stations]`` whether it is something that goes on or off the chip."""
        found: NDArray[np.bool_] = self.layout.plan.stations["link"] > 0
        return found

    def at(self, router: int) -> tuple[int, int]:
        """Return column and row of a router."""
        return router % self.columns, router // self.columns

    def tiles_at(self, router: int) -> list[int]:
        """Return the tiles of a router that do anything."""
        used = np.unique(self.tiles)
        found: list[int] = used[self.layout.plan.routers[used] == router].tolist()
        return found

    def links(self) -> dict[int, tuple[tuple[int, int], tuple[int, int]]]:
        """Return the ends of every link by the port that it leaves from."""
        found = {}
        for router in range(self.columns * self.rows):
            x, y = self.at(router)
            for port, (dx, dy) in STEPS.items():
                if 0 <= x + dx < self.columns and 0 <= y + dy < self.rows:
                    found[router * PORTS + port] = (x, y), (x + dx, y + dy)
        return found

    def title(self, station: int) -> str:
        """Return what a station is called: its op, its copy and its cores."""
        record = self.layout.plan.stations[station]
        copy = f", copy {record['copy']}" if record["copies"] > 1 else ""
        cores = self.cores[station]
        where = "" if not cores else f", core {_ranges(cores)}"
        return f"{self.layout.ops[station]}{copy}{where}"


def _cores(programs: Sequence[Program], layout: Layout) -> tuple[tuple[int, ...], ...]:
    machine = programs[0].target.machine
    groups = [
        {op.unit: op for op in program.module["chip"].ops if isinstance(op, Group)}
        for program in programs
    ]
    found = []
    for station, op, job in zip(layout.plan.stations, layout.ops, layout.jobs, strict=True):
        group = groups[job].get(op)
        if group is None or station["shared"]:
            found.append(())
            continue
        held = constant(group.crossbars).reshape(group.copies, -1)[station["copy"]]
        tile, core = np.divmod(held // machine.core.crossbars, machine.cores_per_tile)
        found.append(tuple(np.unique(core[tile == station["tile"]]).tolist()))
    return tuple(found)


def _ranges(numbers: tuple[int, ...]) -> str:
    """Return rising numbers in short: ``0-3 5``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return " ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
