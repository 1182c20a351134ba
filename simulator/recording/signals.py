"""Signals by name: what may be chosen of a layout, and how it is watched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.simulator.cycle.watch import Watch
from neutrams.simulator.network.state import Records
from neutrams.simulator.recording.places import Places

Kind = Literal["chip", "layer", "core", "vector", "link", "router", "bus", "buffer"]
ROOM = 1 << 14
"""Changes that are kept, beside one of each signal, until they are told."""
NEAR = 3


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal: what a chip in rounds does as a whole, how many stations are at work, or what a
    :class:`Watch` looks at.
    """

    name: str
    kind: Kind
    width: int
    """Bits."""
    index: int = 0
    """Port of a link; router; tile of a bus. A buffer has its router's."""
    stations: tuple[int, ...] = ()
    """Whose work it counts."""

    @property
    def word(self) -> str:
        """Its name in letters, digits and underscores alone."""
        return re.sub(r"[\W_]+", "_", self.name.replace("->", "_to_")).strip("_")


def signals_of(places: Places) -> list[Signal]:
    """Return every signal of a layout: of layers, of cores and tiles in use, of the whole mesh."""
    at: dict[tuple[Kind, str], list[int]] = {}
    for station, layer in enumerate(places.layers):
        tile = int(places.tiles[station])
        at.setdefault(("layer", f"layer({layer})"), []).append(station)
        if places.shared[station]:
            at.setdefault(("vector", f"vector({tile})"), []).append(station)
        for core in places.cores[station]:
            at.setdefault(("core", f"core({tile},{core})"), []).append(station)
    found = [
        Signal(name, kind, 1 if kind == "vector" else len(held).bit_length(), 0, tuple(held))
        for (kind, name), held in at.items()
    ]
    used = np.unique(places.tiles).tolist()
    found += [Signal(f"bus({tile})", "bus", 1, tile) for tile in used]
    room = places.layout.buffer_bytes
    for router in range(places.columns * places.rows):
        x, y = places.at(router)
        found.append(Signal(f"router({x},{y})", "router", 16, router))
        if held := places.tiles_at(router):
            width = int(room[held].sum() + len(held)).bit_length()
            found.append(Signal(f"buffer({x},{y})", "buffer", width, router))
    for port, ((x, y), (u, v)) in places.links().items():
        found.append(Signal(f"link({x},{y})->({u},{v})", "link", 1, port))
    return sorted(found, key=_order)


def signals_of_rounds(rounds: Sequence[Sequence[Signal]]) -> list[Signal]:
    """Return the signals of several layouts that follow one another, and those of the whole chip.

    ``stations`` then stand for those of no layout.
    """
    found = [
        Signal("programming", "chip", 1),
        Signal("spilling", "chip", 1),
        Signal("round", "chip", len(rounds).bit_length()),
    ]
    widest: dict[str, Signal] = {}
    for signal in (each for signals in rounds for each in signals):
        if signal.name not in widest or widest[signal.name].width < signal.width:
            widest[signal.name] = replace(signal, stations=())
    return sorted([*found, *widest.values()], key=_order)


def choose(text: str, known: Sequence[Signal]) -> list[Signal]:
    """Return the signals that names and patterns joined by commas stand for; ``*`` is anything.

    Raises:
        NeutramsError: NT0574, some stand for none.
    """
    wanted = [part.replace(" ", "") for part in re.split(r",(?![^()]*\))", text)]
    faults = [_unknown(part, known) for part in wanted if not _matching(part, known)]
    if faults:
        raise NeutramsError(*faults)
    chosen = {signal.name: signal for part in wanted for signal in _matching(part, known)}
    return sorted(chosen.values(), key=_order)


def watch_of(signals: Sequence[Signal], places: Places, edges: Records, ports: Records) -> Watch:
    """Return how the links, routers, buses and buffers among signals are watched, in that order."""
    by_kind = {
        kind: [signal for signal in signals if signal.kind == kind]
        for kind in ("link", "router", "bus", "buffer")
    }
    links, routers, buses = (
        np.array([signal.index for signal in by_kind[kind]], np.int32)
        for kind in ("link", "router", "bus")
    )
    shelf_of, sizes = places.layout.shelf_of, places.layout.shelf_bytes
    stations = places.layout.plan.stations
    home = places.layout.plan.routers[stations["tile"][edges["target"]]]
    owners, shelves, ordered, size = [0], [0], list[int](), list[float]()
    for signal in by_kind["buffer"]:
        mine = np.flatnonzero(home == signal.index)
        for shelf in np.unique(shelf_of[mine]):
            ordered += mine[shelf_of[mine] == shelf].tolist()
            shelves.append(len(ordered))
            size.append(float(sizes[shelf]))
        owners.append(len(size))
    count = sum(map(len, by_kind.values()))
    return Watch(
        ports=links,
        nodes=routers,
        buses=buses,
        owners=np.array(owners, np.int32),
        shelves=np.array(shelves, np.int32),
        edges=np.array(ordered, np.int32),
        bytes=np.array(size, np.float64),
        loads=ports["load"][links].astype(np.int64),
        last=np.zeros(count, np.int64),
        changes=np.zeros((ROOM + count if count else 0, 3), np.int64),
        told=np.zeros(1, np.int64),
    )


def _matching(part: str, known: Sequence[Signal]) -> list[Signal]:
    return [signal for signal in known if fnmatchcase(signal.name, part)]


def _unknown(part: str, known: Sequence[Signal]) -> Diagnostic:
    near = get_close_matches(part, [signal.name for signal in known], n=NEAR, cutoff=0.5)
    fault = error("NT0574", f"no signal is called `{part}`")
    if near:
        fault = fault.note("near: " + ", ".join(f"`{name}`" for name in near))
    return fault.help("`--signals list` prints them all; `*` stands for anything")


def _order(signal: Signal) -> tuple[str, tuple[int, ...], str]:
    kinds = signal.kind
    return kinds, tuple(map(int, re.findall(r"\d+", signal.name)[:4])), signal.name
