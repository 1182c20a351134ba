"""One clock after the other, of every router that holds a flit.

Routers are input-queued with virtual channels (Dally and Towles, Principles and Practices of
Interconnection Networks, chapters 16 to 19). From the clock in which a flit at the head of a queue
has passed the router's pipeline,

1. a head flit asks for a channel of the next router; each output gives free ones to queues, round
   robin. A packet to
   several routers goes along the tree of their paths: where it parts, it takes a channel on every
   branch at once, each with room for all of it, so that no branch ever waits for another;
2. a flit that has a channel and a credit may compete: each input names one of its queues, each
   output takes one input, both round robin;
3. the winner leaves; a flit on a tree stays until it has left on every branch. It competes in the
   next router ``link + pipeline`` clocks later, and its place is known to be free to the router
   before ``credit`` clocks later.

All that is sent takes effect in later clocks, so the order of routers changes nothing, and clocks
in which nothing can happen are skipped without a trace.
"""

from __future__ import annotations

from typing import NamedTuple

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.network.state import (
    ARRIVED,
    BORN,
    CREDITS,
    DUE,
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


@lean_kernel
def lowest(bits: int) -> int:
    """Return the place of the lowest bit that is set; one is."""
    place, left = 0, int(bits)
    if left & 0xFFFFFFFF == 0:
        place, left = 32, left >> 32
    if left & 0xFFFF == 0:
        place, left = place + 16, left >> 16
    if left & 0xFF == 0:
        place, left = place + 8, left >> 8
    if left & 0xF == 0:
        place, left = place + 4, left >> 4
    if left & 0x3 == 0:
        place, left = place + 2, left >> 2
    return place if left & 1 else place + 1


@lean_kernel
def port_towards(here: int, there: int, columns: int, columns_first: int) -> int:
    """Return the port by which a router sends on: row and column one after the other."""
    if here == there:
        return LOCAL
    dx = there % columns - here % columns
    if dx != 0 and (columns_first == 0 or there // columns == here // columns):
        return EAST if dx > 0 else WEST
    return SOUTH if there > here else NORTH


@lean_kernel
def neighbour(router: int, port: int, columns: int) -> int:
    """Return the router behind a port."""
    if port == EAST:
        return router + 1
    if port == WEST:
        return router - 1
    return router + columns if port == SOUTH else router - columns


@lean_kernel
def take_credits(scalars: I64, queues: Records, returned: I32, now: int) -> None:
    """Let outputs know of the places that fell free."""
    slot = now % returned.shape[0]
    number = returned[slot, 0]
    for i in range(number):
        queues[returned[slot, 1 + i]]["credits"] += 1
    scalars[CREDITS] -= number
    returned[slot, 0] = 0


@lean_kernel
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


@lean_kernel
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


@lean_kernel
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
    if queues[q]["count"] == 0 and queues[q]["granted"] < 0:
        nodes[r]["asking"] |= 1 << lane
    queues[q]["count"] += 1
    nodes[r]["held"] += 1
    nodes[r]["filled"] |= 1 << lane
    if nodes[r]["listed"] == 0:
        nodes[r]["listed"] = 1
        active[active[-1]] = r
        active[-1] += 1


@lean_kernel
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
            scalars[DUE] += packets[packet]["copies"]
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


@lean_kernel
def branches(packets: Records, goals: I32, shape: Shape, r: int, entry: int, packet: int) -> int:
    """Return the outputs by which a packet that came in at a port goes on, one bit for each.

    Of the routers it goes to, those behind this one on their paths from the source count.
    """
    turned, columns = packets[packet]["columns_first"], shape.columns
    if packets[packet]["copies"] == 1:
        return 1 << port_towards(r, packets[packet]["target"], columns, turned)
    found, first = 0, packets[packet]["target"]
    for i in range(first, first + packets[packet]["copies"]):
        there = goals[i]
        dx, dy = there % columns - r % columns, there // columns - r // columns
        if entry in (WEST, EAST):
            along, across, free = (dx if entry == WEST else -dx), dy, turned == 0
        else:
            along, across, free = (dy if entry == NORTH else -dy), dx, turned == 1
        if entry == LOCAL or (along >= 0 and (free or across == 0)):
            found |= 1 << port_towards(r, there, columns, turned)
    return found


@lean_kernel
def free_channel(
    ports: Records, queues: Records, shape: Shape, port: int, low: int, width: int, room: int
) -> int:
    """Return the next free channel of an output with that many places behind it; -1 for none."""
    channel = ports[port]["next_channel"]
    for _ in range(width):
        if ports[port]["taken"] & (1 << (low + channel)) == 0:
            behind = port * shape.channels + low + channel
            if room == 0 or queues[behind]["credits"] >= room:
                return int(channel)
        channel = channel + 1 if channel + 1 < width else 0
    return -1


@lean_kernel
def grant(
    ports: Records, queues: Records, packets: Records, shape: Shape, r: int, q: int, packet: int
) -> bool:
    """Give the packet at the head of a queue its outputs, and a channel of each if all have one."""
    turned = packets[packet]["columns_first"]
    width = shape.channels // shape.halves
    low = width if shape.halves == 2 and turned else 0
    tree, granted = packets[packet]["copies"] > 1, 0
    routes = queues[q]["routes"]
    while routes:
        out = lowest(routes)
        routes &= routes - 1
        room = packets[packet]["length"] if tree and out != LOCAL else 0
        channel = free_channel(ports, queues, shape, r * PORTS + out, low, width, room)
        if channel < 0:
            return False
        granted |= (low + channel) << (4 * out)
    routes = queues[q]["routes"]
    while routes:
        out = lowest(routes)
        routes &= routes - 1
        channel = (granted >> (4 * out)) & 15
        port = r * PORTS + out
        ports[port]["taken"] |= 1 << channel
        ports[port]["next_channel"] = channel - low + 1 if channel - low + 1 < width else 0
    queues[q]["granted"] = granted
    return True


@lean_kernel
def hand_out(
    nodes: Records, ports: Records, queues: Records, flits: Records, packets: Records, goals: I32,
    shape: Shape, r: int, now: int,
) -> int:  # fmt: skip
    """Give channels to packets that ask for one; each output serves the queues in turn.

    Returns:
        The first later clock in which one that asks becomes ready.
    """
    soonest, ready, outputs = NEVER, 0, 0
    asking = nodes[r]["asking"]
    while asking:
        lane = lowest(asking)
        asking &= asking - 1
        q = r * PORTS * shape.channels + lane
        flit = q * shape.depth + queues[q]["head"]
        if flits[flit]["ready"] > now:
            soonest = min(soonest, flits[flit]["ready"])
            continue
        if queues[q]["routes"] == 0:
            entry, packet = lane // shape.channels, flits[flit]["packet"]
            routes = branches(packets, goals, shape, r, entry, packet)
            queues[q]["routes"] = queues[q]["left"] = routes
        ready |= 1 << lane
        outputs |= queues[q]["routes"]
    while ready:
        out = lowest(outputs)
        outputs &= outputs - 1
        ready = serve(nodes, ports, queues, flits, packets, shape, r, out, ready)
    return soonest


@lean_kernel
def serve(
    nodes: Records, ports: Records, queues: Records, flits: Records, packets: Records, shape: Shape,
    r: int, out: int, ready: int,
) -> int:  # fmt: skip
    """Give channels to the queues that want an output; return those that are left.

    A packet on a tree is served by the first of its outputs.
    """
    before = (1 << ports[r * PORTS + out]["next_lane"]) - 1
    lanes = PORTS * shape.channels
    for turn in range(2):
        left = ready & (before if turn else ~before)
        while left:
            lane = lowest(left)
            left &= left - 1
            q = r * lanes + lane
            if (queues[q]["routes"] >> out) & 1 == 0:
                continue
            ready ^= 1 << lane
            packet = flits[q * shape.depth + queues[q]["head"]]["packet"]
            if grant(ports, queues, packets, shape, r, q, packet):
                nodes[r]["asking"] ^= 1 << lane
                ports[r * PORTS + out]["next_lane"] = lane + 1 if lane + 1 < lanes else 0
    return ready


@lean_kernel
def passable(queues: Records, shape: Shape, r: int, q: int) -> int:
    """Return the outputs that the flit at the head of a queue has yet to take, and may."""
    left, open_ = queues[q]["left"], 0
    while left:
        out = lowest(left)
        left &= left - 1
        channel = (queues[q]["granted"] >> (4 * out)) & 15
        behind = (r * PORTS + out) * shape.channels + channel
        if out == LOCAL or queues[behind]["credits"] > 0:
            open_ |= 1 << out
    return open_


@lean_kernel
def nominate(
    nodes: Records, ports: Records, queues: Records, flits: Records, packets: Records, goals: I32,
    shape: Shape, r: int, now: int, chosen: I32, wanted: I32,
) -> int:  # fmt: skip
    """Hand out channels, and name the queue of each input that competes, and for which outputs.

    Returns:
        The first later clock in which a flit at the head of a queue becomes ready; -1 where a
        channel was handed out, so that the router is not at rest.
    """
    soonest, asking = NEVER, nodes[r]["asking"]
    if asking:
        soonest = hand_out(nodes, ports, queues, flits, packets, goals, shape, r, now)
    changed = nodes[r]["asking"] != asking
    filled = nodes[r]["filled"] & ~nodes[r]["asking"]
    for port in range(PORTS):
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
                elif chosen[port] < 0:
                    wanted[port] = passable(queues, shape, r, q)
                    if wanted[port]:
                        chosen[port] = q
            channel = channel + 1 if channel + 1 < shape.channels else 0
    return -1 if changed else soonest


@lean_kernel
def give_back(
    scalars: I64, returned: I32, shape: Shape, router: int, port: int, channel: int, now: int
) -> None:
    """Send a router a credit for a channel of its output."""
    slot = (now + shape.credit) % returned.shape[0]
    number = returned[slot, 0] + 1
    returned[slot, 0] = number
    returned[slot, number] = (router * PORTS + port) * shape.channels + channel
    scalars[CREDITS] += 1


@lean_kernel
def leave(
    scalars: I64, nodes: Records, ports: Records, queues: Records, flits: Records, active: I32,
    returned: I32, landed: I32, packets: Records, shape: Shape, r: int, q: int, out: int, now: int,
) -> None:  # fmt: skip
    """Let the flit at the head of a queue cross the switch; ports that face differ in one bit."""
    flit = q * shape.depth + queues[q]["head"]
    packet, rest = flits[flit]["packet"], flits[flit]["rest"]
    channel = (queues[q]["granted"] >> (4 * out)) & 15
    ports[r * PORTS + out]["load"] += 1
    if out == LOCAL:
        scalars[ARRIVED] += 1
        if rest == 0:
            packets[packet]["left"] -= 1
            if packets[packet]["left"] == 0:
                packets[packet]["arrived"] = now + 1
            landed[landed[-1, 0], 0] = packet
            landed[landed[-1, 0], 1] = r
            landed[-1, 0] += 1
    else:
        scalars[FLYING] += 1
        queues[(r * PORTS + out) * shape.channels + channel]["credits"] -= 1
        there = neighbour(r, out, shape.columns)
        entry = (out ^ 1) * shape.channels + channel
        ready = now + shape.link + shape.pipeline
        put(nodes, queues, flits, active, shape, there, entry, packet, rest, ready)
    if rest == 0:
        ports[r * PORTS + out]["taken"] ^= 1 << channel
    queues[q]["left"] ^= 1 << out
    if queues[q]["left"] == 0:
        queues[q]["left"] = queues[q]["routes"]
        drop(scalars, nodes, queues, returned, shape, r, q, rest, now)


@lean_kernel
def drop(
    scalars: I64, nodes: Records, queues: Records, returned: I32, shape: Shape, r: int, q: int,
    rest: int, now: int,
) -> None:  # fmt: skip
    """Take the flit at the head of a queue out, once it has left by all of its outputs."""
    lane = q - r * PORTS * shape.channels
    port = lane // shape.channels
    scalars[FLYING] -= 1
    queues[q]["head"] = queues[q]["head"] + 1 if queues[q]["head"] + 1 < shape.depth else 0
    queues[q]["count"] -= 1
    nodes[r]["held"] -= 1
    if queues[q]["count"] == 0:
        nodes[r]["filled"] ^= 1 << lane
    if port != LOCAL:
        back = neighbour(r, port, shape.columns)
        channel_in = lane - port * shape.channels
        give_back(scalars, returned, shape, back, port ^ 1, channel_in, now)
    if rest == 0:
        queues[q]["routes"] = queues[q]["left"] = 0
        queues[q]["granted"] = -1
        if queues[q]["count"] > 0:
            nodes[r]["asking"] |= 1 << lane


@lean_kernel
def winner(ports: Records, r: int, out: int, chosen: I32, wanted: I32) -> int:
    """Return the input whose turn it is among those that want an output; -1 for none."""
    port = ports[r * PORTS + out]["next_port"]
    for _ in range(PORTS):
        if chosen[port] >= 0 and (wanted[port] >> out) & 1:
            return int(port)
        port = port + 1 if port + 1 < PORTS else 0
    return -1


@lean_kernel
def cross(
    scalars: I64, nodes: Records, ports: Records, queues: Records, flits: Records, active: I32,
    returned: I32, landed: I32, packets: Records, shape: Shape, r: int, now: int, chosen: I32,
    wanted: I32,
) -> bool:  # fmt: skip
    """Let each output of a router take a flit of one of the inputs that want it."""
    outputs = 0
    for port in range(PORTS):
        if chosen[port] >= 0:
            outputs |= wanted[port]
    moved = outputs != 0
    while outputs:
        out = lowest(outputs)
        outputs &= outputs - 1
        port = winner(ports, r, out, chosen, wanted)
        ports[r * PORTS + out]["next_port"] = port + 1 if port + 1 < PORTS else 0
        channel = chosen[port] - (r * PORTS + port) * shape.channels + 1
        ports[r * PORTS + port]["next_queue"] = channel if channel < shape.channels else 0
        leave(
            scalars, nodes, ports, queues, flits, active, returned, landed, packets, shape, r,
            chosen[port], out, now,
        )  # fmt: skip
    return moved


@lean_kernel
def clock(
    scalars: I64, nodes: Records, ports: Records, queues: Records, flits: Records, sources: I32,
    active: I32, returned: I32, landed: I32, packets: Records, goals: I32, shape: Shape, known: int,
    now: int, chosen: I32, wanted: I32,
) -> int:  # fmt: skip
    """Do all that happens in one clock, and list the packets that have landed by its end.

    Returns:
        The next clock in which anything may happen; ``NEVER`` where nothing will.
    """
    landed[-1, 0] = 0
    take_credits(scalars, queues, returned, now)
    line_up(scalars, nodes, sources, packets, known, now)
    soonest = packets[scalars[BORN]]["born"] if scalars[BORN] < known else NEVER
    moved = send(scalars, nodes, queues, flits, sources, active, packets, shape, now)
    number = active[-1]
    scalars[WORKED] += number
    for i in range(number):
        r = active[i]
        then = nominate(
            nodes, ports, queues, flits, packets, goals, shape, r, now, chosen, wanted
        )  # fmt: skip
        moved |= cross(
            scalars, nodes, ports, queues, flits, active, returned, landed, packets, shape, r, now,
            chosen, wanted,
        )  # fmt: skip
        moved |= then < 0
        soonest = min(soonest, then)
    rest_idle(nodes, active)
    if moved:
        scalars[MOVED] = now
    return now + 1 if moved or scalars[CREDITS] > 0 else soonest


@lean_kernel
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


@lean_kernel
def run_clocks(
    scalars: I64, nodes: Records, ports: Records, queues: Records, flits: Records, sources: I32,
    active: I32, returned: I32, landed: I32, packets: Records, goals: I32, shape: Shape, known: int,
    until: int, skip: bool, chosen: I32, wanted: I32,
) -> None:  # fmt: skip
    """Go on until a clock, or until nothing is left to happen to the first ``known`` packets."""
    now = scalars[NOW]
    while now < until:
        then = clock(
            scalars, nodes, ports, queues, flits, sources, active, returned, landed, packets, goals,
            shape, known, now, chosen, wanted,
        )  # fmt: skip
        if then == NEVER:
            break
        now = min(then, until) if skip else now + 1
    scalars[NOW] = now
