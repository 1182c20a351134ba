"""Synthetic traffic, as networks are compared by (Dally and Towles, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neutrams.simulator.network.state import Records, Routers, packets

Pattern = Literal["uniform", "transpose", "tornado", "hotspot"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Who sends how much to whom."""

    pattern: Pattern
    rate: float
    """Flits that each node offers in a clock, 0 to 1; packets are born as a Bernoulli process."""
    length: int = 1
    """Flits of a packet."""
    clocks: int = 10_000
    """Clocks in which packets are born."""
    hotspots: tuple[int, ...] = ()
    """Routers that ``hotspot`` sends to, each equally often; the one in the middle if none."""
    seed: int = 0


def synthetic(routers: Routers, traffic: Synthetic) -> Records:
    """Return the packets of synthetic traffic, in order of birth."""
    random = np.random.default_rng(traffic.seed)
    nodes = routers.mesh.slots
    chance = traffic.rate / traffic.length
    count = random.binomial(traffic.clocks, chance, nodes)
    source = np.repeat(np.arange(nodes, dtype=np.int32), count)
    born = np.concatenate([np.sort(_draw(random, traffic.clocks, each)) for each in count])
    target = _targets(routers, traffic, source, random)
    turned = {
        "xy": np.zeros(len(source), np.int32),
        "yx": np.ones(len(source), np.int32),
        "o1turn": random.integers(0, 2, len(source), dtype=np.int32),
    }[routers.routing]
    length = np.full(len(source), traffic.length, np.int32)
    return packets(born, source, target.astype(np.int32), length, turned)


def _draw(random: np.random.Generator, clocks: int, count: int) -> NDArray[np.int64]:
    """Return different clocks: given their number, those of a Bernoulli process are uniform."""
    return random.choice(clocks, count, replace=False).astype(np.int64)


def _targets(
    routers: Routers, traffic: Synthetic, source: NDArray[np.int32], random: np.random.Generator
) -> NDArray[np.int64]:
    mesh = routers.mesh
    x, y = source % mesh.columns, source // mesh.columns
    if traffic.pattern == "uniform":
        return random.integers(0, mesh.slots, len(source))
    if traffic.pattern == "transpose":
        assert mesh.columns == mesh.rows, "a transpose needs as many rows as columns"
        return (x * mesh.columns + y).astype(np.int64)
    if traffic.pattern == "tornado":
        far_x = (x + (mesh.columns + 1) // 2 - 1) % mesh.columns
        far_y = (y + (mesh.rows + 1) // 2 - 1) % mesh.rows
        return (far_y * mesh.columns + far_x).astype(np.int64)
    hot = traffic.hotspots or ((mesh.rows // 2) * mesh.columns + mesh.columns // 2,)
    return random.choice(np.array(hot, np.int64), len(source))
