"""Channels of the next router for packets that ask, along one path or a tree of them."""

from __future__ import annotations

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.network.mesh import NEVER, Shape, lowest, port_towards
from neutrams.simulator.network.state import EAST, I32, LOCAL, NORTH, PORTS, WEST, Records


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
