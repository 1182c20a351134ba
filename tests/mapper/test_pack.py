"""Groups get distinct crossbars in order, and a chip that is too small is told what would fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.codes import CODES
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.traffic import Mesh
from neutrams.mapper.pack import Border, Packing, pack

SIZES = st.lists(st.integers(0, 20), max_size=12).map(np.array)


def packed(sizes: list[int], *, tiles: int = 4, align: Border = "crossbar") -> Packing:
    """Pack into tiles of two cores of three crossbars each."""
    return pack(
        np.array(sizes, int), crossbars_per_core=3, cores_per_tile=2, tiles=tiles, align=align
    )


def test_groups_follow_each_other_without_gaps() -> None:
    packing = packed([2, 5, 0, 1])
    assert packing.first.tolist() == [0, 2, 7, 7]
    assert packing.crossbars.tolist() == list(range(8))
    assert packing.group_tiles.tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert packing.crossbars_of(1).tolist() == [2, 3, 4, 5, 6]


def test_aligned_groups_share_no_core() -> None:
    packing = packed([2, 5, 0, 1], align="core")
    assert packing.first.tolist() == [0, 3, 9, 9]
    assert packing.crossbars.tolist() == [0, 1, 3, 4, 5, 6, 7, 9]
    assert packing.used_cores == 4


def test_aligned_groups_share_no_tile() -> None:
    assert packed([2, 7, 1], align="tile").group_tiles.tolist() == [0, 0, *[1] * 6, 2, 3]


def test_utilisation_counts_crossbars() -> None:
    packing = packed([2, 5, 1])
    assert (packing.used, packing.available) == (8, 24)
    assert (packing.used_cores, packing.used_tiles) == (3, 2)
    assert packing.utilisation == pytest.approx(8 / 24)
    assert packing.fill == pytest.approx(8 / 12)


def test_nothing_to_pack() -> None:
    packing = packed([])
    assert (packing.used, packing.used_tiles, packing.fill) == (0, 0, 0.0)
    assert len(packing.crossbars) == 0


def test_an_exact_fit_fits() -> None:
    assert packed([20, 4]).utilisation == 1.0


def test_a_chip_too_small_is_told_the_smallest_that_fits() -> None:
    with pytest.raises(NeutramsError) as caught:
        packed([20, 5])
    assert str(caught.value) == (
        "error[NT0401]: the chip has too few crossbars: 25 needed, 24 available\n"
        "   = note: 4 tiles × 2 cores × 3 crossbars = 24\n"
        "   = help: the smallest chip that fits: --set chip.tiles=5"
    )
    assert "NT0401" in CODES


def test_the_gaps_of_aligned_groups_are_mentioned() -> None:
    with pytest.raises(NeutramsError) as caught:
        packed([19, 4], align="core")
    (fault,) = caught.value.diagnostics
    assert fault.message == "the chip has too few crossbars: 25 needed, 24 available"
    assert fault.notes[1] == "2 of them stay empty: every group starts a new core"


def test_a_larger_chip_comes_with_a_mesh_that_holds_it() -> None:
    with pytest.raises(NeutramsError) as caught:
        pack(
            np.array([61]),
            crossbars_per_core=1,
            cores_per_tile=1,
            tiles=16,
            mesh=Mesh(4, 2),
            per_router=2,
        )
    (fault,) = caught.value.diagnostics
    assert fault.helps == (
        "the smallest chip that fits: "
        "--set chip.tiles=61 --set network.columns=6 --set network.rows=6",
    )


@settings(deadline=None)
@given(SIZES, st.integers(1, 5), st.integers(1, 5), st.sampled_from(["crossbar", "core", "tile"]))
def test_crossbars_are_distinct_and_the_proposed_chip_is_the_smallest(
    sizes: np.ndarray, per_core: int, per_tile: int, align: Border
) -> None:
    def fits(tiles: int) -> bool:
        try:
            packing = pack(
                sizes,
                crossbars_per_core=per_core,
                cores_per_tile=per_tile,
                tiles=tiles,
                align=align,
            )
        except NeutramsError as fault:
            proposed.append(int(fault.diagnostics[0].helps[0].rpartition("=")[2]))
            return False
        crossbars = packing.crossbars
        assert len(np.unique(crossbars)) == len(crossbars) == sizes.sum()
        assert not len(crossbars) or 0 <= crossbars.min() <= crossbars.max() < packing.available
        return True

    proposed: list[int] = []
    if not fits(1):
        assert not fits(proposed[0] - 1)
        assert fits(proposed[0])
