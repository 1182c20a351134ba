"""Packets come from their sources into the routers, flit by flit."""

from __future__ import annotations

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.network.mesh import Shape
from neutrams.simulator.network.state import (
    BORN,
    DUE,
    FLYING,
    I32,
    I64,
    LOCAL,
    PORTS,
    SENT,
    WAITING,
    Records,
)


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
