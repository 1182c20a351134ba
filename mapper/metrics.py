"""What a placement costs, in the measures of the literature.

Energy, latency and congestion are those of Jin et al. (ASPLOS 2023): a value that travels ``d``
hops visits ``d + 1`` routers and ``d`` wires; congestion counts the values that visit a router when
each takes a random minimal path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.ir.traffic import Placement, Traffic


@dataclass(frozen=True, slots=True)
class HopCosts:
    """What one bit costs in one router and on one wire; the units are the caller's."""

    router_energy: float
    wire_energy: float
    router_latency: float
    wire_latency: float


JIN = HopCosts(router_energy=1.0, wire_energy=0.1, router_latency=1.0, wire_latency=0.01)
"""Relative costs of Jin et al. (ASPLOS 2023)."""

LOIHI = HopCosts(router_energy=1.7, wire_energy=3.5, router_latency=2.1, wire_latency=5.3)
"""Picojoules and nanoseconds of Loihi at 0.75 V (Davies et al. 2018, table 2)."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Measures of a placement; edges from a node to itself and edges of no bits have no part."""

    bits: int
    """Sum of the bits of all edges, S."""
    weighted_hops: int
    """Sum of bits times hops, T."""
    energy: float
    """``EN_r * (S + T) + EN_w * T``."""
    average_latency: float
    """Mean over bits."""
    maximum_latency: float
    """Maximum over edges."""
    average_congestion: float
    """Mean over all routers of the mesh of the bits that visit them: ``(S + T) / routers``."""
    maximum_congestion: float
    """Maximum over all routers of the expected bits that visit them."""


def hops(traffic: Traffic, placement: Placement) -> NDArray[np.int64]:
    """Return ``[E]``: the Manhattan distance every edge has to travel."""
    x, y = placement.x.astype(np.int64), placement.y.astype(np.int64)
    source, target = traffic.source, traffic.target
    distance: NDArray[np.int64] = np.abs(x[source] - x[target]) + np.abs(y[source] - y[target])
    return distance


def weighted_hops(traffic: Traffic, placement: Placement) -> int:
    """Return the sum of bits times hops: what the placer makes small."""
    return int((traffic.bits * hops(traffic, placement)).sum())


def congestion(traffic: Traffic, placement: Placement) -> NDArray[np.float64]:
    """Return ``[rows, columns]``: the bits expected at every router.

    A bit takes each open direction of its minimal paths with equal probability, router by router.
    """
    remote = (traffic.source != traffic.target) & (traffic.bits > 0)
    source, target = traffic.source[remote], traffic.target[remote]
    x, y = placement.x.astype(np.int64), placement.y.astype(np.int64)
    load = np.zeros((placement.mesh.rows, placement.mesh.columns))
    bits = traffic.bits[remote].astype(np.int64)
    spread_minimal_paths(x[source], y[source], x[target], y[target], bits, load)
    return load


def measure(traffic: Traffic, placement: Placement, *, costs: HopCosts = JIN) -> Metrics:
    """Compute every measure of a placement."""
    remote = (traffic.source != traffic.target) & (traffic.bits > 0)
    distance, bits = hops(traffic, placement)[remote], traffic.bits[remote]
    sent, travelled = int(bits.sum()), int((bits * distance).sum())
    farthest = int(distance.max(initial=0))
    load = congestion(traffic, placement)
    per_hop = costs.router_latency + costs.wire_latency
    return Metrics(
        bits=sent,
        weighted_hops=travelled,
        energy=costs.router_energy * (sent + travelled) + costs.wire_energy * travelled,
        average_latency=costs.router_latency + per_hop * travelled / sent if sent else 0.0,
        maximum_latency=costs.router_latency + per_hop * farthest if sent else 0.0,
        average_congestion=float(load.mean()),
        maximum_congestion=float(load.max()),
    )


@kernel
def spread_minimal_paths(
    source_x: NDArray[np.int64],
    source_y: NDArray[np.int64],
    target_x: NDArray[np.int64],
    target_y: NDArray[np.int64],
    bits: NDArray[np.int64],
    load: NDArray[np.float64],
) -> None:
    """Add to ``load`` (``[rows, columns]``) the bits expected at every router of every edge.

    The probability starts as 1 at the source; where both directions are open each gets half of it,
    and beyond the target's column or row all of it goes the one way that is left.
    """
    chance = np.zeros(max(load.shape) + 1, np.float64)
    for edge in range(len(bits)):
        wide, high = target_x[edge] - source_x[edge], target_y[edge] - source_y[edge]
        step_x, step_y = (1 if wide > 0 else -1), (1 if high > 0 else -1)
        wide, high = abs(wide), abs(high)
        chance[: high + 1] = 0.0
        chance[0] = 1.0
        for i in range(wide + 1):
            column = source_x[edge] + i * step_x
            for j in range(high + 1):
                here = chance[j]
                load[source_y[edge] + j * step_y, column] += bits[edge] * here
                onward = here if i == wide else 0.5 * here
                if j < high:
                    chance[j + 1] += onward
                    chance[j] -= onward
