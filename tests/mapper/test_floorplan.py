"""Floor plans: a published one, and what any must keep."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.mapper.floorplan import Matrix, floor_plan

MATRICES = st.lists(
    st.builds(Matrix, st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([1, 9, 25])),
    min_size=1,
    max_size=6,
)


def test_a_small_matrix_is_copied_within_its_tile() -> None:
    plan = floor_plan([Matrix(27, 512), Matrix(8192, 4096)], array=128, spread_taps=False)
    assert plan.tile_side == 1024
    assert plan.tiles == (1, 32)
    assert plan.copies == (16, 1)
    assert plan.mean_utilisation == pytest.approx((16 * 27 * 512 / 2**20 + 32) / 33)


def test_tiles_are_repeated_for_layers_read_more_often_than_the_last_convolution() -> None:
    matrices = [Matrix(128, 1024, 9), Matrix(512, 4096, 9)]
    plan = floor_plan(matrices, array=128, windows=[1024, 64])
    assert plan.element_side == 512
    assert plan.tiles == (8, 8)
    assert plan.copies == (16, 1)
    assert plan.utilisation == (1.0, 1.0)


@settings(deadline=None, max_examples=60)
@given(matrices=MATRICES, array=st.sampled_from([32, 128]), spread=st.booleans())
def test_every_cell_fits_and_tiles_are_shared_by_nobody(
    matrices: list[Matrix], array: int, spread: bool
) -> None:
    plan = floor_plan(matrices, array=array, spread_taps=spread)
    total = 0
    for matrix, tiles, copies, share in zip(
        matrices, plan.tiles, plan.copies, plan.utilisation, strict=True
    ):
        taps = plan.taps or 1
        spread_out = spread and matrix.taps == taps and matrix.rows * taps >= array
        cells = taps * plan.element_side**2 if spread_out else plan.tile_side**2
        held = matrix.rows * matrix.columns * matrix.taps * copies
        assert held <= tiles * cells
        total += held
        assert share == pytest.approx(held / (tiles * cells))
    assert 0 < plan.mean_utilisation <= 1
    assert plan.cell_utilisation == pytest.approx(total / sum(plan.cells))
