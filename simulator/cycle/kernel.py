"""What stations do: fetch, work, store and send, item by item, as far as nothing is in the way.

An item of a station goes through five steps, and each may wait:

1. **fetch** over the tile's bus into the input register, which holds ``ahead`` items, once every
   edge has brought what its window needs;
2. **start**, on crossbars of its own or on the tile's vector unit, which others share in the order
   they asked, while fewer than ``depth`` results are on their way;
3. **finish**, ``work + after`` clocks later (on the vector unit ``work`` clocks are its own);
4. **store** over the tile's bus;
5. **send** a packet over every edge, once the buffer behind each has room.

Events of one clock are handled in the order in which they were foreseen.
"""

from __future__ import annotations

from typing import NamedTuple

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.cycle.state import DONE, NUMBER, PACKETS, PARTS, SIZE, TRACED
from neutrams.simulator.network.state import I32, I64, Records

ARRIVE, WAKE, FETCHED, STORED, FREE, FINISH, COMPUTED, KNOWN = range(8)
"""Kinds of events: an item at the end of a leg; a station that may go on; the end of a step."""


class Ways(NamedTuple):
    """Where items go, as :class:`~neutrams.simulator.cycle.state.Plan` has it."""

    classes: I32
    lists: I32
    chosen: I32
    deliveries: Records
    legs: Records
    landing: I32
    routers: I32
    depth: int
    """Flits of a packet that routers copy, at most: a queue holds them all."""


@lean_kernel
def foresee(events: Records, counters: I64, time: int, kind: int, who: int) -> None:
    """Add an event to the heap; there is always room, unless a snapshot was forged."""
    assert counters[SIZE] < len(events) - 2
    place, number = counters[SIZE], counters[NUMBER]
    counters[SIZE] += 1
    counters[NUMBER] += 1
    while place > 0:
        parent = (place - 1) // 2
        if events[parent]["time"] <= time:
            break
        events[place] = events[parent]
        place = parent
    events[place]["time"] = time
    events[place]["number"] = number
    events[place]["kind"] = kind
    events[place]["who"] = who


@lean_kernel
def earlier(events: Records, a: int, b: int) -> bool:
    if events[a]["time"] != events[b]["time"]:
        return bool(events[a]["time"] < events[b]["time"])
    return bool(events[a]["number"] < events[b]["number"])


@lean_kernel
def drop_first(events: Records, counters: I64) -> None:
    """Take the first event off the heap."""
    counters[SIZE] -= 1
    size, place = counters[SIZE], 0
    if size == 0:
        return
    events[size + 1] = events[size]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and earlier(events, child + 1, child):
            child += 1
        if earlier(events, size + 1, child):
            break
        events[place] = events[child]
        place = child
    events[place] = events[size + 1]


@lean_kernel
def bounds(stations: Records, edges: Records, needs: I64, e: int, item: int, column: int) -> int:
    """Return how many items of an edge an item waits for (0), or no longer needs (1)."""
    target = edges[e]["target"]
    inference = item // stations[target]["each"]
    before = inference * edges[e]["each"]
    if item == stations[target]["items"]:
        return int(before)
    nth = item - inference * stations[target]["each"]
    return int(before + needs[edges[e]["needs"] + nth, column])


@lean_kernel
def ready(stations: Records, edges: Records, incoming: I32, needs: I64, s: int, item: int) -> bool:
    """Say whether all that an item reads has arrived."""
    for i in range(stations[s]["in_begin"], stations[s]["in_end"]):
        e = incoming[i]
        if edges[e]["arrived"] < bounds(stations, edges, needs, e, item, 0):
            return False
    return True


@lean_kernel
def give_room(
    stations: Records, edges: Records, incoming: I32, needs: I64, events: Records, counters: I64,
    s: int, now: int,
) -> None:  # fmt: skip
    """Free what items to come do not need, and wake sources that wait for it."""
    item = stations[s]["fetched"]
    for i in range(stations[s]["in_begin"], stations[s]["in_end"]):
        e = incoming[i]
        used = bounds(stations, edges, needs, e, item, 1)
        if used > edges[e]["used"]:
            edges[e]["used"] = used
            if edges[e]["delay"] == 0:
                edges[e]["known"] = used
                wake(stations, events, counters, edges[e]["source"], now)
            elif edges[e]["told"] < 0:
                edges[e]["told"] = used
                foresee(events, counters, now + edges[e]["delay"], KNOWN, e)


