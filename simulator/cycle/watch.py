"""What may be watched of a run: links, routers, buses and buffers, looked at clock by clock."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.network.state import I32, I64, Records


class Watch(NamedTuple):
    """Signals, numbered links first, then routers, buses and buffers; and how they changed.

    A link is 1 in each clock in which a flit leaves over it (only those clocks are told), a router
    the flits it holds, a bus 1 while it carries something, a buffer the bytes that lie in it.
    """

    ports: I32
    """``[links]`` port of each."""
    nodes: I32
    """``[routers]``"""
    buses: I32
    """``[buses]`` tile of each."""
    owners: I32
    """``[buffers + 1]`` first of the shelves of each buffer."""
    shelves: I32
    """``[shelves + 1]`` first of the edges of each: readers of the same items."""
    edges: I32
    bytes: NDArray[np.float64]
    """``[shelves]`` of one item."""
    loads: I64
    """``[links]`` flits up to the last look."""
    last: I64
    """``[signals]`` value at the last look."""
    changes: I64
    """``[room, 3]`` signal, clock, value; no rows where nothing is watched."""
    told: I64
    """``[1]`` rows of ``changes`` that hold something."""


@lean_kernel
def is_full(watch: Watch) -> bool:
    """Say whether one more clock might bring more changes than there is room for."""
    return len(watch.changes) > 0 and watch.told[0] + len(watch.last) > len(watch.changes)


@lean_kernel
def note(watch: Watch, signal: int, now: int, value: int) -> None:
    """Keep a value if it is another than before."""
    if watch.last[signal] != value:
        watch.last[signal] = value
        tell(watch, signal, now, value)


@lean_kernel
def tell(watch: Watch, signal: int, now: int, value: int) -> None:
    row = watch.told[0]
    watch.changes[row, 0] = signal
    watch.changes[row, 1] = now
    watch.changes[row, 2] = value
    watch.told[0] = row + 1


@lean_kernel
def held(watch: Watch, edges: Records, buffer: int) -> int:
    """Return the bytes that lie in a buffer: items that came, and that some reader still needs."""
    total = 0.0
    for shelf in range(watch.owners[buffer], watch.owners[buffer + 1]):
        most = 0
        for place in range(watch.shelves[shelf], watch.shelves[shelf + 1]):
            e = watch.edges[place]
            most = max(most, edges[e]["arrived"] - edges[e]["used"])
        total += most * watch.bytes[shelf]
    return int(np.ceil(total - 1e-6))


@lean_kernel
def observe(
    watch: Watch, edges: Records, tiles: Records, nodes: Records, ports: Records, now: int
) -> None:
    """Note all that changed in a clock, at its end."""
    signal = 0
    for i in range(len(watch.ports)):
        load = ports[watch.ports[i]]["load"]
        if load > watch.loads[i]:
            watch.loads[i] = load
            tell(watch, signal, now, 1)
        signal += 1
    for i in range(len(watch.nodes)):
        note(watch, signal, now, nodes[watch.nodes[i]]["held"])
        signal += 1
    for i in range(len(watch.buses)):
        note(watch, signal, now, tiles[watch.buses[i]]["bus_on"])
        signal += 1
    for i in range(len(watch.owners) - 1):
        note(watch, signal, now, held(watch, edges, i))
        signal += 1


def watch_nothing() -> Watch:
    """Return a watch that costs nothing."""
    none, many = np.zeros(0, np.int32), np.zeros(0, np.int64)
    bytes_, changes = np.zeros(0, np.float64), np.zeros((0, 3), np.int64)
    one = np.zeros(1, np.int32)
    return Watch(none, none, none, one, one, none, bytes_, many, many, changes, np.zeros(1, int))
