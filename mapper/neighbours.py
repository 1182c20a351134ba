"""Traffic as the search for sites wants it: every node's partners in both directions, merged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A symmetric weighted graph in compressed rows, without loops, edges of no bits or doubles."""

    start: NDArray[np.int64]
    """``[nodes + 1]`` where each node's partners begin."""
    partner: NDArray[np.int32]
    """``[2 * pairs]`` in rising order for each node."""
    bits: NDArray[np.int64]
    """``[2 * pairs]`` bits that flow between the two, both ways together."""

    @property
    def mean_degree(self) -> float:
        return len(self.partner) / max(len(self.start) - 1, 1)


def neighbours(traffic: Traffic) -> Neighbours:
    """Merge the edges of a traffic graph into one weight for every pair of nodes that talk."""
    kept = (traffic.source != traffic.target) & (traffic.bits > 0)
    a = traffic.source[kept].astype(np.int64)
    b = traffic.target[kept].astype(np.int64)
    key = np.concatenate([a * traffic.nodes + b, b * traffic.nodes + a])
    order = np.argsort(key, kind="stable")
    key, bits = key[order], np.tile(traffic.bits[kept], 2)[order]
    heads = np.flatnonzero(np.diff(key, prepend=-1))
    owner, partner = np.divmod(key[heads], traffic.nodes)
    merged = np.add.reduceat(bits, heads) if len(heads) else bits
    start = np.searchsorted(owner, np.arange(traffic.nodes + 1))
    return Neighbours(start.astype(np.int64), partner.astype(np.int32), merged)
