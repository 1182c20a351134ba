"""One clock after the other, of every router that holds a flit.

Routers are input-queued with virtual channels (Dally and Towles, Principles and Practices of
Interconnection Networks, chapters 16 to 19). From the clock in which a flit at the head of a queue
has passed the router's pipeline,

1. a head flit asks for a channel of the next router, and takes a free one, round robin;
2. a flit that has a channel and a credit may compete: each input names one of its queues, each
   output takes one input, both round robin;
3. the winner leaves. It competes in the next router ``link + pipeline`` clocks later, and its place
   is known to be free to the router before ``credit`` clocks later.

All that is sent takes effect in later clocks, so the order of routers changes nothing, and clocks
in which nothing can happen are skipped without a trace.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neutrams.ir.kernel import kernel
from neutrams.simulator.network.state import (
    ARRIVED,
    BORN,
    CREDITS,
    EAST,
    FLYING,
    I32,
    I64,
    LOCAL,
    MOVED,
    NORTH,
    NOW,
    PORTS,
    SENT,
    SOUTH,
    WAITING,
    WEST,
    WORKED,
    Records,
)

NEVER = 1 << 62


class Shape(NamedTuple):
    """The numbers that :class:`~neutrams.simulator.network.state.Routers` stand for."""

    columns: int
    channels: int
    depth: int
    pipeline: int
    link: int
    credit: int
    halves: int
    """Parts that the channels are divided in, one for each order of directions."""


@kernel
def port_towards(here: int, there: int, columns: int, columns_first: int) -> int:
    """Return the port by which a router sends on: row and column one after the other."""
    if here == there:
        return LOCAL
    dx = there % columns - here % columns
    if dx != 0 and (columns_first == 0 or there // columns == here // columns):
        return EAST if dx > 0 else WEST
    return SOUTH if there > here else NORTH


@kernel
def neighbour(router: int, port: int, columns: int) -> int:
    """Return the router behind a port."""
    if port == EAST:
        return router + 1
    if port == WEST:
        return router - 1
    return router + columns if port == SOUTH else router - columns


@kernel
def take_credits(scalars: I64, queues: Records, returned: I32, now: int) -> None:
    """Let outputs know of the places that fell free."""
    slot = now % returned.shape[0]
    number = returned[slot, 0]
    for i in range(number):
        queues[returned[slot, 1 + i]]["credits"] += 1
    scalars[CREDITS] -= number
    returned[slot, 0] = 0


@kernel
def line_up(
    scalars: I64, nodes: Records, sources: I32, packets: Records, known: int, now: int
) -> None:
    """Put packets whose clock of birth has come at the end of their source's line."""
    index = scalars[BORN]
    while index < known and packets[index]["born"] <= now:
        r = packets[index]["source"]
        if nodes[r]["first"] < 0:
            nodes[r]["first"] = index
            sources[sources[-1]] = r
            sources[-1] += 1
        else:
            packets[nodes[r]["last"]]["following"] = index
        nodes[r]["last"] = index
        scalars[WAITING] += 1
        index += 1
    scalars[BORN] = index


@kernel
def emptiest(queues: Records, shape: Shape, r: int, columns_first: int) -> int:
    """Return the local queue of a router with the most room; -1 where none has any."""
    width = shape.channels // shape.halves
    low = width if shape.halves == 2 and columns_first else 0
    best, least = -1, shape.depth
    for channel in range(low, low + width):
        q = (r * PORTS + LOCAL) * shape.channels + channel
        if queues[q]["count"] < least:
            best, least = q, queues[q]["count"]
    return best


@kernel
def put(
    nodes: Records, queues: Records, flits: Records, active: I32, shape: Shape, r: int, lane: int,
    packet: int, rest: int, ready: int,
) -> None:  # fmt: skip
    """Add a flit to a queue, and its router to those that work."""
    q = r * PORTS * shape.channels + lane
    place = queues[q]["head"] + queues[q]["count"]
    flit = q * shape.depth + (place if place < shape.depth else place - shape.depth)
    flits[flit]["packet"] = packet
    flits[flit]["rest"] = rest
    flits[flit]["ready"] = ready
    queues[q]["count"] += 1
    nodes[r]["held"] += 1
    nodes[r]["filled"] |= 1 << lane
    if nodes[r]["listed"] == 0:
        nodes[r]["listed"] = 1
        active[active[-1]] = r
        active[-1] += 1


