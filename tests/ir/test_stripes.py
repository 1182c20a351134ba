"""Windows dealt to copies: all of them, evenly, in stripes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neutrams.ir.stripes import choices, stripes

SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 30))


@given(SHAPES, st.integers(1, 200))
def test_every_window_has_one_copy_and_none_is_idle(shape: tuple[int, int], copies: int) -> None:
    dealt = stripes(shape, copies)
    owners = dealt.owners()
    each = np.bincount(owners)
    assert len(owners) == shape[0] * shape[1]
    assert len(each) == dealt.copies <= copies
    assert each.min() >= 1
    assert each.max() == dealt.most
    columns = owners.reshape(shape) // dealt.turns
    assert (columns == columns[0]).all()
    assert (np.diff(columns[0]) >= 0).all()


@given(SHAPES, st.integers(1, 200))
def test_a_choice_leaves_fewer_windows_than_all_smaller_ones(
    shape: tuple[int, int], most: int
) -> None:
    number, busiest = choices(shape, most)
    assert number[0] == 1
    assert number[-1] <= most
    for copies in range(1, most + 1):
        best = busiest[np.searchsorted(number, copies, side="right") - 1]
        assert stripes(shape, copies).most == best


def test_windows_along_one_axis_go_round_in_turns() -> None:
    assert stripes((7, 1), 3).owners().tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_an_image_is_cut_into_stripes_first() -> None:
    assert stripes((2, 6), 3).owners().tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert stripes((4, 2), 4).owners().tolist() == [0, 2, 1, 3, 0, 2, 1, 3]
