"""How the windows of a matrix are dealt to its copies.

Windows of an image come row by row. Copies share each row in stripes of columns, so that all of
them work at once and each needs only the columns that its own windows see. Where that leaves some
idle, several copies of a stripe take turns at its rows. Windows along one axis go round in turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import bind

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stripes:
    """Windows in ``rows`` of ``columns``, dealt to ``wide`` stripes of ``turns`` copies each."""

    rows: int
    columns: int
    wide: int
    turns: int

    @property
    def copies(self) -> int:
        """Copies that have windows; further ones would be idle."""
        return self.wide * self.turns

    @property
    def most(self) -> int:
        """Windows of the busiest copy."""
        return -(-self.columns // self.wide) * -(-self.rows // self.turns)

    def owners(self) -> Ints:
        """Return ``[rows * columns]``: the copy that does each window."""
        stripe = np.arange(self.columns) * self.wide // max(self.columns, 1)
        turn = np.arange(self.rows) % self.turns
        return (stripe[None, :] * self.turns + turn[:, None]).reshape(-1)


def shape_of(op: Mvm, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Return the rows and columns of a matrix's windows; one column where they lie on one axis."""
    windows = bind(op.windows, dict(sizes))
    if len(op.kernel) < 2:
        return windows, 1
    width = bind(op.result.type.shape[-1], dict(sizes))
    return windows // max(width, 1), width


def stripes(shape: tuple[int, int], copies: int) -> Stripes:
    """Deal windows to at most so many copies: the busiest has as few as can be, in fewest turns."""
    rows, columns = shape
    wide = np.arange(1, max(min(copies, columns), 1) + 1)
    turns = np.minimum(copies // wide, max(rows, 1))
    most = -(-columns // wide) * -(-rows // np.maximum(turns, 1))
    best = np.lexsort((wide * turns, turns, most))[0]
    return Stripes(rows, columns, int(wide[best]), int(turns[best]))


def choices(shape: tuple[int, int], most: int) -> tuple[Ints, Ints]:
    """Return the numbers of copies, up to ``most``, that are worth while, and the windows of the
    busiest copy: each number leaves fewer than all smaller ones.
    """
    rows, columns = shape
    wide, turns = (np.arange(1, max(min(size, most), 1) + 1) for size in (columns, rows))
    number = np.outer(wide, turns).reshape(-1)
    busiest = np.outer(-(-columns // wide), -(-rows // turns)).reshape(-1)
    order = np.lexsort((busiest, number))
    order = order[number[order] <= max(most, 1)]
    least = np.minimum.accumulate(busiest[order])
    better = np.append(True, least[1:] < least[:-1])
    return number[order][better], least[better]


def windows_each(op: Mvm, copies: int, sizes: Mapping[str, int]) -> int:
    """Return the windows that the busiest of several copies of a matrix does."""
    return stripes(shape_of(op, sizes), copies).most