@kernel
def send(
    scalars: I64, nodes: Records, queues: Records, flits: Records, sources: I32, active: I32,
    packets: Records, shape: Shape, now: int,
) -> bool:  # fmt: skip
    """Let each source with packets send one flit into its router; say whether any did."""
    moved, kept = False, 0
    for i in range(sources[-1]):
        r = sources[i]
        packet = nodes[r]["first"]
        if nodes[r]["sent"] == 0:
            nodes[r]["lane"] = emptiest(queues, shape, r, packets[packet]["columns_first"])
        q = nodes[r]["lane"]
        if q >= 0 and queues[q]["count"] < shape.depth:
            moved = True
            nodes[r]["sent"] += 1
            scalars[SENT] += 1
            scalars[FLYING] += 1
            rest = packets[packet]["length"] - nodes[r]["sent"]
            lane = q - r * PORTS * shape.channels
            ready = now + shape.pipeline - 1
            put(nodes, queues, flits, active, shape, r, lane, packet, rest, ready)
            if rest == 0:
                nodes[r]["sent"] = 0
                nodes[r]["first"] = packets[packet]["following"]
                scalars[WAITING] -= 1
        if nodes[r]["first"] >= 0:
            sources[kept] = r
            kept += 1
    sources[-1] = kept
    return moved


@kernel
def grant(
    ports: Records, queues: Records, packets: Records, shape: Shape, r: int, q: int, packet: int
) -> bool:
    """Give the packet at the head of a queue its output, and a channel if one is free."""
    turned = packets[packet]["columns_first"]
    if queues[q]["route"] < 0:
        there = packets[packet]["target"]
        queues[q]["route"] = port_towards(r, there, shape.columns, turned)
    width = shape.channels // shape.halves
    low = width if shape.halves == 2 and turned else 0
    port = r * PORTS + queues[q]["route"]
    channel = ports[port]["next_channel"]
    for _ in range(width):
        following = channel + 1 if channel + 1 < width else 0
        bit = 1 << (low + channel)
        if ports[port]["taken"] & bit == 0:
            ports[port]["taken"] |= bit
            ports[port]["next_channel"] = following
            queues[q]["granted"] = low + channel
            return True
        channel = following
    return False


@kernel
def nominate(
    nodes: Records, ports: Records, queues: Records, flits: Records, packets: Records,
    shape: Shape, r: int, now: int, chosen: I32,
) -> int:  # fmt: skip
    """Hand out channels, and name the queue of each input that competes.

    Returns:
        The first later clock in which a flit at the head of a queue becomes ready; -1 where a
        channel was handed out, so that the router is not at rest.
    """
    soonest, changed = NEVER, False
    filled = nodes[r]["filled"]
    port = now % PORTS
    for _ in range(PORTS):
        port = port + 1 if port + 1 < PORTS else 0
        chosen[port] = -1
        lanes = (filled >> (port * shape.channels)) & ((1 << shape.channels) - 1)
        base = (r * PORTS + port) * shape.channels
        channel = ports[r * PORTS + port]["next_queue"]
        while lanes:
            q = base + channel
            if (lanes >> channel) & 1:
                lanes ^= 1 << channel
                flit = q * shape.depth + queues[q]["head"]
                if flits[flit]["ready"] > now:
                    soonest = min(soonest, flits[flit]["ready"])
                else:
                    if queues[q]["granted"] < 0:
                        packet = flits[flit]["packet"]
                        changed |= grant(ports, queues, packets, shape, r, q, packet)
                    if chosen[port] < 0 and queues[q]["granted"] >= 0:
                        out = (r * PORTS + queues[q]["route"]) * shape.channels
                        free = queues[out + queues[q]["granted"]]["credits"]
                        if queues[q]["route"] == LOCAL or free > 0:
                            chosen[port] = q
            channel = channel + 1 if channel + 1 < shape.channels else 0
    return -1 if changed else soonest


@kernel
def give_back(
    scalars: I64, returned: I32, shape: Shape, router: int, port: int, channel: int, now: int
) -> None:
    """Send a router a credit for a channel of its output."""
    slot = (now + shape.credit) % returned.shape[0]
    number = returned[slot, 0] + 1
    returned[slot, 0] = number
    returned[slot, number] = (router * PORTS + port) * shape.channels + channel
    scalars[CREDITS] += 1


