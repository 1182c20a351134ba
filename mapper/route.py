"""XY routes (first along the row, then along the column) as loads of links and routers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.traffic import Mesh, Placement, Traffic


@dataclass(frozen=True, slots=True)
class Loads:
    """Bits an inference sends over every part of a mesh, each array ``[rows, columns]``.

    A link is named by the router it leaves; those that would leave the mesh carry 0.
    """

    east: NDArray[np.int64]
    """To the next column."""
    west: NDArray[np.int64]
    """To the column before."""
    north: NDArray[np.int64]
    """To the row before."""
    south: NDArray[np.int64]
    """To the next row."""
    routers: NDArray[np.int64]
    """Bits that enter each router, from a neighbour or from a node it serves."""

    @property
    def links(self) -> NDArray[np.int64]:
        """``[4, rows, columns]``: east, west, north, south."""
        return np.stack([self.east, self.west, self.north, self.south])

    @property
    def weighted_hops(self) -> int:
        """Bits times links crossed."""
        return int(self.links.sum())

    @property
    def maximum_link(self) -> int:
        """Bits over the busiest link."""
        return int(self.links.max())

    @property
    def maximum_router(self) -> int:
        """Bits into the busiest router."""
        return int(self.routers.max())


def xy_loads(traffic: Traffic, placement: Placement) -> Loads:
    """Route every edge by XY and sum the bits; edges from a node to itself load nothing."""
    remote = traffic.source != traffic.target
    source, target, bits = traffic.source[remote], traffic.target[remote], traffic.bits[remote]
    x, y = placement.x, placement.y
    mesh = placement.mesh
    east, west = _runs(mesh.rows, mesh.columns, y[source], x[source], x[target], bits)
    south, north = _runs(mesh.columns, mesh.rows, x[target], y[source], y[target], bits)
    south, north = south.T.copy(), north.T.copy()
    routers = _injected(mesh, x[source], y[source], bits)
    routers[:, 1:] += east[:, :-1]
    routers[:, :-1] += west[:, 1:]
    routers[1:] += south[:-1]
    routers[:-1] += north[1:]
    return Loads(east=east, west=west, north=north, south=south, routers=routers)


def _runs(
    lines: int,
    length: int,
    line: NDArray[np.int32],
    start: NDArray[np.int32],
    stop: NDArray[np.int32],
    bits: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sum straight runs on lines as ``[lines, length]`` loads of the links up, and those down.

    A run marks only where its load begins and ends; a running sum fills what lies between.
    """
    up = np.zeros((lines, length), np.int64)
    down = np.zeros((lines, length + 1), np.int64)
    rising, falling = stop > start, stop < start
    np.add.at(up, (line[rising], start[rising]), bits[rising])
    np.subtract.at(up, (line[rising], stop[rising]), bits[rising])
    np.add.at(down, (line[falling], stop[falling] + 1), bits[falling])
    np.subtract.at(down, (line[falling], start[falling] + 1), bits[falling])
    return np.cumsum(up, axis=1), np.cumsum(down, axis=1)[:, :length].copy()


def _injected(
    mesh: Mesh, x: NDArray[np.int32], y: NDArray[np.int32], bits: NDArray[np.int64]
) -> NDArray[np.int64]:
    entering = np.zeros((mesh.rows, mesh.columns), np.int64)
    np.add.at(entering, (y, x), bits)
    return entering
