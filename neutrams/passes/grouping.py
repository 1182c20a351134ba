"""Group the rows and columns of a matrix so that diagonal blocks hold most of its magnitude.

The search of NEUTRAMS (2016) is hill climbing over single swaps and moves. Here whole sets of
rows, then of columns, are exchanged at once: with the columns' groups fixed every row's worth to
each group is known, and the other way round, so each half step only raises what is kept. Several
starts and kicks escape poor optima. All sums are of integers, so that a seed gives one result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.types import Array

Ints = NDArray[np.int64]

LEVELS = 2**15 - 1
"""Steps to which magnitudes are rounded; sums of them are exact in 64 bits."""
STARTS = 8
KICKED = 0.05
"""Share of the columns that a kick moves."""
WORK = 2 * 10**7
"""What all climbs together may cost, in elements of the matrix; larger ones climb less often."""
PAIR = 400
"""What comparing two groups costs, in such elements."""


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Which rows and columns meet in which diagonal block."""

    rows: tuple[Ints, ...]
    """The rows that each group reads, ascending."""
    columns: tuple[Ints, ...]
    """The columns of each group, ascending; each column is in one group."""
    kept: float
    """Share of the magnitude inside the blocks."""

    @property
    def groups(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    kept: int
    of_column: Ints
    of_row: Ints
    """Only where each row has one group."""


def group(
    mass: Array, groups: int, *, rows: int, share: bool = True, seed: int = 0, climbs: int = 48
) -> Grouping:
    """Return a grouping that keeps as much of ``mass`` as was found.

    Columns are dealt so that sizes differ by 1 at most. With ``share`` every group reads the
    ``rows`` rows that suit it best, which others may read too; else each row goes to one group,
    in sizes that differ by 1 at most.

    Args:
        mass: ``[rows, columns]`` magnitudes, none negative.
        groups: At most as many as there are rows, and columns.
        rows: Most rows of a group; without ``share`` there must be room for all.
        share: Whether a row may be in several groups, or in none.
        seed: Fixes starts and kicks.
        climbs: Most hill climbs; large matrices get fewer.
    """
    height, width = mass.shape
    assert 1 <= groups <= min(height, width), groups
    assert share or rows * groups >= height, rows
    whole = _whole_numbers(mass)
    search = _Search(whole, groups, min(rows, height), share)
    best = search.run(np.random.default_rng(seed), _affordable(mass.size, groups, climbs))
    chosen = search.best_rows(best.of_column) if share else None
    each = range(groups)
    members = tuple(
        np.sort(chosen[:, k]) if chosen is not None else np.flatnonzero(best.of_row == k)
        for k in each
    )
    total = int(whole.sum(dtype=np.int64))
    return Grouping(
        members,
        tuple(np.flatnonzero(best.of_column == k) for k in each),
        best.kept / total if total else 1.0,
    )


def _whole_numbers(mass: Array) -> NDArray[np.int16]:
    top = float(mass.max(initial=0.0))
    return np.rint(mass * (LEVELS / top if top else 0.0)).astype(np.int16)


def _affordable(size: int, groups: int, climbs: int) -> int:
    return max(1, min(climbs, WORK // (size + PAIR * groups**2)))


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    mass: NDArray[np.int16]
    groups: int
    rows: int
    share: bool

    def run(self, random: np.random.Generator, climbs: int) -> _State:
        """Climb from several starts, then from the best one, kicked."""
        height, width = self.mass.shape
        starts = min(STARTS, climbs)
        best = self._climb(
            np.sort(_dealt(width, self.groups)), np.sort(_dealt(height, self.groups))
        )
        for _ in range(starts - 1):
            columns = random.permutation(_dealt(width, self.groups))
            rows = random.permutation(_dealt(height, self.groups))
            best = max(best, self._climb(columns, rows), key=lambda state: state.kept)
        for _ in range(climbs - starts):
            kicked = _kicked(best.of_column, random)
            best = max(best, self._climb(kicked, best.of_row), key=lambda state: state.kept)
        return best

    def best_rows(self, of_column: Ints) -> Ints:
        """Return ``[rows, groups]``: the rows that are worth most to each group of columns."""
        worth = _sums(self.mass, of_column, self.groups)
        best: Ints = np.argsort(-worth, axis=0, kind="stable")[: self.rows]
        return best

    def _climb(self, of_column: Ints, of_row: Ints) -> _State:
        """Improve rows and columns in turn until neither gains."""
        best = _State(-1, of_column, of_row)
        while True:
            if self.share:
                chosen = self.best_rows(of_column)
                worth = np.stack(
                    [self.mass[rows].sum(axis=0, dtype=np.int64) for rows in chosen.T], axis=1
                )
            else:
                of_row = exchange(_sums(self.mass, of_column, self.groups), of_row)
                worth = _sums(self.mass.T, of_row, self.groups)
            of_column = exchange(worth, of_column)
            kept = int(worth[np.arange(len(of_column)), of_column].sum())
            if kept <= best.kept:
                return best
            best = _State(kept, of_column, of_row)


def exchange(worth: Ints, of: Ints) -> Ints:
    """Return groups of items with a higher sum of worths, where exchanges between pairs give one.

    Sizes stay as they are, but that two groups which differ by 1 may change places.

    Args:
        worth: ``[items, groups]`` what each item is worth to each group.
        of: ``[items]`` the group of each item.
    """
    groups = worth.shape[1]
    members = [np.flatnonzero(of == k) for k in range(groups)]
    moved = True
    while moved:
        moved = False
        for a in range(groups):
            for b in range(a + 1, groups):
                if (pair := _better(worth, members[a], members[b], a, b)) is not None:
                    members[a], members[b] = pair
                    moved = True
    result = np.empty_like(of)
    for k, items in enumerate(members):
        result[items] = k
    return result


def _better(worth: Ints, first: Ints, second: Ints, a: int, b: int) -> tuple[Ints, Ints] | None:
    """Exchange the items that gain most together; an absent item of worth 0 fills the smaller."""
    gain_a, gain_b = worth[first, b] - worth[first, a], worth[second, a] - worth[second, b]
    if len(first) < len(second):
        first, gain_a = np.append(first, -1), np.append(gain_a, 0)
    elif len(second) < len(first):
        second, gain_b = np.append(second, -1), np.append(gain_b, 0)
    order_a, order_b = np.argsort(-gain_a, kind="stable"), np.argsort(-gain_b, kind="stable")
    count = int((gain_a[order_a] + gain_b[order_b] > 0).sum())
    if not count:
        return None
    to_b, to_a = first[order_a[:count]], second[order_b[:count]]
    left = np.concatenate([first[order_a[count:]], to_a])
    right = np.concatenate([second[order_b[count:]], to_b])
    return left[left >= 0], right[right >= 0]


def _dealt(items: int, groups: int) -> Ints:
    return np.arange(items, dtype=np.int64) % groups


def _kicked(of: Ints, random: np.random.Generator) -> Ints:
    """Return the groups with those of some items passed round among them."""
    count = min(len(of), max(2, int(KICKED * len(of))))
    some = random.choice(len(of), count, replace=False)
    found = of.copy()
    found[some] = of[np.roll(some, 1)]
    return found


def _sums(mass: NDArray[np.int16], of: Ints, groups: int) -> Ints:
    """Return ``[rows, groups]``: the sum of each row over the columns of each group."""
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(groups))
    sums: Ints = np.add.reduceat(mass[:, order], starts, axis=1, dtype=np.int64)
    return sums
