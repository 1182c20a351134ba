"""Orders of the routers of a mesh in which every router stands beside the one before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.ir.traffic import Mesh

Order = Literal["hilbert", "snake"]


def routers_along(order: Order, mesh: Mesh) -> NDArray[np.int64]:
    """Return ``[slots]``: the routers (``row * columns + column``) of a mesh in the given order."""
    curves: dict[Order, Callable[[Mesh], NDArray[np.int64]]] = {"hilbert": hilbert, "snake": snake}
    return curves[order](mesh)


def snake(mesh: Mesh) -> NDArray[np.int64]:
    """Row by row, every second one backwards."""
    grid = np.arange(mesh.slots, dtype=np.int64).reshape(mesh.rows, mesh.columns)
    grid[1::2] = grid[1::2, ::-1].copy()
    return grid.reshape(-1)


def hilbert(mesh: Mesh) -> NDArray[np.int64]:
    """A Hilbert curve generalised to any rectangle: routers near in the order are near in the mesh.

    Two routers that follow each other are neighbours, but for one diagonal step where the longer
    side is odd and the shorter even. On a square of a power of two it is Hilbert's own curve.
    """
    order = np.empty(mesh.slots, np.int64)
    fill_hilbert(mesh.columns, mesh.rows, order)
    return order


@kernel
def fill_hilbert(columns: int, rows: int, order: NDArray[np.int64]) -> None:
    """Cut the rectangle into ever smaller ones, each entered where the last was left.

    A piece is ``x, y, ax, ay, bx, by``: it starts at ``(x, y)``, advances along the vector ``a``
    and sweeps ``b``; it ends at the far end of ``a``. A long piece becomes two along ``a``; another
    becomes three: up one half of ``b``, along ``a``, and down again.
    """
    stack = np.zeros((256, 6), np.int64)
    if columns >= rows:
        stack[0, 2], stack[0, 5] = columns, rows
    else:
        stack[0, 3], stack[0, 4] = rows, columns
    depth = 1
    done = 0
    while depth > 0:
        depth -= 1
        x, y, ax, ay, bx, by = stack[depth]
        long, wide = abs(ax + ay), abs(bx + by)
        dax, day, dbx, dby = np.sign(ax), np.sign(ay), np.sign(bx), np.sign(by)
        if wide == 1 or long == 1:
            for step in range(long * wide):
                sx, sy = (dax, day) if wide == 1 else (dbx, dby)
                order[done] = (y + step * sy) * columns + x + step * sx
                done += 1
            continue
        half = long // 2
        rise = wide // 2
        if 2 * long > 3 * wide:
            half += half % 2 if long > 2 else 0
            hx, hy = half * dax, half * day
            _push(stack, depth, x + hx, y + hy, ax - hx, ay - hy, bx, by)
            _push(stack, depth + 1, x, y, hx, hy, bx, by)
            depth += 2
            continue
        rise += rise % 2 if wide > 2 else 0
        hx, hy, rx, ry = half * dax, half * day, rise * dbx, rise * dby
        endx, endy = x + ax - dax + rx - dbx, y + ay - day + ry - dby
        _push(stack, depth, endx, endy, -rx, -ry, hx - ax, hy - ay)
        _push(stack, depth + 1, x + rx, y + ry, ax, ay, bx - rx, by - ry)
        _push(stack, depth + 2, x, y, rx, ry, hx, hy)
        depth += 3


@kernel
def _push(
    stack: NDArray[np.int64], at: int, x: int, y: int, ax: int, ay: int, bx: int, by: int
) -> None:
    stack[at, 0], stack[at, 1] = x, y
    stack[at, 2], stack[at, 3] = ax, ay
    stack[at, 4], stack[at, 5] = bx, by
