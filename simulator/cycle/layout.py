"""What is laid out on a chip, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.program import Program
from neutrams.simulator.cycle.state import Plan


@dataclass(frozen=True, slots=True)
class Job:
    """What runs: a stream of inferences through a program, or through one round of it."""

    program: Program
    inferences: int = 1
    round: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A plan, and what its stations stand for."""

    plan: Plan
    ops: tuple[str, ...]
    """``[stations]`` name of the first result of each station's op."""
    buffer_bytes: NDArray[np.int64]
    """``[tiles]`` what the buffers in front of the stations of each tile hold at most."""
    shelf_of: NDArray[np.int64]
    """``[edges]`` the shelf that the items of each edge lie on; parts of a copy in one tile share
    one."""
    shelf_bytes: NDArray[np.float64]
    """``[shelves]`` of one item."""
    jobs: NDArray[np.int64]
    """``[stations]`` the number of the job that each works for."""
