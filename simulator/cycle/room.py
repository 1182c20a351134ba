"""What a window waits for on its edges, and word of places that fall free."""

from __future__ import annotations

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.cycle.agenda import KNOWN, WAKE, foresee
from neutrams.simulator.network.state import I32, I64, Records


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