@kernel
def leave(
    scalars: I64, nodes: Records, ports: Records, queues: Records, flits: Records, active: I32,
    returned: I32, landed: I32, packets: Records, shape: Shape, r: int, q: int, now: int,
) -> None:  # fmt: skip
    """Let the flit at the head of a queue cross the switch; ports that face differ in one bit."""
    flit = q * shape.depth + queues[q]["head"]
    packet, rest = flits[flit]["packet"], flits[flit]["rest"]
    lane = q - r * PORTS * shape.channels
    port = lane // shape.channels
    out, channel = queues[q]["route"], queues[q]["granted"]
    queues[q]["head"] = queues[q]["head"] + 1 if queues[q]["head"] + 1 < shape.depth else 0
    queues[q]["count"] -= 1
    nodes[r]["held"] -= 1
    if queues[q]["count"] == 0:
        nodes[r]["filled"] ^= 1 << lane
    ports[r * PORTS + out]["load"] += 1
    if out == LOCAL:
        scalars[FLYING] -= 1
        scalars[ARRIVED] += 1
        if rest == 0:
            packets[packet]["arrived"] = now + 1
            landed[landed[-1]] = packet
            landed[-1] += 1
    else:
        queues[(r * PORTS + out) * shape.channels + channel]["credits"] -= 1
        there = neighbour(r, out, shape.columns)
        entry = (out ^ 1) * shape.channels + channel
        ready = now + shape.link + shape.pipeline
        put(nodes, queues, flits, active, shape, there, entry, packet, rest, ready)
    if port != LOCAL:
        back = neighbour(r, port, shape.columns)
        channel_in = lane - port * shape.channels
        give_back(scalars, returned, shape, back, port ^ 1, channel_in, now)
    if rest == 0:
        ports[r * PORTS + out]["taken"] ^= 1 << channel
        queues[q]["route"] = -1
        queues[q]["granted"] = -1


@kernel
def arbitrate(ports: Records, queues: Records, r: int, chosen: I32) -> None:
    """Leave of the inputs that want the same output the one whose turn it is."""
    for port in range(PORTS):
        for other in range(port + 1, PORTS):
            if chosen[port] < 0 or chosen[other] < 0:
                continue
            out = queues[chosen[port]]["route"]
            if queues[chosen[other]]["route"] != out:
                continue
            first = ports[r * PORTS + out]["next_port"]
            loses = (port - first) % PORTS > (other - first) % PORTS
            chosen[port if loses else other] = -1


@kernel
def clock(
    scalars: I64, nodes: Records, ports: Records, queues: Records, flits: Records, sources: I32,
    active: I32, returned: I32, landed: I32, packets: Records, shape: Shape, known: int, now: int,
    chosen: I32,
) -> int:  # fmt: skip
    """Do all that happens in one clock, and list the packets that have landed by its end.

    Returns:
        The next clock in which anything may happen; ``NEVER`` where nothing will.
    """
    landed[-1] = 0
    take_credits(scalars, queues, returned, now)
    line_up(scalars, nodes, sources, packets, known, now)
    soonest = packets[scalars[BORN]]["born"] if scalars[BORN] < known else NEVER
    moved = send(scalars, nodes, queues, flits, sources, active, packets, shape, now)
    number = active[-1]
    scalars[WORKED] += number
    for i in range(number):
        r = active[i]
        then = nominate(nodes, ports, queues, flits, packets, shape, r, now, chosen)
        arbitrate(ports, queues, r, chosen)
        for port in range(PORTS):
            q = chosen[port]
            if q < 0:
                continue
            out = r * PORTS + queues[q]["route"]
            ports[out]["next_port"] = port + 1 if port + 1 < PORTS else 0
            channel = q - (r * PORTS + port) * shape.channels + 1
            ports[r * PORTS + port]["next_queue"] = channel if channel < shape.channels else 0
            leave(
                scalars, nodes, ports, queues, flits, active, returned, landed, packets, shape,
                r, q, now,
            )  # fmt: skip
            moved = True
        moved |= then < 0
        soonest = min(soonest, then)
    rest_idle(nodes, active)
    if moved:
        scalars[MOVED] = now
    return now + 1 if moved or scalars[CREDITS] > 0 else soonest


@kernel
def rest_idle(nodes: Records, active: I32) -> None:
    """Strike routers without flits off the list of those that work."""
    kept = 0
    for i in range(active[-1]):
        r = active[i]
        if nodes[r]["held"] > 0:
            active[kept] = r
            kept += 1
        else:
            nodes[r]["listed"] = 0
    active[-1] = kept


@kernel
def run_clocks(
    scalars: I64, nodes: Records, ports: Records, queues: Records, flits: Records, sources: I32,
    active: I32, returned: I32, landed: I32, packets: Records, shape: Shape, known: int, until: int,
    skip: bool,
) -> None:  # fmt: skip
    """Go on until a clock, or until nothing is left to happen to the first ``known`` packets."""
    chosen = np.empty(PORTS, np.int32)
    now = scalars[NOW]
    while now < until:
        then = clock(
            scalars, nodes, ports, queues, flits, sources, active, returned, landed, packets,
            shape, known, now, chosen,
        )  # fmt: skip
        if then == NEVER:
            break
        now = min(then, until) if skip else now + 1
    scalars[NOW] = now
