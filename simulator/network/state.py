"""What the network on chip is made of, and all that changes in it, as arrays of records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.traffic import Mesh

Records = NDArray[Any]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

EAST, WEST, NORTH, SOUTH, LOCAL = range(5)
PORTS = 5
MOST_CHANNELS = 12
"""Virtual channels of a port, at most: the queues of a router are the bits of one number."""

NOW, BORN, WAITING, FLYING, SENT, DUE, ARRIVED, CREDITS, MOVED, WORKED = range(10)
"""Places among the scalars: the clock; packets whose clock of birth has come; packets born and not
wholly sent; flits in routers; flits sent; the same, each once for every router it goes to; flits
arrived; credits under way; the last clock in which anything moved; routers that held a flit, summed
over clocks."""
SCALARS = 10

Routing = Literal["xy", "yx", "o1turn"]


@dataclass(frozen=True, slots=True)
class Routers:
    """How the routers of a mesh are built; all times in clocks."""

    mesh: Mesh
    virtual_channels: int = 4
    depth: int = 8
    """Flits that the queue of one virtual channel holds, and of a packet that routers copy."""
    pipeline: int = 2
    """From the arrival of a flit until it has crossed the router, when nothing is in its way."""
    link: int = 1
    """From router to router."""
    credit: int = 1
    """Until a place that falls free may be filled again."""
    routing: Routing = "xy"
    """Rows first, columns first, or half of the packets each way in virtual channels of their own
    (O1TURN: Seo et al., ISCA 2005)."""

    def __post_init__(self) -> None:
        assert min(self.virtual_channels, self.depth, self.pipeline, self.credit) >= 1
        assert self.link >= 0
        assert self.virtual_channels <= MOST_CHANNELS, self.virtual_channels
        assert self.routing != "o1turn" or self.virtual_channels >= 2


PACKET = np.dtype(
    [
        ("born", "i8"),  # clock from which it may enter its source's router
        ("arrived", "i8"),  # clock by which its last flit has left the network; -1 before
        ("source", "i4"),  # router: y * columns + x
        ("target", "i4"),  # router; of a packet to several, its first place in the list of goals
        ("copies", "i4"),  # routers it goes to, and their number in the list of goals; 1 or more
        ("left", "i4"),  # routers that it has yet to reach
        ("length", "i4"),  # flits, 1 or more
        ("columns_first", "i4"),  # 1 where it goes along its column first
        ("following", "i4"),  # the packet behind it at its source; -1 for none
        ("tag", "i4"),  # the sender's own, for who receives it
        ("spare", "i4"),
        ("unused", "i4"),
    ]
)
NODE = np.dtype(
    [
        ("filled", "i8"),  # one bit for each queue of the router, set where it holds a flit
        ("asking", "i8"),  # the same where the packet at its head has no channel yet
        ("held", "i4"),  # flits in the router
        ("listed", "i4"),  # whether the router stands in `active`
        ("first", "i4"),  # packet that the source sends now or next; -1 for none
        ("last", "i4"),  # packet at the end of the source's line
        ("sent", "i4"),  # flits of `first` that are sent
        ("lane", "i4"),  # queue that `first` enters
    ]
)
PORT = np.dtype(
    [
        ("taken", "i8"),  # output: one bit for each channel, set where a packet holds it
        ("load", "i8"),  # output: flits that left
        ("next_channel", "i4"),  # output: channel that is given next
        ("next_port", "i4"),  # output: input that is looked at first
        ("next_queue", "i4"),  # input: queue that is looked at first
        ("next_lane", "i4"),  # output: queue of the router whose packet is given a channel first
    ]
)
QUEUE = np.dtype(
    [
        ("head", "i4"),  # place of the first flit
        ("count", "i4"),  # flits in the queue
        ("routes", "i4"),  # one bit for each output of the packet at the head; 0 before known
        ("left", "i4"),  # those that its foremost flit has yet to leave by
        ("granted", "i4"),  # channel it holds at each, 4 bits an output; -1 before it has them
        ("credits", "i4"),  # free places behind the output's channel of the same number
    ]
)
FLIT = np.dtype(
    [
        ("ready", "i8"),  # clock from which it competes for the switch
        ("packet", "i4"),
        ("rest", "i4"),  # flits of the packet that follow it
    ]
)


@dataclass(frozen=True, slots=True)
class State:
    """All that changes from clock to clock.

    A port is numbered ``router * PORTS + port``, a queue ``port * virtual_channels + channel``.
    """

    scalars: I64
    nodes: Records
    ports: Records
    queues: Records
    flits: Records
    """``[queues * depth]``: a ring of places for each queue."""
    sources: I32
    """``[routers + 1]`` routers with packets to send, and their number, last."""
    active: I32
    """``[routers + 1]`` routers with flits, and their number, last."""
    returned: I32
    """``[credit + 1, 1 + ports]`` credits under way by clock: their number, and of which queues."""
    landed: I32
    """``[routers + 1, 2]`` packets whose last flit left in the last clock, and where; their number,
    last."""


def fresh(routers: Routers) -> State:
    """Return the state of an empty network."""
    nodes = np.zeros(routers.mesh.slots, NODE)
    nodes["first"] = nodes["last"] = -1
    ports = np.zeros(len(nodes) * PORTS, PORT)
    queues = np.zeros(len(ports) * routers.virtual_channels, QUEUE)
    queues["granted"] = -1
    queues["credits"] = routers.depth
    return State(
        scalars=np.zeros(SCALARS, np.int64),
        nodes=nodes,
        ports=ports,
        queues=queues,
        flits=np.zeros(len(queues) * routers.depth, FLIT),
        sources=np.zeros(len(nodes) + 1, np.int32),
        active=np.zeros(len(nodes) + 1, np.int32),
        returned=np.zeros((routers.credit + 1, 1 + len(ports)), np.int32),
        landed=np.zeros((len(nodes) + 1, 2), np.int32),
    )


def packets(
    born: I64, source: I32, target: I32, length: I32, columns_first: I32 | None = None
) -> Records:
    """Return packets, in order of birth; of those born at once the first come first."""
    order = np.argsort(born, kind="stable")
    made = np.zeros(len(born), PACKET)
    made["born"], made["source"] = born[order], source[order]
    made["target"], made["length"] = target[order], length[order]
    made["columns_first"] = 0 if columns_first is None else columns_first[order]
    made["copies"] = made["left"] = 1
    made["arrived"] = made["following"] = -1
    assert made["length"].min(initial=1) >= 1
    return made
