"""Simulated annealing of the sites of nodes (Kirkpatrick et al. 1983; Betz and Rose 1997)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.traffic import Mesh

from .exchange import EMPTY, exchange
from .neighbours import Neighbours

STEPS = 100
"""Temperatures of one run; the last tenth of them are zero."""
HOTTEST = 2.0
"""First temperature, in mean bits of a pair times the root of the mean number of partners."""
COLDEST = 0.02
"""Last temperature above zero, in mean bits of a pair."""
ACCEPTANCE = 0.44
"""Share of accepted exchanges that the reach is steered to (Betz and Rose 1997)."""


DRAWN_AT_ONCE = 1 << 18
"""Exchanges whose random numbers are held in memory."""


@dataclass(frozen=True, slots=True)
class Sites:
    """Sites of nodes, both ways round. Site ``s`` is at router ``s // per_router``, row-major."""

    mesh: Mesh
    per_router: int
    site: NDArray[np.int64]
    """``[nodes]`` site of each node."""
    node_at: NDArray[np.int64]
    """``[sites]`` node on each site, or ``EMPTY``."""
    x: NDArray[np.int64]
    """``[nodes]`` column of each node."""
    y: NDArray[np.int64]
    """``[nodes]`` row of each node."""

    @staticmethod
    def of(site: NDArray[np.int64], *, mesh: Mesh, per_router: int) -> Sites:
        node_at = np.full(mesh.slots * per_router, EMPTY, np.int64)
        node_at[site] = np.arange(len(site))
        y, x = np.divmod(site // per_router, mesh.columns)
        return Sites(mesh, per_router, site.copy(), node_at, x, y)


def anneal(
    sites: Sites, graph: Neighbours, moves: int, rng: np.random.Generator
) -> tuple[Sites, int]:
    """Search from ``sites``; return the best ones met and their change of cost, at most 0.

    The temperature falls geometrically to a small part of a typical edge, then to zero; the reach
    of an exchange shrinks as fewer of them are accepted.
    """
    now = Sites.of(sites.site, mesh=sites.mesh, per_router=sites.per_router)
    farthest = max(sites.mesh.columns, sites.mesh.rows) - 1.0
    reach = farthest
    change = lowest = 0
    best = sites.site
    for tries, temperature in zip(_tries(moves), _temperatures(graph), strict=True):
        gain, made = _step(now, graph, tries, rng, max(1, round(reach)), temperature)
        change += gain
        reach = min(max(reach * (1 - ACCEPTANCE + made / max(tries, 1)), 1.0), farthest)
        if change < lowest:
            lowest, best = change, now.site.copy()
    return Sites.of(best, mesh=sites.mesh, per_router=sites.per_router), lowest


def _tries(moves: int) -> list[int]:
    """Split moves evenly over all steps."""
    bounds = np.arange(STEPS + 1, dtype=np.int64) * moves // STEPS
    return [int(n) for n in np.diff(bounds)]


def _temperatures(graph: Neighbours) -> list[float]:
    typical = float(graph.bits.mean())
    hottest = HOTTEST * typical * max(graph.mean_degree, 1.0) ** 0.5
    falling = np.geomspace(hottest, COLDEST * typical, STEPS - STEPS // 10)
    return [*(float(t) for t in falling), *([0.0] * (STEPS // 10))]


def _step(
    sites: Sites,
    graph: Neighbours,
    tries: int,
    rng: np.random.Generator,
    reach: int,
    temperature: float,
) -> tuple[int, int]:
    """Try exchanges at one temperature, drawing the random numbers of a bounded number at once."""
    change = made = 0
    for done in range(0, tries, DRAWN_AT_ONCE):
        count = min(DRAWN_AT_ONCE, tries - done)
        gain, stood = exchange(
            graph.start,
            graph.partner,
            graph.bits,
            sites.mesh.columns,
            sites.per_router,
            sites.site,
            sites.node_at,
            sites.x,
            sites.y,
            reach,
            temperature,
            rng.random((count, 4)),
            rng.standard_exponential(count),
        )
        change += gain
        made += stood
    return change, made
