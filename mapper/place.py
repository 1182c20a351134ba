"""Sites on the mesh for the nodes of a traffic graph: a space-filling order, then annealing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.traffic import Mesh, Placement, Traffic

from .anneal import Sites, anneal
from .curve import Order, routers_along
from .fit import mesh_settings
from .metrics import weighted_hops
from .neighbours import Neighbours, neighbours


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
        moves: Exchanges to try at most; 0 keeps the curve. By default as many as suit the size
            of the problem: under a second for hundreds of nodes, a few seconds for thousands.
        start: Curve along which the nodes are laid first.
        per_router: Nodes that share a router of the mesh.

    Raises:
        NeutramsError: NT0402, when the mesh has too few sites.
    """
    count = mesh.slots * per_router
    if traffic.nodes > count:
        raise NeutramsError(_too_small(traffic, mesh, per_router))
    graph = neighbours(traffic)
    first = _along(start, mesh, per_router)[: traffic.nodes]
    sites = Sites.of(first, mesh=mesh, per_router=per_router)
    gap = weighted_hops(traffic, _placement(sites)) - _least_cost(graph, per_router)
    attempts = max(1, min(16, 512 // count))
    effort = attempts * _moves(graph, count) if moves is None else moves
    return _placement(_best(sites, graph, effort, attempts, gap, np.random.default_rng(seed)))


def _placement(sites: Sites) -> Placement:
    return Placement(sites.mesh, sites.x.astype(np.int32), sites.y.astype(np.int32))


def _least_cost(graph: Neighbours, per_router: int) -> int:
    """A lower bound: two nodes on routers of their own are at least one hop apart."""
    return int(graph.bits.sum()) // 2 if per_router == 1 else 0


def _too_small(traffic: Traffic, mesh: Mesh, per_router: int) -> Diagnostic:
    count = mesh.slots * per_router
    settings = " ".join(mesh_settings(traffic.nodes, mesh, per_router))
    return (
        error("NT0402", f"the mesh has too few sites: {traffic.nodes} needed, {count} available")
        .note(f"{mesh.columns} columns × {mesh.rows} rows × {per_router} per router = {count}")
        .help(f"a mesh that fits: {settings}")
    )


def _along(start: Order, mesh: Mesh, per_router: int) -> NDArray[np.int64]:
    """All sites of a mesh along a curve, router by router."""
    routers = routers_along(start, mesh)
    return (routers[:, None] * per_router + np.arange(per_router)).reshape(-1)


def _moves(graph: Neighbours, sites: int) -> int:
    """Exchanges of one attempt; the bound keeps the partners looked at in the order of 10^9."""
    wanted = 50_000 + int(1500 * sites ** (4 / 3))
    return min(wanted, int(4e8 / (8 + 2 * graph.mean_degree)))


def _best(
    sites: Sites,
    graph: Neighbours,
    moves: int,
    attempts: int,
    gap: int,
    rng: np.random.Generator,
) -> Sites:
    """Anneal several times (one run is short) and keep the best; a tie keeps the first.

    ``gap`` is how far the cost of ``sites`` is above a lower bound; none is left at the optimum.
    """
    best, lowest = sites, 0
    for attempt in range(attempts):
        if lowest + gap == 0:
            break
        share = moves * (attempt + 1) // attempts - moves * attempt // attempts
        found, change = anneal(sites, graph, share, rng)
        if change < lowest:
            best, lowest = found, change
    return best
