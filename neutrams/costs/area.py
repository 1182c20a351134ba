"""Area and peak power of a core, a tile, the chip, or as many tiles as a network uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from neutrams.ir.target import Component, Machine, Place, Target


@dataclass(frozen=True, slots=True)
class Budget:
    area_mm2: float
    power_w: float
    """Every part busy all the time."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component of the cost table, rolled up."""

    component: str
    place: Place
    core: Budget
    """Its share of one core; nought for parts outside the cores."""
    tile: Budget
    """Its share of one tile, cores and part of the router included; nought for chip-wide parts."""
    chip: Budget
    source: str
    assumed: tuple[str, ...]
    """Which of its area and power are assumptions."""


@dataclass(frozen=True, slots=True)
class RollUp:
    parts: tuple[Part, ...]
    core: Budget
    tile: Budget
    chip: Budget
    shared: Budget
    """What a chip has once, whatever its tiles."""

    def of_tiles(self, tiles: int) -> Budget:
        """Return the budget of a chip cut down to ``tiles`` tiles: those, and what is shared."""
        assert tiles >= 0
        return Budget(
            self.shared.area_mm2 + tiles * self.tile.area_mm2,
            self.shared.power_w + tiles * self.tile.power_w,
        )


def roll_up(target: Target) -> RollUp:
    """Return area and peak power by component, and summed for a core, a tile and the chip.

    A tile has its share of a router, as in the published tables.
    """
    parts = tuple(_part(component, target.machine) for component in target.costs)
    return RollUp(
        parts=parts,
        core=_total(part.core for part in parts),
        tile=_total(part.tile for part in parts),
        chip=_total(part.chip for part in parts),
        shared=_total(part.chip for part in parts if part.place == "chip"),
    )


def _part(component: Component, machine: Machine) -> Part:
    places = {"crossbar": machine.core.crossbars, "core": 1}.get(component.place, 0)
    in_core = places * component.count
    in_tile: float = places * sum(k.per_tile * k.count_of(component) for k in machine.kinds)
    in_chip = int(in_tile) * machine.tiles
    match component.place:
        case "tile":
            in_tile, in_chip = component.count, machine.tiles * component.count
        case "router":
            in_tile = component.count / machine.network.tiles_per_router
            in_chip = machine.routers * component.count
        case "chip":
            in_chip = component.count
    return Part(
        component=component.name,
        place=component.place,
        core=_times(component, in_core),
        tile=_times(component, in_tile),
        chip=_times(component, in_chip),
        source=component.source,
        assumed=tuple(name for name in ("area_mm2", "power_mw") if component.assumes(name)),
    )


def _times(component: Component, number: float) -> Budget:
    return Budget(number * component.area_mm2, number * component.power_mw * 1e-3)


def _total(budgets: Iterable[Budget]) -> Budget:
    found = list(budgets)
    return Budget(sum(b.area_mm2 for b in found), sum(b.power_w for b in found))
