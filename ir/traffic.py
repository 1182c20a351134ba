"""What the mapper is given: blocks to place and the values that flow between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Traffic:
    """A weighted directed graph over abstract nodes (tiles of a chip, cores of a tile).

    Edges with equal ``source`` and ``target`` cost nothing and may be present.
    """

    nodes: int
    source: NDArray[np.int32]
    """``[E]`` node each edge leaves."""
    target: NDArray[np.int32]
    """``[E]`` node each edge enters."""
    bits: NDArray[np.int64]
    """``[E]`` bits an inference sends over the edge."""

    def __post_init__(self) -> None:
        assert self.source.shape == self.target.shape == self.bits.shape
        assert not len(self.source) or max(self.source.max(), self.target.max()) < self.nodes


@dataclass(frozen=True, slots=True)
class Mesh:
    """A two-dimensional mesh of ``columns`` × ``rows`` routers, one slot each."""

    columns: int
    rows: int

    @property
    def slots(self) -> int:
        return self.columns * self.rows


@dataclass(frozen=True, slots=True)
class Placement:
    """Where every node of a :class:`Traffic` sits on a :class:`Mesh`."""

    mesh: Mesh
    x: NDArray[np.int32]
    """``[nodes]`` column of each node."""
    y: NDArray[np.int32]
    """``[nodes]`` row of each node."""
