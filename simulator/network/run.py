"""Send packets over a mesh of routers and see when they arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.simulator.network.kernel import run_clocks
from neutrams.simulator.network.mesh import NEVER, Shape
from neutrams.simulator.network.state import (
    ARRIVED,
    DUE,
    FLYING,
    I32,
    I64,
    NOW,
    PORTS,
    SENT,
    WAITING,
    WORKED,
    Records,
    Routers,
    State,
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
    """Flits that left it; each as often as it goes to routers."""
    worked: int
    """Routers that were looked at, summed over the clocks that were not skipped."""


class Network:
    """A mesh under way. It goes on from where it stopped, so that it can be stopped anywhere."""

    def __init__(
        self,
        routers: Routers,
        packets: Records,
        *,
        goals: Sequence[int] = (),
        skip: bool = True,
    ) -> None:
        """Prepare an empty mesh.

        Args:
            routers: How it is built.
            packets: What :func:`~neutrams.simulator.network.state.packets` returns.
            goals: Routers of packets that go to several, as their ``target`` and ``copies`` say;
                such a packet is no longer than a queue.
            skip: Whether clocks in which nothing can happen are jumped over; it changes no result.
        """
        self.routers, self._skip = routers, skip
        self.packets = packets.copy()
        self.state = fresh(routers)
        self._goals = np.array(goals, np.int32)
        self._shape = shape_of(routers)
        assert (self.packets["length"][self.packets["copies"] > 1] <= routers.depth).all()

    def run(self, until: int = NEVER) -> NetworkResult:
        """Go on until a clock, or until every packet has arrived.

        Raises:
            AssertionError: flits were lost, or wait for each other for ever: a fault of ours, which
                no traffic causes.
        """
        s = self.state
        run_clocks(
            s.scalars, s.nodes, s.ports, s.queues, s.flits, s.sources, s.active, s.returned,
            s.landed, self.packets, self._goals, self._shape, len(self.packets), until,
            self._skip, *scratch(),
        )  # fmt: skip
        check_conserved(s)
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


def scratch() -> tuple[I32, I32]:
    """Return room for what one router's inputs do in a clock."""
    return np.zeros(PORTS, np.int32), np.zeros(PORTS, np.int32)


def check_conserved(state: State) -> None:
    """Assert that no flit is lost or made up.

    An empty network has delivered each flit to every router that it goes to; before, what routers
    hold and what has arrived is no more than that, and just that where no flit is copied.
    """
    flying, due, arrived, sent = (int(state.scalars[n]) for n in (FLYING, DUE, ARRIVED, SENT))
    assert flying == state.nodes["held"].sum() == state.queues["count"].sum()
    assert arrived + flying <= due
    assert arrived + flying == due or (flying > 0 and due > sent)


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
