"""Exchanges of sites, each judged by the exact change of the hop-weighted traffic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel

EMPTY = -1
"""What stands on a site that no node has."""


@kernel
def exchange(
    start: NDArray[np.int64],
    partner: NDArray[np.int32],
    bits: NDArray[np.int64],
    columns: int,
    per_router: int,
    site: NDArray[np.int64],
    node_at: NDArray[np.int64],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    reach: int,
    temperature: float,
    draws: NDArray[np.float64],
    thresholds: NDArray[np.float64],
) -> tuple[int, int]:
    """Try one exchange for every row of draws; return the total change of cost and how many stood.

    A drawn node and whatever stands on a drawn site up to ``reach`` columns and rows away change
    places if the cost rises by no more than ``temperature`` times the threshold; with thresholds
    from the standard exponential distribution that is the rule of Metropolis et al. (1953).

    Args:
        start: ``[nodes + 1]`` as in :class:`~neutrams.mapper.neighbours.Neighbours`.
        partner: As there.
        bits: As there.
        columns: Columns of the mesh.
        per_router: Sites of a router; site ``s`` is at router ``s // per_router``.
        site: ``[nodes]`` site of each node; updated, as are the next three.
        node_at: ``[sites]`` node on each site, or :data:`EMPTY`.
        x: ``[nodes]`` column of each node.
        y: ``[nodes]`` row of each node.
        reach: Distance of the farthest exchange, along either axis.
        temperature: Rise of cost that is accepted one time in e.
        draws: ``[moves, 4]`` in ``[0, 1)``: node, column, row, site of the router.
        thresholds: ``[moves]``.
    """
    rows = len(node_at) // (columns * per_router)
    total = 0
    made = 0
    for move in range(len(draws)):
        a = int(draws[move, 0] * len(site))
        ax, ay = x[a], y[a]
        left, top = max(0, ax - reach), max(0, ay - reach)
        bx = left + int(draws[move, 1] * (min(columns - 1, ax + reach) - left + 1))
        by = top + int(draws[move, 2] * (min(rows - 1, ay + reach) - top + 1))
        if ax == bx and ay == by:
            continue
        there = (by * columns + bx) * per_router + int(draws[move, 3] * per_router)
        b = node_at[there]
        change = moved(start, partner, bits, x, y, a, b, bx, by)
        if b != EMPTY:
            change += moved(start, partner, bits, x, y, b, a, ax, ay)
        if change > temperature * thresholds[move]:
            continue
        here = site[a]
        node_at[here], node_at[there] = b, a
        site[a], x[a], y[a] = there, bx, by
        if b != EMPTY:
            site[b], x[b], y[b] = here, ax, ay
        total += change
        made += 1
    return total, made


@kernel
def moved(
    start: NDArray[np.int64],
    partner: NDArray[np.int32],
    bits: NDArray[np.int64],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    node: int,
    other: int,
    to_x: int,
    to_y: int,
) -> int:
    """Change of the cost of ``node``'s edges, but the one to ``other``, when it goes elsewhere.

    The edge between two nodes that change places keeps its length, so it is left out of both.
    """
    change = 0
    from_x, from_y = x[node], y[node]
    for edge in range(start[node], start[node + 1]):
        peer = partner[edge]
        if peer == other:
            continue
        after = abs(x[peer] - to_x) + abs(y[peer] - to_y)
        before = abs(x[peer] - from_x) + abs(y[peer] - from_y)
        change += bits[edge] * (after - before)
    return change
