"""How one large integer matrix falls into blocks that a crossbar holds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int32]
"""``[B, 6]``: group_lo, group_hi, row_lo, row_hi, col_lo, col_hi of every block, ends excluded.

Rows and columns (neurons) count within one group. A block of several groups holds them whole,
one after the other along its diagonal; all other cells of it hold weight 0.
"""


def packed(fan_in: int, neurons: int, rows: int, columns: int) -> int:
    """Return how many whole groups of ``fan_in`` × ``neurons`` share a block; 1 where unsplit."""
    if not rows or not columns:
        return 1
    return max(1, min(rows // fan_in, columns // neurons))


def row_splits(fan_in: int, rows: int) -> int:
    """Return into how many blocks one neuron's inputs fall; ``rows`` 0 stands for no limit."""
    return -(-fan_in // rows) if rows else 1


@lru_cache(maxsize=64)
def blocks(groups: int, fan_in: int, neurons: int, rows: int, columns: int) -> Table:
    """Cut ``groups`` matrices of ``fan_in`` × ``neurons`` into blocks of ``rows`` × ``columns``.

    A limit of 0 stands for none. Blocks come ordered by group, then row, then column. The table is
    kept for those who ask again, and not to be written to.
    """
    group = _chunks(groups, packed(fan_in, neurons, rows, columns))
    row = _chunks(fan_in, rows or fan_in)
    column = _chunks(neurons, columns or neurons)
    index = np.indices((len(group), len(row), len(column))).reshape(3, -1)
    table = np.concatenate([group[index[0]], row[index[1]], column[index[2]]], axis=1)
    table.setflags(write=False)
    return table


def used(table: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and the neurons that each block occupies in its crossbar."""
    size = np.diff(table.astype(np.int64).reshape(-1, 3, 2), axis=2)[:, :, 0]
    return size[:, 0] * size[:, 1], size[:, 0] * size[:, 2]


def _chunks(total: int, step: int) -> Table:
    low = np.arange(0, total, step, dtype=np.int32)
    return np.stack([low, np.minimum(low + step, total, dtype=np.int32)], axis=1)
