"""Whether the state of a network, read from a file, is one that kernels may work on.

Kernels trust every number that they find: one out of range would be a place outside of an array.
"""

from __future__ import annotations

import numpy as np

from neutrams.simulator.network.mesh import Shape
from neutrams.simulator.network.state import (
    BORN,
    EAST,
    FLYING,
    I32,
    I64,
    LOCAL,
    NORTH,
    PORTS,
    SOUTH,
    WEST,
    Records,
    State,
)

MANY = 1 << 31


def within(records: Records, what: str, **bounds: tuple[int, int]) -> None:
    """Refuse a field with a value below its first bound, or not below the second."""
    for name, (low, end) in bounds.items():
        values = records[name]
        if values.size and not (low <= values.min() and values.max() < end):
            raise ValueError(f"`{name}` of {what} is out of range")


def check_packets(packets: Records, routers: int, count: int) -> None:
    """Refuse packets of nowhere; ``count`` are known, and one may follow another.

    Where those with several goals go is known to who sent them.
    """
    place, some = (0, routers), (1, MANY)
    within(packets, "a packet", source=place, length=some, columns_first=(0, 2), copies=some)
    within(packets[packets["copies"] == 1], "a packet", target=place)
    within(packets, "a packet", following=(-1, count))


def check_network(state: State, shape: Shape, packets: Records) -> None:
    """Refuse a state in which a number is out of range, or places for flits are lost or gained.

    Raises:
        ValueError: what is wrong.
    """
    count, routers = max(len(packets), 1), len(state.nodes)
    queues, channels, depth = len(state.queues), shape.channels, shape.depth
    some, packet = (0, MANY), (-1, count)
    within(state.nodes, "a router", held=some, listed=(0, 2), sent=some, lane=(-1, queues))
    within(state.nodes, "a router", filled=(0, 1 << PORTS * channels), first=packet, last=packet)
    within(state.ports, "a port", taken=(0, 1 << channels), next_channel=(0, channels))
    within(state.ports, "a port", next_port=(0, PORTS), next_queue=(0, channels))
    within(state.ports, "a port", next_lane=(0, PORTS * channels))
    within(state.queues, "a queue", head=(0, depth), count=(0, depth + 1), credits=(0, depth + 1))
    within(state.queues, "a queue", routes=(0, 1 << PORTS), granted=(-1, 1 << 4 * PORTS))
    within(state.flits, "a flit", packet=(0, count), rest=some)
    if not 0 <= state.scalars[BORN] <= len(packets) or state.scalars.min() < 0:
        raise ValueError("a number of the network is out of range")
    _check_lists(state, routers, count, queues)
    _check_fill(state, shape)
    _check_credits(state, shape)


def _check_lists(state: State, routers: int, count: int, queues: int) -> None:
    for name, held, known in (
        ("sources", state.sources, state.nodes["first"] >= 0),
        ("active", state.active, state.nodes["listed"] > 0),
    ):
        if not 0 <= held[-1] <= routers:
            raise ValueError(f"`{name}` is longer than it can be")
        if sorted(held[: held[-1]].tolist()) != np.flatnonzero(known).tolist():
            raise ValueError(f"`{name}` are not the routers that they should be")
    landed = np.roll(state.landed[:, 0], 1)[None]
    for rows, end in ((state.returned, queues), (landed, count)):
        if rows.min() < 0 or rows[:, 1:].max(initial=0) >= end:
            raise ValueError("a list of credits or packets is out of range")
        if rows[:, 0].max() >= rows.shape[1]:
            raise ValueError("a list of credits or packets is longer than it can be")


def _check_fill(state: State, shape: Shape) -> None:
    """Flits are counted three times: by queue, by router, and in all."""
    by_lane = state.queues["count"].reshape(len(state.nodes), -1)
    bits = (state.nodes["filled"][:, None] >> np.arange(by_lane.shape[1])) & 1
    if ((by_lane > 0) != bits).any() or (by_lane.sum(1) != state.nodes["held"]).any():
        raise ValueError("routers hold other flits than their queues")
    granted = state.queues["granted"].reshape(len(state.nodes), -1)
    asking = (state.nodes["asking"][:, None] >> np.arange(by_lane.shape[1])) & 1
    if (((by_lane > 0) & (granted < 0)) != asking).any():
        raise ValueError("packets ask for channels that they have")
    if by_lane.sum() != state.scalars[FLYING]:
        raise ValueError("flits are lost")


def _check_credits(state: State, shape: Shape) -> None:
    """Places behind an output are free, filled, or known to be free soon; none is off the mesh."""
    routers, channels = len(state.nodes), shape.channels
    number = np.arange(len(state.queues))
    router, port = number // (PORTS * channels), number // channels % PORTS
    behind = _behind(router, port, routers, shape.columns)
    back = (behind * PORTS + (port ^ 1)) * channels + number % channels
    inner = (port != LOCAL) & (behind >= 0)
    coming: I64 = np.zeros(len(number), np.int64)
    for row in state.returned:
        np.add.at(coming, row[1 : 1 + row[0]], 1)
    places = state.queues["credits"] + coming
    places[inner] += state.queues["count"][back[inner]]
    if (places[inner] != shape.depth).any():
        raise ValueError("places for flits are lost or gained")
    routes, granted = state.queues["routes"], state.queues["granted"]
    if (state.queues["left"] & ~routes).any() or (granted[routes == 0] >= 0).any():
        raise ValueError("a flit leaves by an output that its packet does not take")
    for out in range(PORTS):
        used = (routes >> out) & 1 > 0
        there = np.full(int(used.sum()), out)
        if (_behind(router[used], there, routers, shape.columns) < 0).any():
            raise ValueError("a flit is on its way off the mesh")
        if ((granted[used & (granted >= 0)] >> 4 * out) & 15 >= channels).any():
            raise ValueError("a packet holds a channel that is none")


def _behind(router: I64, port: I32 | I64, routers: int, columns: int) -> I64:
    """Return the router behind each port, its own for the local port, -1 off the mesh."""
    x, y = router % columns, router // columns
    x = x + (port == EAST) - (port == WEST)
    y = y + (port == SOUTH) - (port == NORTH)
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < routers // columns)
    found: I64 = np.where(inside, y * columns + x, -1)
    return found
