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

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.cycle.agenda import (
    ARRIVE,
    COMPUTED,
    FETCHED,
    FINISH,
    KNOWN,
    STORED,
    WAKE,
    drop_first,
    foresee,
)
from neutrams.simulator.cycle.mail import Ways, send
from neutrams.simulator.cycle.room import give_room, learn, ready
from neutrams.simulator.cycle.units import (
    ask_bus,
    ask_vector,
    leave_bus,
    leave_vector,
    start,
    unit_of,
)
from neutrams.simulator.network.state import I32, I64, Records


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
