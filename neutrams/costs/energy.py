"""Energy of a run: what happened, times what it costs, and the leakage of what was switched on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from neutrams.ir.diagnostics import Diagnostic, warning
from neutrams.ir.target import Component, Machine, Place, Target

_PJ = 1e-12
_MW = 1e-3


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How much of a chip is switched on; the rest is taken to be cut off from power."""

    crossbars: int
    cores: int
    tiles: int
    routers: int
    smaller: tuple[tuple[int, int], ...] = ()
    """How many of the crossbars and cores are of each further kind; none where not said."""

    @staticmethod
    def whole(machine: Machine) -> Occupancy:
        cores = [machine.tiles * kind.per_tile for kind in machine.smaller]
        smaller = tuple((machine.core.crossbars * each, each) for each in cores)
        return Occupancy(machine.crossbars, machine.cores, machine.tiles, machine.routers, smaller)

    @property
    def crossbars_by_kind(self) -> tuple[int, ...]:
        smaller = [crossbars for crossbars, _ in self.smaller]
        return (self.crossbars - sum(smaller), *smaller)

    def of(self, place: Place) -> int:
        """Return how many places of one kind are switched on."""
        match place:
            case "crossbar":
                return self.crossbars
            case "core":
                return self.cores
            case "tile":
                return self.tiles
            case "router":
                return self.routers
            case "chip":
                return 1

    def instances(self, component: Component, machine: Machine) -> int:
        """Return how many of a component are switched on."""
        found = component.count * self.of(component.place)
        if component.place not in ("crossbar", "core"):
            return found
        for kind, on in zip(machine.smaller, self.smaller, strict=False):
            more = kind.count_of(component) - component.count
            found += more * on[component.place == "core"]
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """A constant of the target, and the energy that rests on it."""

    key: str
    """Its dotted key in the target, such as ``costs.link.energy_pj.link_flits``."""
    value: float
    """In pJ an event, or mW."""
    times: float
    """Events, or instances that are switched on."""
    energy_j: float
    assumed: bool
    source: str
    """Where the numbers of its component come from."""


@dataclass(frozen=True, slots=True)
class Charged:
    """The energy of one component."""

    component: str
    place: Place
    dynamic_j: float
    static_j: float

    @property
    def energy_j(self) -> float:
        return self.dynamic_j + self.static_j


@dataclass(frozen=True, slots=True)
class Charge:
    """The energy of a run, by component."""

    parts: tuple[Charged, ...]
    time_s: float
    entries: tuple[Entry, ...]
    """Constants that the energy rests on, the heaviest first; they add up to it."""
    uncharged: tuple[str, ...]
    """Events that occurred and that no component charges for."""

    @property
    def energy_j(self) -> float:
        return sum(part.energy_j for part in self.parts)

    @property
    def power_w(self) -> float:
        """Average power; nought for a run without duration."""
        return self.energy_j / self.time_s if self.time_s else 0.0

    @property
    def assumptions(self) -> tuple[Entry, ...]:
        """Those of the constants that are assumed."""
        return tuple(entry for entry in self.entries if entry.assumed)

    @property
    def assumed_j(self) -> float:
        """The part of the energy that rests on assumed constants."""
        return sum(assumption.energy_j for assumption in self.assumptions)

    def warnings(self, target: str) -> list[Diagnostic]:
        """Return one warning for each event that the table of ``target`` forgot."""
        return [_forgotten(event, target) for event in self.uncharged]


def charged_events(target: Target) -> frozenset[str]:
    """Return the events that some component of a target has an energy for, be it nought."""
    return frozenset(event for component in target.costs for event, _ in component.energy_pj)


def charge(
    target: Target,
    counts: Mapping[str, int],
    time_s: float,
    *,
    occupancy: Occupancy | None = None,
) -> Charge:
    """Return the energy of a run with these event counts and this duration.

    Each component takes its energy an event times the count, and the static power of its
    instances on the switched-on part of the chip (``None``: all of it) over the whole time.
    """
    assert time_s >= 0
    assert all(count >= 0 for count in counts.values())
    machine = target.machine
    on = Occupancy.whole(machine) if occupancy is None else occupancy
    known = charged_events(target)
    entries = [
        entry
        for c in target.costs
        for entry in _entries(c, counts, on.instances(c, machine), time_s)
    ]
    return Charge(
        parts=tuple(_charged(component, counts, on, machine, time_s) for component in target.costs),
        time_s=time_s,
        entries=tuple(sorted(entries, key=lambda found: (-found.energy_j, found.key))),
        uncharged=tuple(event for event, n in counts.items() if n > 0 and event not in known),
    )


def _charged(
    component: Component,
    counts: Mapping[str, int],
    on: Occupancy,
    machine: Machine,
    time_s: float,
) -> Charged:
    dynamic_pj = sum(energy * counts.get(event, 0) for event, energy in component.energy_pj)
    static_j = _static_j(component, on.instances(component, machine), time_s)
    return Charged(component.name, component.place, dynamic_pj * _PJ, static_j)


def _static_j(component: Component, instances: int, time_s: float) -> float:
    return component.static_mw * _MW * instances * time_s


def _entries(
    component: Component, counts: Mapping[str, int], instances: int, time_s: float
) -> list[Entry]:
    """Return what each number of a component comes to, where that is anything."""
    numbers = [
        (f"energy_pj.{event}", energy, counts.get(event, 0), energy * counts.get(event, 0) * _PJ)
        for event, energy in component.energy_pj
    ]
    leaks = _static_j(component, instances, time_s)
    numbers.append(("static_mw", component.static_mw, instances, leaks))
    return [
        Entry(
            f"costs.{component.name}.{key}", value, times, energy_j,
            component.assumes(key), component.source,
        )
        for key, value, times, energy_j in numbers
        if energy_j > 0
    ]  # fmt: skip


def _forgotten(event: str, target: str) -> Diagnostic:
    doubt = warning("NT0313", f"no component of `{target}` charges for `{event}`")
    doubt = doubt.note("they occurred, but cost nothing in the energy given")
    return doubt.help(f"add `energy_pj.{event}` to a component; 0.0 if another one's figure has it")
