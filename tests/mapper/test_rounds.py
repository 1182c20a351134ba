from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neutrams.mapper.rounds import cut

Key = tuple[int, int, int]


def judged(sizes: list[int], carried: list[int], starts: list[int]) -> tuple[Key, list[int]]:
    parts = [sum(sizes[a:b]) for a, b in pairwise([*starts, len(sizes)])]
    return (
        len(parts),
        sorted([0, *parts])[-2],
        sum(carried[start - 1] for start in starts[1:]),
    ), parts


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=8),
    st.integers(9, 25),
)
def test_no_cut_is_better(items: list[tuple[int, int]], room: int) -> None:
    sizes, carried = [size for size, _ in items], [bits for _, bits in items[:-1]]
    starts = cut(np.array(sizes)[:, None], np.array([room]), np.array(carried, np.int64))
    key, parts = judged(sizes, carried, starts)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert max(parts) <= room
    places = range(1, len(sizes))
    every = (
        judged(sizes, carried, [0, *c]) for n in range(len(sizes)) for c in combinations(places, n)
    )
    assert key == min(found for found, taken in every if max(taken) <= room)


def test_what_fits_is_one_part() -> None:
    assert cut(np.array([[3], [4]]), np.array([7]), np.array([1])) == [0]


@pytest.mark.parametrize("items", [1000])
def test_many_items_are_cut_soon(items: int) -> None:
    starts = cut(np.ones((items, 1), np.int64), np.array([300]), np.ones(items - 1, np.int64))
    assert len(starts) == 4


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=7),
    st.tuples(st.integers(9, 20), st.integers(5, 10)),
)
def test_every_kind_has_room(items: list[tuple[int, int]], room: tuple[int, int]) -> None:
    sizes = np.array(items, np.int64)
    starts = cut(sizes, np.array(room), np.zeros(len(items) - 1, np.int64))
    parts = np.add.reduceat(sizes, starts, axis=0)
    assert (parts <= room).all()
    ways = (c for n in range(len(items)) for c in combinations(range(1, len(items)), n))
    whole = (np.add.reduceat(sizes, [0, *c], axis=0) for c in ways)
    assert len(starts) == min(len(part) for part in whole if (part <= room).all())
