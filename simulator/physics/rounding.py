"""Conductances as multiples of powers of two, so that currents are exact sums in any order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neutrams.ir.types import Array
from neutrams.simulator.physics.tables import MOST, Words


class Rounded(NamedTuple):
    """Cells as multiples of a power of two for each column."""

    cells: Words
    """``[columns, rows]``."""
    fine: Array
    """``[columns]`` float32: what 1 stands for."""

    def values(self) -> Array:
        """Return the cells in the unit that they were given in, as float32."""
        return np.asarray(self.cells * self.fine[:, None], np.float32)


def rounded(cells: Array, drive: int, *, signed: bool = False) -> Rounded:
    """Round cells ``[columns, rows]`` as finely as 16 bits hold a column's current.

    Args:
        cells: conductances, 0 or more where they are not ``signed``.
        drive: the largest, on every row at once.
        signed: whether cells are differences of two.
    """
    most = MOST // 2 if signed else MOST
    reach = np.maximum(cells.clip(0).sum(axis=1), -cells.clip(None, 0).sum(axis=1))
    largest = np.maximum(reach * drive, 2.0**-40)
    room = most - 0.5 * cells.shape[1] * drive  # each cell may be rounded up
    up = 2.0 ** np.floor(np.log2(max(room, 1.0) / largest))
    whole = np.rint(cells * up[:, None])
    held = np.ascontiguousarray(whole, np.int16 if signed else np.uint16)
    return Rounded(held, (1.0 / up).astype(np.float32))


def sigma_of(cells: Array, drive: int, *, signed: bool = False) -> float:
    """Return σ of the current that rounding changes, at most, all rows driven."""
    fine = rounded(cells, drive, signed=signed).fine
    return float(_sigma(fine, drive, cells.shape[1]).max(initial=0.0))


def on_grid(cells: Array, drive: float, bits: int) -> tuple[Array, Array]:
    """Round cells ``[columns, rows]`` so that floats of so many bits hold a column's current.

    Sums of products by whole numbers up to ``drive`` are then exact, whatever the order.

    Returns:
        The cells in the unit that they were given in, and σ of what this changes in the current
        of each column, at most.
    """
    largest = np.maximum(np.abs(cells).sum(axis=1) * drive, 2.0**-40)
    room = 2.0**bits - 0.5 * cells.shape[1] * drive  # each cell may be rounded up
    fine = 2.0 ** -np.floor(np.log2(max(room, 1.0) / largest))
    made = np.rint(cells / fine[:, None]) * fine[:, None]
    return made, _sigma(fine, drive, cells.shape[1])


def _sigma(fine: Array, drive: float, rows: int) -> Array:
    return np.asarray(fine * drive * np.sqrt(rows / 12.0))
