"""How results leave a station, packet by packet, and arrive where they are read."""

from __future__ import annotations

from typing import NamedTuple

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.cycle.agenda import ARRIVE, foresee
from neutrams.simulator.cycle.state import DONE, PACKETS
from neutrams.simulator.network.state import I32, I64, Records


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
