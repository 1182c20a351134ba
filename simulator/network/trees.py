"""What routers and links carry when packets go along trees of paths: rows first, then columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.traffic import Mesh
from neutrams.simulator.network.state import EAST, LOCAL, NORTH, PORTS, SOUTH, WEST

I64 = NDArray[np.int64]

NODE = PORTS
"""Where flits come into a router from its node, behind its outputs."""


def tree_loads(mesh: Mesh, source: I64, target: I64, packet: I64, flits: I64) -> I64:
    """Return the flits that leave each router by each output, and that its node sends into it.

    Args:
        mesh: The routers.
        source: ``[rows]`` router that each packet leaves.
        target: ``[rows]`` a router that it goes to; one for each row of a packet.
        packet: ``[rows]`` number of the packet.
        flits: ``[rows]`` its length, the same in all its rows.

    Returns:
        ``[rows, columns, 6]``: east, west, north, south, to the node, from the node. A tree takes
        each of its links once.
    """
    load = np.zeros((mesh.rows, mesh.columns, PORTS + 1), np.int64)
    if not len(packet):
        return load
    _, first, number = np.unique(packet, return_index=True, return_inverse=True)
    home, length = source[first], flits[first]
    x, y = home % mesh.columns, home // mesh.columns
    np.add.at(load[..., NODE], (y, x), length)
    goals = np.unique(number * mesh.slots + target)
    of, goal = goals // mesh.slots, goals % mesh.slots
    there_x, there_y = goal % mesh.columns, goal // mesh.columns
    np.add.at(load[..., LOCAL], (there_y, there_x), length[of])
    low, high = _ends(of, there_x, x)
    _run(load[..., EAST], x, high, y, length, along=1)
    _run(load[..., WEST], low + 1, x + 1, y, length, along=1)
    branch, begin = np.unique(of * mesh.columns + there_x, return_inverse=True)
    stem, column = branch // mesh.columns, branch % mesh.columns
    low, high = _ends(begin, there_y, y[stem])
    _run(load[..., SOUTH], y[stem], high, column, length[stem], along=0)
    _run(load[..., NORTH], low + 1, y[stem] + 1, column, length[stem], along=0)
    return load


def _ends(of: I64, places: I64, start: I64) -> tuple[I64, I64]:
    """Return for each start the least and the largest of it and its places."""
    low, high = start.copy(), start.copy()
    np.minimum.at(low, of, places)
    np.maximum.at(high, of, places)
    return low, high


def _run(load: I64, begin: I64, end: I64, line: I64, flits: I64, *, along: int) -> None:
    """Add flits to all places from ``begin`` to before ``end`` of a row or column."""
    shape = (load.shape[1 - along], load.shape[along] + 1)
    change = np.zeros(shape, np.int64)
    np.add.at(change, (line, begin), flits)
    np.add.at(change, (line, np.maximum(end, begin)), -flits)
    run = change.cumsum(axis=1)[:, :-1]
    load += run if along == 1 else run.T
