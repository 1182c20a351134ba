"""Which kind of core holds each matrix, where a chip has cores of several sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def assign(counts: Ints, cells: Ints, room: Ints) -> Ints:
    """Return the kind of each unit so that fewest cells are taken, used or not.

    Where the units do not all fit at once, they are made to fit as few rounds as can be.

    Args:
        counts: ``[units, kinds]`` crossbars of a unit on a kind; negative where it fits none.
        cells: ``[kinds]`` cells of one crossbar.
        room: ``[kinds]`` crossbars there are; a kind that units fit has some.
    """
    assert (counts.max(axis=1, initial=0) >= 0).all()
    costs = np.where(counts < 0, np.iinfo(np.int64).max, counts * cells)
    rounds = 1
    while True:
        chosen = _least(counts, costs, room * rounds)
        if chosen is not None:
            return chosen
        rounds += 1


def _least(counts: Ints, costs: Ints, room: Ints) -> Ints | None:
    """Return the kinds of least cost that have room for all; ``None`` where there are none."""
    units, kinds = counts.shape
    free: Ints = costs.argmin(axis=1)
    held = np.bincount(free, weights=counts[np.arange(units), free], minlength=kinds)
    if (held <= room).all():
        return free
    if kinds == 1 or counts.min(axis=1).clip(min=0).sum() > room.sum():
        return None
    return _solve(counts, costs, room)


def _solve(counts: Ints, costs: Ints, room: Ints) -> Ints | None:
    """Solve the assignment exactly, as an integer program."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    units, kinds = counts.shape
    fits = (counts >= 0).ravel()
    once = np.kron(np.eye(units), np.ones(kinds))
    takes = np.tile(np.eye(kinds), units) * counts.clip(min=0).ravel()
    found = milp(
        np.where(fits, costs.ravel(), 0) / max(int(costs[counts >= 0].max()), 1),
        integrality=np.ones(units * kinds),
        bounds=Bounds(0, fits.astype(float)),
        constraints=[LinearConstraint(once, 1, 1), LinearConstraint(takes, 0, room)],
        options={"mip_rel_gap": 0},
    )
    if found.x is None:
        return None
    chosen: Ints = found.x.reshape(units, kinds).argmax(axis=1)
    return chosen