@lean_kernel
def wake(stations: Records, events: Records, counters: I64, s: int, now: int) -> None:
    """Let a station that waits for room look again."""
    if stations[s]["sent"] < stations[s]["stored"] and stations[s]["woken"] == 0:
        stations[s]["woken"] = 1
        foresee(events, counters, now, WAKE, s)


@lean_kernel
def learn(
    stations: Records, edges: Records, events: Records, counters: I64, e: int, now: int
) -> None:
    """Let a source know of free places; what fell free meanwhile is told by the next word."""
    edges[e]["known"] = edges[e]["told"]
    edges[e]["told"] = -1
    if edges[e]["used"] > edges[e]["known"]:
        edges[e]["told"] = edges[e]["used"]
        foresee(events, counters, now + edges[e]["delay"], KNOWN, e)
    wake(stations, events, counters, edges[e]["source"], now)


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


@lean_kernel
def has_room(edges: Records, ways: Ways, kind: int) -> bool:
    """Say whether all buffers have room for an item that leaves by a list."""
    for i in range(ways.lists[kind, 0], ways.lists[kind, 1]):
        d = ways.chosen[i]
        for leg in range(ways.deliveries[d]["begin"], ways.deliveries[d]["end"]):
            for j in range(ways.legs[leg]["begin"], ways.legs[leg]["end"]):
                e = ways.landing[j]
                if edges[e]["sent"] - edges[e]["known"] >= edges[e]["room"]:
                    return False
    return True


@lean_kernel
def send(
    stations: Records, edges: Records, ways: Ways, packets: Records, events: Records,
    counters: I64, s: int, now: int,
) -> bool:  # fmt: skip
    """Send a stored result on all its ways; say whether there was room for it."""
    kind = ways.classes[stations[s]["classes"] + stations[s]["sent"] % stations[s]["each"]]
    if not has_room(edges, ways, kind):
        return False
    for i in range(ways.lists[kind, 0], ways.lists[kind, 1]):
        d = ways.chosen[i]
        begin, end = ways.deliveries[d]["begin"], ways.deliveries[d]["end"]
        for leg in range(begin, end):
            for j in range(ways.legs[leg]["begin"], ways.legs[leg]["end"]):
                edges[ways.landing[j]]["sent"] += 1
        flits = ways.deliveries[d]["flits"]
        if flits == 0:
            foresee(events, counters, now, ARRIVE, begin)
        most = flits if end - begin == 1 else ways.depth
        while flits > 0:
            p = counters[PACKETS]
            counters[PACKETS] += 1
            packets[p]["born"] = now
            packets[p]["arrived"] = -1
            packets[p]["following"] = -1
            packets[p]["source"] = ways.routers[stations[s]["tile"]]
            packets[p]["target"] = ways.legs[begin]["router"] if end - begin == 1 else begin
            packets[p]["copies"] = packets[p]["left"] = end - begin
            packets[p]["length"] = min(flits, most)
            packets[p]["tag"] = d
            flits -= most
    stations[s]["sent"] += 1
    stations[s]["end"] = now
    if stations[s]["sent"] == stations[s]["items"]:
        counters[DONE] += 1
    return True


@lean_kernel
def land(ways: Ways, events: Records, counters: I64, d: int, router: int, now: int) -> None:
    """Take a packet of a delivery in; the item is there with the last of its packets."""
    leg = ways.deliveries[d]["begin"]
    while ways.legs[leg]["router"] != router:
        leg += 1
    ways.legs[leg]["landed"] += 1
    whole = ways.deliveries[d]["flits"]
    alone = ways.deliveries[d]["end"] - ways.deliveries[d]["begin"] == 1
    if alone or ways.legs[leg]["landed"] * ways.depth >= whole:
        ways.legs[leg]["landed"] = 0
        foresee(events, counters, now, ARRIVE, leg)


