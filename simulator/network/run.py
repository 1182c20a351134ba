"""Send packets over a mesh of routers and see when they arrive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.simulator.network.kernel import NEVER, Shape, run_clocks
from neutrams.simulator.network.state import (
    ARRIVED,
    FLYING,
    I64,
    NOW,
    PORTS,
    SENT,
    WAITING,
    WORKED,
    Records,
    Routers,
    fresh,
)


@dataclass(frozen=True, slots=True)
class NetworkResult:
    """What became of the packets so far."""

    clocks: int
    arrived: I64
    """``[packets]`` clock by which each has left the network; -1 for those still under way."""
    latency: I64
    """``[packets]`` clocks from birth to ``arrived``; -1 likewise."""
    load: I64
    """``[rows, columns, 5]`` flits that left each router: east, west, north, south, to its node."""
    sent: int
    """Flits that entered the network."""
    delivered: int
    """Flits that left it."""
    worked: int
    """Routers that were looked at, summed over the clocks that were not skipped."""


class Network:
    """A mesh under way. It goes on from where it stopped, so that it can be stopped anywhere."""

    def __init__(self, routers: Routers, packets: Records, *, skip: bool = True) -> None:
        """Prepare an empty mesh.

        Args:
            routers: How it is built.
            packets: What :func:`~neutrams.simulator.network.state.packets` returns.
            skip: Whether clocks in which nothing can happen are jumped over; it changes no result.
        """
        self.routers, self._skip = routers, skip
        self.packets = packets.copy()
        self.state = fresh(routers)
        self._shape = shape_of(routers)

    def run(self, until: int = NEVER) -> NetworkResult:
        """Go on until a clock, or until every packet has arrived.

        Raises:
            AssertionError: flits were lost, or wait for each other for ever: a fault of ours, which
                no traffic causes.
        """
        s = self.state
        run_clocks(
            s.scalars, s.nodes, s.ports, s.queues, s.flits, s.sources, s.active, s.returned,
            s.landed, self.packets, self._shape, len(self.packets), until, self._skip,
        )  # fmt: skip
        assert s.scalars[SENT] == s.scalars[ARRIVED] + s.scalars[FLYING]
        assert s.scalars[FLYING] == s.nodes["held"].sum() == s.queues["count"].sum()
        if s.scalars[NOW] < until:
            assert s.scalars[FLYING] == 0 == s.scalars[WAITING], "flits wait for each other"
        return self.result()

    def result(self) -> NetworkResult:
        """Return what became of the packets so far."""
        state, mesh = self.state, self.routers.mesh
        arrived = self.packets["arrived"].copy()
        latency = np.where(arrived < 0, -1, arrived - self.packets["born"])
        return NetworkResult(
            clocks=int(state.scalars[NOW]),
            arrived=arrived,
            latency=latency,
            load=state.ports["load"].reshape(mesh.rows, mesh.columns, PORTS).copy(),
            sent=int(state.scalars[SENT]),
            delivered=int(state.scalars[ARRIVED]),
            worked=int(state.scalars[WORKED]),
        )


def shape_of(routers: Routers) -> Shape:
    """Return routers as the numbers that the kernel takes."""
    return Shape(
        columns=routers.mesh.columns,
        channels=routers.virtual_channels,
        depth=routers.depth,
        pipeline=routers.pipeline,
        link=routers.link,
        credit=routers.credit,
        halves=2 if routers.routing == "o1turn" else 1,
    )


def zero_load(routers: Routers, packets: Records) -> NDArray[np.int64]:
    """Return ``[packets]``: clocks that each would take alone.

    Its head crosses ``hops + 1`` routers and ``hops`` links, and the rest follows flit by flit.
    """
    columns = routers.mesh.columns
    apart_x = np.abs(packets["source"] % columns - packets["target"] % columns)
    apart_y = np.abs(packets["source"] // columns - packets["target"] // columns)
    hops = (apart_x + apart_y).astype(np.int64)
    crossed = (hops + 1) * routers.pipeline + hops * routers.link
    total: NDArray[np.int64] = crossed + packets["length"] - 1
    return total
