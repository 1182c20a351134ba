"""The network on chip, clock by clock: routers, links, virtual channels, credits."""

from __future__ import annotations

from neutrams.simulator.network.run import Network, NetworkResult, zero_load
from neutrams.simulator.network.state import Routers, packets
from neutrams.simulator.network.synthetic import PATTERNS, Synthetic, synthetic

__all__ = [
    "PATTERNS",
    "Network",
    "NetworkResult",
    "Routers",
    "Synthetic",
    "packets",
    "synthetic",
    "zero_load",
]
