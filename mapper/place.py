"""Sites on the mesh for the nodes of a traffic graph: a space-filling order, then annealing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.traffic import Mesh, Placement, Traffic

from .anneal import EMPTY, exchange
from .curve import Order, routers_along
from .neighbours import Neighbours, neighbours

STEPS = 100
"""Temperatures of a search, the last tenth of them at zero."""
TARGET_ACCEPTANCE = 0.44
"""Share of accepted moves that the reach is steered to (VPR; Betz and Rose 1997)."""


def place(
    traffic: Traffic,
    mesh: Mesh,
    *,
    seed: int = 0,
    moves: int | None = None,
    start: Order = "hilbert",
    per_router: int = 1,
) -> Placement:
    """Choose a site for every node, so that bits times hops is small.

    The nodes are laid along a curve in their given order (so number them as data flows), then
    exchanged by simulated annealing with exact changes of cost. The best sites met are returned:
    never worse than the curve's. The result depends on the arguments alone, not on time.

    Args:
        traffic: Nodes and what flows between them.
        mesh: Where to put them.
        seed: Of the random moves.
        moves: Exchanges to try; 0 keeps the curve. By default as many as suit the size of the
            problem, bounded so that it takes seconds.
        start: Curve along which the nodes are laid first.
        per_router: Nodes that share a router of the mesh.

    Raises:
        NeutramsError: NT0402, when the mesh has too few sites.
    """
    if traffic.nodes > mesh.slots * per_router:
        raise NeutramsError(
            error(
                "NT0402",
                f"the mesh has too few sites: {traffic.nodes} needed, "
                f"{mesh.slots * per_router} available",
            ).note(
                f"{mesh.columns} columns × {mesh.rows} rows × {per_router} sites a router = "
                f"{mesh.slots * per_router}"
            )
        )
    graph = neighbours(traffic)
    along = np.repeat(routers_along(start, mesh), per_router) * per_router
    along += np.tile(np.arange(per_router), mesh.slots)
    sites = _Sites.of(along[: traffic.nodes], mesh, per_router)
    effort = default_moves(graph, mesh.slots * per_router) if moves is None else moves
    if len(graph.partner) and mesh.slots > 1 and effort > 0:
        sites = _anneal(sites, graph, effort, np.random.default_rng(seed))
    return Placement(mesh, sites.x.astype(np.int32), sites.y.astype(np.int32))


def default_moves(graph: Neighbours, sites: int) -> int:
    """Return how many exchanges are worth trying: more for more sites, fewer for many partners."""
    wanted = int(2000 * sites ** (4 / 3)) + 100_000
    return min(wanted, int(4e8 / (8 + 2 * graph.mean_degree)))


@dataclass(frozen=True, slots=True)
class _Sites:
    """Sites of nodes, both ways round; the arrays are updated in place."""

    mesh: Mesh
    per_router: int
    site: NDArray[np.int64]
    node_at: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]

    @staticmethod
    def of(site: NDArray[np.int64], mesh: Mesh, per_router: int) -> _Sites:
        node_at = np.full(mesh.slots * per_router, EMPTY, np.int64)
        node_at[site] = np.arange(len(site))
        y, x = np.divmod(site // per_router, mesh.columns)
        return _Sites(mesh, per_router, site.copy(), node_at, x, y)

    def exchange(
        self,
        graph: Neighbours,
        moves: int,
        rng: np.random.Generator,
        *,
        reach: int,
        temperature: float,
    ) -> tuple[int, int]:
        return exchange(
            graph.start,
            graph.partner,
            graph.bits,
            self.mesh.columns,
            self.per_router,
            self.site,
            self.node_at,
            self.x,
            self.y,
            reach,
            temperature,
            rng.random((moves, 4)),
            rng.standard_exponential(moves),
        )


import os
HOT=float(os.environ.get("HOT","1")); 
COLD=float(os.environ.get("COLD","0.002"))
def _anneal(
    sites: _Sites, graph: Neighbours, moves: int, rng: np.random.Generator
) -> _Sites:
    farthest = max(sites.mesh.columns, sites.mesh.rows) - 1
    reach = float(farthest)
    typical = graph.bits.mean()
    deg = graph.mean_degree
    hot = HOT*typical*np.sqrt(max(deg,1))
    cold = COLD*typical
    cost = best = 0
    best_site = sites.site.copy()
    temps = np.append(np.geomspace(hot, cold, 90), np.zeros(10))
    trace=[]
    for T in temps:
        m = max(moves//100,1)
        change, made = sites.exchange(graph, m, rng, reach=max(1,int(round(reach))), temperature=float(T))
        cost += change
        reach = min(max(reach * (1 - 0.44 + made/m), 1.0), farthest)
        trace.append((round(float(T),2), round(made/m,3), round(reach,1), cost))
        if cost < best:
            best, best_site = cost, sites.site.copy()
    if os.environ.get("TRACE"):
        for t in trace[::5]: print(t)
    return _Sites.of(best_site, sites.mesh, sites.per_router)
