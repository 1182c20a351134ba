"""Choose one option for each of several things: the multiple-choice knapsack, solved exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Table = Sequence[NDArray[np.float64]]
"""For each thing a number for each of its options; infinite where an option is out of question."""


def choose(objective: Table, limits: Sequence[tuple[Table, float]]) -> list[int] | None:
    """Return the options of least total objective whose totals stay within every limit.

    An integer program; ``None`` where no choice is within all limits.
    """
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import block_diag, csr_matrix, vstack

    sizes = [len(each) for each in objective]
    tables = [objective, *(table for table, _ in limits)]
    rows = np.array([np.concatenate(list(table)) for table in tables])
    possible = np.isfinite(rows).all(axis=0)
    rows = np.where(possible, rows, 0.0)
    scale = np.maximum(np.abs(rows).max(axis=1), 1e-300)
    rows = rows / scale[:, None]
    most = np.array([limit for _, limit in limits]) / scale[1:]
    one_each = block_diag([np.ones((1, size)) for size in sizes])
    low = np.concatenate([np.ones(len(sizes)), np.full(len(most), -np.inf)])
    high = np.concatenate([np.ones(len(sizes)), most])
    found = milp(
        rows[0],
        integrality=np.ones(rows.shape[1]),
        bounds=(0, possible.astype(np.float64)),
        constraints=LinearConstraint(vstack([one_each, csr_matrix(rows[1:])]), low, high),
        options={"mip_rel_gap": 0.0},
    )
    if found.x is None:
        return None
    ends = np.cumsum(sizes)[:-1]
    return [int(np.argmax(part)) for part in np.split(found.x, ends)]
