from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.mapper.assign import assign


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 6), st.integers(1, 6)), min_size=1, max_size=6),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_no_choice_is_better(
    counts: list[tuple[int, int]], cells: tuple[int, int], room: tuple[int, int]
) -> None:
    table = np.array(counts, np.int64)

    def judged(kinds: tuple[int, ...]) -> tuple[int, int]:
        """Return the rounds that a choice takes and the cells."""
        each = [sum(counts[u][k] for u, k in enumerate(kinds) if k == kind) for kind in (0, 1)]
        rounds = max([1, *(-(-held // have) for held, have in zip(each, room, strict=True))])
        return rounds, sum(held * size for held, size in zip(each, cells, strict=True))

    found = tuple(assign(table, np.array(cells), np.array(room)).tolist())
    assert all(counts[unit][kind] >= 0 for unit, kind in enumerate(found))
    every = product((0, 1), repeat=len(counts))
    legal = [k for k in every if all(counts[unit][kind] >= 0 for unit, kind in enumerate(k))]
    assert judged(found) == min(judged(kinds) for kinds in legal)


def test_one_kind_is_no_choice() -> None:
    counts = np.array([[3], [5]], np.int64)
    assert assign(counts, np.array([4]), np.array([2])).tolist() == [0, 0]