@lean_kernel
def advance(
    stations: Records, edges: Records, incoming: I32, needs: I64, ways: Ways, tiles: Records,
    line: I32, queue: I32, packets: Records, events: Records, counters: I64, s: int, now: int,
    trace: I64,
) -> None:  # fmt: skip
    """Take a station as far as it gets in this clock."""
    moved = True
    while moved:
        moved = False
        item = stations[s]["asked"]
        idle = item == stations[s]["fetched"] and item < stations[s]["items"]
        idle &= item - stations[s]["started"] < stations[s]["ahead"]
        if idle and ready(stations, edges, incoming, needs, s, item):
            stations[s]["asked"] += 1
            if stations[s]["fetch"] > 0:
                ask_bus(stations, tiles, line, events, counters, 2 * s, now)
            else:
                stations[s]["fetched"] += 1
                give_room(stations, edges, incoming, needs, events, counters, s, now)
                moved = True
        free = stations[s]["started"] - stations[s]["sent"] < stations[s]["depth"]
        if stations[s]["fetched"] > stations[s]["started"] and free:
            if stations[s]["shared"] == 0:
                if stations[s]["free"] <= now:
                    start(stations, tiles, events, counters, s, now, trace)
                    moved = True
            elif stations[s]["queued"] == 0:
                ask_vector(stations, tiles, queue, events, counters, s, now, trace)
        if stations[s]["finished"] > stations[s]["stored"] and stations[s]["storing"] == 0:
            if stations[s]["store"] > 0:
                stations[s]["storing"] = 1
                ask_bus(stations, tiles, line, events, counters, 2 * s + 1, now)
            else:
                stations[s]["stored"] += 1
                moved = True
        if stations[s]["stored"] > stations[s]["sent"]:
            moved |= send(stations, edges, ways, packets, events, counters, s, now)


@lean_kernel
def handle(
    stations: Records, edges: Records, incoming: I32, needs: I64, ways: Ways, tiles: Records,
    line: I32, queue: I32, packets: Records, events: Records, counters: I64, now: int, trace: I64,
) -> None:  # fmt: skip
    """Handle the first event."""
    kind, who = events[0]["kind"], events[0]["who"]
    drop_first(events, counters)
    s = who
    if kind == ARRIVE:
        for i in range(ways.legs[who]["begin"], ways.legs[who]["end"]):
            edges[ways.landing[i]]["arrived"] += 1
        for i in range(ways.legs[who]["begin"], ways.legs[who]["end"]):
            advance(
                stations, edges, incoming, needs, ways, tiles, line, queue, packets, events,
                counters, edges[ways.landing[i]]["target"], now, trace,
            )  # fmt: skip
        return
    if kind == KNOWN:
        learn(stations, edges, events, counters, who, now)
        return
    if kind == WAKE:
        stations[s]["woken"] = 0
    elif kind == FETCHED:
        stations[s]["fetched"] += 1
        leave_bus(stations, tiles, line, events, counters, stations[s]["tile"], now)
        give_room(stations, edges, incoming, needs, events, counters, s, now)
    elif kind == STORED:
        stations[s]["storing"] = 0
        stations[s]["stored"] += 1
        leave_bus(stations, tiles, line, events, counters, stations[s]["tile"], now)
    elif kind == FINISH:
        stations[s]["finished"] += 1
    elif kind == COMPUTED:
        stations[s]["queued"] = 0
        t = unit_of(stations, tiles, s)
        leave_vector(stations, tiles, queue, events, counters, t, now, trace)
        if stations[s]["after"] > 0:
            foresee(events, counters, now + stations[s]["after"], FINISH, s)
        else:
            stations[s]["finished"] += 1
    advance(
        stations, edges, incoming, needs, ways, tiles, line, queue, packets, events, counters,
        s, now, trace,
    )  # fmt: skip
