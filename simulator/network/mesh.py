"""Ports and paths of a mesh of routers."""

from __future__ import annotations

from typing import NamedTuple

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.network.state import EAST, LOCAL, NORTH, SOUTH, WEST

NEVER = 1 << 62


class Shape(NamedTuple):
    """The numbers that :class:`~neutrams.simulator.network.state.Routers` stand for."""

    columns: int
    channels: int
    depth: int
    pipeline: int
    link: int
    credit: int
    halves: int
    """Parts that the channels are divided in, one for each order of directions."""


@lean_kernel
def lowest(bits: int) -> int:
    """Return the place of the lowest bit that is set; one is."""
    place, left = 0, int(bits)
    if left & 0xFFFFFFFF == 0:
        place, left = 32, left >> 32
    if left & 0xFFFF == 0:
        place, left = place + 16, left >> 16
    if left & 0xFF == 0:
        place, left = place + 8, left >> 8
    if left & 0xF == 0:
        place, left = place + 4, left >> 4
    if left & 0x3 == 0:
        place, left = place + 2, left >> 2
    return place if left & 1 else place + 1


@lean_kernel
def port_towards(here: int, there: int, columns: int, columns_first: int) -> int:
    """Return the port by which a router sends on: row and column one after the other."""
    if here == there:
        return LOCAL
    dx = there % columns - here % columns
    if dx != 0 and (columns_first == 0 or there // columns == here // columns):
        return EAST if dx > 0 else WEST
    return SOUTH if there > here else NORTH


@lean_kernel
def neighbour(router: int, port: int, columns: int) -> int:
    """Return the router behind a port."""
    if port == EAST:
        return router + 1
    if port == WEST:
        return router - 1
    return router + columns if port == SOUTH else router - columns
