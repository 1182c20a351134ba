"""IR drop against an independent sparse nodal solve, closed forms, and a published mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from neutrams.ir.types import Array
from neutrams.simulator.physics.wires import approximated, currents, solved


def nodal(g: Array, row_ohm: float, column_ohm: float) -> Array:
    """Kirchhoff's current law at both ends of every cell; nothing shared with what is tested."""
    columns, rows = g.shape
    row_node = np.arange(rows * columns).reshape(rows, columns)
    column_node = row_node + rows * columns
    driver, sink = -1 - np.arange(rows), -1 - rows - np.arange(columns)
    edges: list[tuple[Array, Array, Array | float]] = [
        (row_node, column_node, g.T),
        (row_node[:, 1:], row_node[:, :-1], 1 / row_ohm),
        (column_node[1:], column_node[:-1], 1 / column_ohm),
        (row_node[:, 0], driver, 1 / row_ohm),
        (column_node[-1], sink, 1 / column_ohm),
    ]
    size = 2 * rows * columns
    entries: list[tuple[Array, Array, Array]] = []
    drive = np.zeros((size, rows))
    for one, other, siemens in edges:
        a, b = np.ravel(one), np.ravel(other)
        value = np.broadcast_to(siemens, np.shape(one)).ravel()
        entries.append((a, a, value))
        inner = b >= 0
        entries += [(b[inner], b[inner], value[inner])]
        entries += [(a[inner], b[inner], -value[inner]), (b[inner], a[inner], -value[inner])]
        for node, end, v in zip(a, b, value, strict=True):
            if -rows <= end < 0:
                drive[node, -1 - end] += v
    i, j, v = (np.concatenate(part) for part in zip(*entries, strict=True))
    volts = splu(coo_array((v, (i, j)), (size, size)).tocsc()).solve(drive)
    return np.asarray(volts[column_node[-1]] / column_ohm)


@given(
    st.integers(1, 9), st.integers(1, 9), st.floats(0.1, 500.0), st.floats(0.1, 500.0),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_equals_the_nodal_solve(
    columns: int, rows: int, row_ohm: float, column_ohm: float, seed: int
) -> None:
    g = np.random.default_rng(seed).uniform(1e-7, 2e-4, (columns, rows))
    found, expected = solved(g, row_ohm, column_ohm), nodal(g, row_ohm, column_ohm)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-15)


def test_currents_of_one_input() -> None:
    rng = np.random.default_rng(3)
    g, volts = rng.uniform(1e-6, 1e-4, (40, 60)), rng.uniform(-0.2, 0.2, 60)
    found = currents(g, volts, 2.0, 5.0)
    np.testing.assert_allclose(found, nodal(g, 2.0, 5.0) @ volts, rtol=1e-6)


@pytest.mark.parametrize("ohm", [(1e5, 1e4), (1e6, 10.0), (10.0, 1e6)])
def test_wires_that_resist_more_than_cells(ohm: tuple[float, float]) -> None:
    """Rows and columns in turn come near slowly, and do not stop before they are there."""
    g = np.random.default_rng(4).uniform(1e-6, 2e-4, (20, 30))
    g[3] = g[:, 5] = 0.0
    expected = nodal(g, *ohm).sum(axis=1)
    found = currents(g, np.ones(30), *ohm)
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())
    fast = approximated(g, *ohm).sum(axis=1)
    np.testing.assert_allclose(fast, expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (17, 1), (4, 6)])
@pytest.mark.parametrize("cells", ["none", "one", "far apart"])
def test_arrays_of_few_cells(shape: tuple[int, int], cells: str) -> None:
    g = np.zeros(shape)
    if cells == "one":
        g[-1, -1] = 1e-4
    elif cells == "far apart":
        g = 10.0 ** np.random.default_rng(5).uniform(-12, -3, shape)
    found, expected = solved(g, 3.0, 50.0), nodal(g, 3.0, 50.0)
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())
    np.testing.assert_array_equal(approximated(g, 3.0, 50.0)[expected == 0], 0.0)


def test_a_row_of_equal_cells_is_a_ladder() -> None:
    """Columns ideal: V_k = cosh((n - k + 1/2) a) / cosh((n + 1/2) a) behind k of n segments,
    with 2 sinh(a / 2) = √(r g)."""
    n, g, ohm = 12, 5e-5, 40.0
    a = 2 * np.arcsinh(np.sqrt(ohm * g) / 2)
    k = np.arange(1, n + 1)
    volts = np.cosh((n - k + 0.5) * a) / np.cosh((n + 0.5) * a)
    for model in (solved, approximated):
        found = model(np.full((n, 1), g), ohm, 0.0)
        np.testing.assert_allclose(found[:, 0], g * volts, rtol=1e-12)


def test_one_cell_is_three_resistors() -> None:
    g = np.array([[5e-5]])
    for model in (solved, approximated):
        assert model(g, 30.0, 70.0)[0, 0] == pytest.approx(1 / (1 / 5e-5 + 100.0), rel=1e-12)


@pytest.mark.parametrize(("size", "lost"), [(64, 0.120), (128, 0.352)])
def test_loses_what_another_solver_reports(size: int, lost: float) -> None:
    """Means of badcrossbar: cells uniform in 1 to 100 µS, segments of 1 Ω, random inputs."""
    rng = np.random.default_rng(0)
    g, volts = rng.uniform(1e-6, 1e-4, (size, size)), rng.uniform(0, 0.2, (size, 20))
    ideal, found = g @ volts, solved(g, 1.0, 1.0) @ volts
    assert (1 - found / ideal).mean() == pytest.approx(lost, abs=0.01)


@pytest.mark.parametrize(("ohm", "most"), [(0.1, 0.0001), (1.0, 0.0025), (2.0, 0.006)])
def test_how_far_the_fast_model_is_off(ohm: float, most: float) -> None:
    """Currents of 128 × 128 cells of 1 to 40 µS, bits on the rows; the bounds are in the docs."""
    rng = np.random.default_rng(1)
    g, bits = 4e-5 * rng.choice([1 / 40, 0.35, 0.675, 1], (128, 128)), rng.integers(0, 2, (128, 40))
    exact = solved(g, ohm, ohm) @ bits
    off = np.abs(approximated(g, ohm, ohm) @ bits / exact - 1)
    assert off.mean() < most
    assert np.abs(g @ bits / exact - 1).mean() > 10 * off.mean()


def test_no_resistance_changes_nothing() -> None:
    g = np.random.default_rng(2).uniform(0, 1e-4, (5, 7))
    np.testing.assert_array_equal(approximated(g, 0.0, 0.0), g)
    np.testing.assert_array_equal(solved(g, 0.0, 0.0), g)
