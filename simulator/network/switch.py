"""Flits compete for the outputs of a router, and leave."""

from __future__ import annotations

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.network.channels import hand_out
from neutrams.simulator.network.mesh import NEVER, Shape, lowest, neighbour
from neutrams.simulator.network.sources import put
from neutrams.simulator.network.state import (
    ARRIVED,
    CREDITS,
    FLYING,
    I32,
    I64,
    LOCAL,
    PORTS,
    Records,
)


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
