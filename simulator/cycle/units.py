"""Parts of a tile that its stations have in turn: the bus, and the vector unit or the link."""

from __future__ import annotations

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.cycle.agenda import COMPUTED, FETCHED, FINISH, FREE, STORED, foresee
from neutrams.simulator.cycle.state import PARTS, TRACED
from neutrams.simulator.network.state import I32, I64, Records


@lean_kernel
def ask_bus(
    stations: Records, tiles: Records, line: I32, events: Records, counters: I64, request: int,
    now: int,
) -> None:  # fmt: skip
    """Put a request (twice the station, plus 1 to store) in the line for its tile's bus."""
    t = stations[request // 2]["tile"]
    line[request] = -1
    if tiles[t]["bus_on"]:
        if tiles[t]["bus_head"] < 0:
            tiles[t]["bus_head"] = request
        else:
            line[tiles[t]["bus_tail"]] = request
        tiles[t]["bus_tail"] = request
    else:
        take_bus(stations, tiles, events, counters, request, now)


@lean_kernel
def take_bus(
    stations: Records, tiles: Records, events: Records, counters: I64, request: int, now: int
) -> None:
    s = request // 2
    storing = request % 2 == 1
    clocks = stations[s]["store"] if storing else stations[s]["fetch"]
    t = stations[s]["tile"]
    tiles[t]["bus_on"] = 1
    tiles[t]["bus_busy"] += clocks
    foresee(events, counters, now + clocks, STORED if storing else FETCHED, s)


@lean_kernel
def leave_bus(
    stations: Records, tiles: Records, line: I32, events: Records, counters: I64, t: int, now: int
) -> None:
    """Give a tile's bus to the next in line."""
    tiles[t]["bus_on"] = 0
    request = tiles[t]["bus_head"]
    if request >= 0:
        tiles[t]["bus_head"] = line[request]
        take_bus(stations, tiles, events, counters, request, now)


@lean_kernel
def unit_of(stations: Records, tiles: Records, s: int) -> int:
    """Return the tile on whose vector unit a station works; the last stands for the link."""
    return len(tiles) - 1 if stations[s]["link"] else int(stations[s]["tile"])


@lean_kernel
def ask_vector(
    stations: Records, tiles: Records, queue: I32, events: Records, counters: I64, s: int, now: int,
    trace: I64,
) -> None:  # fmt: skip
    """Put a station in the line for its vector unit, or for the link of the chip."""
    t = unit_of(stations, tiles, s)
    stations[s]["queued"] = 1
    queue[s] = -1
    if tiles[t]["vector_on"]:
        if tiles[t]["vector_head"] < 0:
            tiles[t]["vector_head"] = s
        else:
            queue[tiles[t]["vector_tail"]] = s
        tiles[t]["vector_tail"] = s
    else:
        start(stations, tiles, events, counters, s, now, trace)


@lean_kernel
def start(
    stations: Records, tiles: Records, events: Records, counters: I64, s: int, now: int, trace: I64
) -> None:
    """Begin an item that is fetched."""
    item = stations[s]["started"]
    parts = stations[s]["parts"]
    work = stations[s]["work"] + (item + 1) * parts // PARTS - item * parts // PARTS
    stations[s]["started"] += 1
    stations[s]["busy"] += work
    if stations[s]["begin"] < 0:
        stations[s]["begin"] = now
    if counters[TRACED] < len(trace):
        trace[counters[TRACED], 0] = s
        trace[counters[TRACED], 1] = item
        trace[counters[TRACED], 2] = now
        trace[counters[TRACED], 3] = work
        counters[TRACED] += 1
    if stations[s]["shared"]:
        t = unit_of(stations, tiles, s)
        tiles[t]["vector_on"] = 1
        tiles[t]["vector_busy"] += work
        foresee(events, counters, now + work, COMPUTED, s)
    else:
        stations[s]["free"] = now + work
        foresee(events, counters, now + work + stations[s]["after"], FINISH, s)
        if item + 1 < stations[s]["items"]:
            foresee(events, counters, now + work, FREE, s)


@lean_kernel
def leave_vector(
    stations: Records, tiles: Records, queue: I32, events: Records, counters: I64, t: int, now: int,
    trace: I64,
) -> None:  # fmt: skip
    """Give a tile's vector unit to the next in line."""
    tiles[t]["vector_on"] = 0
    s = tiles[t]["vector_head"]
    if s >= 0:
        tiles[t]["vector_head"] = queue[s]
        start(stations, tiles, events, counters, s, now, trace)
