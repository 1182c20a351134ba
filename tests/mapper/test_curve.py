"""Curves visit every router once, and step to a neighbour."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from neutrams.ir.traffic import Mesh
from neutrams.mapper.curve import Order, fill_hilbert, hilbert, routers_along, snake

SHAPES = [Mesh(columns, rows) for columns in range(1, 18) for rows in range(1, 18)]


def steps(order: NDArray[np.int64], mesh: Mesh) -> NDArray[np.int64]:
    y, x = np.divmod(order, mesh.columns)
    distance: NDArray[np.int64] = np.abs(np.diff(x)) + np.abs(np.diff(y))
    return distance


def classic_hilbert(bits: int) -> NDArray[np.int64]:
    """Column and row of every step of the power-of-two curve: the four-quadrant recursion."""
    if bits == 0:
        return np.zeros((1, 2), np.int64)
    inner, half = classic_hilbert(bits - 1), 1 << (bits - 1)
    turned = inner[:, ::-1]
    last = np.array([2 * half - 1, half - 1]) - turned
    return np.concatenate([turned, inner + np.array([0, half]), inner + half, last])


@pytest.mark.parametrize("order", get_args(Order))
def test_every_router_is_visited_once(order: Order) -> None:
    for mesh in SHAPES:
        along = routers_along(order, mesh)
        assert np.array_equal(np.sort(along), np.arange(mesh.slots))


def test_a_snake_steps_to_neighbours() -> None:
    assert all((steps(snake(mesh), mesh) == 1).all() for mesh in SHAPES)


def test_a_hilbert_curve_steps_to_neighbours_but_for_one_diagonal() -> None:
    for mesh in SHAPES:
        long, short = max(mesh.columns, mesh.rows), min(mesh.columns, mesh.rows)
        diagonals = int((steps(hilbert(mesh), mesh) == 2).sum())
        others = int((steps(hilbert(mesh), mesh) == 1).sum())
        assert diagonals + others == mesh.slots - 1
        assert diagonals <= (long % 2 == 1 and short % 2 == 0)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_on_a_power_of_two_it_is_the_classic_curve(bits: int) -> None:
    side = 1 << bits
    y, x = np.divmod(hilbert(Mesh(side, side)), side)
    ours = np.stack([x, y], axis=1)
    theirs = classic_hilbert(bits)
    assert np.array_equal(ours, theirs) or np.array_equal(ours, theirs[:, ::-1])


def test_compiled_and_plain_curves_are_equal() -> None:
    for mesh in (Mesh(7, 5), Mesh(4, 9), Mesh(16, 16)):
        plain = np.empty(mesh.slots, np.int64)
        fill_hilbert.py_func(mesh.columns, mesh.rows, plain)
        assert np.array_equal(plain, hilbert(mesh))
