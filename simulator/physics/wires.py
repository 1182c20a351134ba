"""IR drop: what an array conducts from each row to each converter, through wires that resist.

Rows are driven at the end of column 0; converters hold the other end of each column, past its last
row, at zero volts; rows that are not driven are held at zero. Cells and wires are linear, so the
circuit as a whole is a matrix of conductances, found once for each array; reads cost nothing more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.ir.types import Array

Doubles = NDArray[np.float64]


def solved(g: Array, row_ohm: float, column_ohm: float) -> Array:
    """Return effective conductances ``[columns, rows]`` of cells ``g`` of the same shape, in S.

    The circuit's equations are eliminated row after row, which leaves one dense system of the
    columns for each: exact but for rounding.
    """
    if not (row_ohm and column_ohm):
        return approximated(g, row_ohm, column_ohm)
    columns, rows = g.shape
    along, down = 1.0 / row_ohm, 1.0 / column_ohm
    wire = np.diag(np.full(columns, 2.0 * along)) - along * (
        np.eye(columns, k=1) + np.eye(columns, k=-1)
    )
    wire[-1, -1] = along
    above = np.zeros((columns, columns))  # column voltages by the current that leaves below
    driven = np.zeros((columns, rows))  # column voltages by the voltage of each row so far
    for row in range(rows):
        cells = g[:, row]
        through = np.linalg.solve(wire + np.diag(cells), np.diag(cells))  # row nodes by columns
        own = down * np.eye(columns) * (1 + (row > 0)) + np.diag(cells) - cells[:, None] * through
        inverse = np.linalg.inv(own - down**2 * above)
        source = driven * down
        source[:, row] = through[0] * along  # by symmetry, what a volt at the driver gives
        driven, above = inverse @ source, inverse
    return np.asarray(down * driven)


def approximated(g: Array, row_ohm: float, column_ohm: float) -> Array:
    """Return about what :func:`solved` does, in time proportional to the cells.

    A cell's voltage falls along its row as if columns were at zero volts, and its current divides
    along its column as if rows were ideal. Then each column is scaled to what it gives exactly
    with all rows driven. Where rows or columns do not resist, that is exact.
    """
    cells = np.ascontiguousarray(g, np.float64)
    if not (row_ohm or column_ohm):
        return cells
    found = cells
    if row_ohm:
        found = found * _rows(cells, np.zeros_like(cells), row_ohm)
    if column_ohm:
        found = found * _columns(cells, np.zeros_like(cells), column_ohm, end=1.0)
    if not (row_ohm and column_ohm):
        return found
    given = found.sum(axis=1, keepdims=True)
    exact = _all_driven(cells, row_ohm, column_ohm)[:, None]
    scale = np.divide(exact, given, out=np.ones_like(given), where=given > 0)
    return np.asarray(found * scale)


def _all_driven(cells: Array, row_ohm: float, column_ohm: float) -> Array:
    """Return the current of each column at 1 V on every row, rows and columns solved in turn."""
    below = np.zeros_like(cells)
    current: Array = cells.sum(axis=1)
    for _ in range(_SWEEPS):
        above = _rows(cells, below, row_ohm)
        below = _columns(cells, above, column_ohm, end=0.0)
        before, current = current, below[:, -1] / column_ohm
        if np.abs(current - before).max() <= _SETTLED * current.max():
            break
    return current


_SWEEPS, _SETTLED = 500, 1e-9


def _rows(cells: Array, below: Array, ohm: float) -> Array:
    """Return the voltages along rows at 1 V, given those of the columns; ``[columns, rows]``."""
    out = np.empty(cells.shape[::-1])
    lines(np.ascontiguousarray(cells.T), np.ascontiguousarray(below.T), 1.0 / ohm, 1.0, out)
    return np.ascontiguousarray(out.T)


def _columns(cells: Array, above: Array, ohm: float, *, end: float) -> Array:
    """Return the voltages along columns held at ``end``, given those of the rows."""
    out = np.empty_like(cells)
    turned, driven = (np.ascontiguousarray(each[:, ::-1]) for each in (cells, above))
    lines(turned, driven, 1.0 / ohm, end, out)
    return np.ascontiguousarray(out[:, ::-1])


@kernel
def lines(cells: Doubles, beyond: Doubles, wire: float, drive: float, out: Doubles) -> None:
    """Write the voltages along wires, each held at ``drive`` before its first cell.

    Args:
        cells: ``[wires, cells]`` conductances.
        beyond: ``[wires, cells]`` voltages at the other ends of the cells.
        wire: conductance of a wire from one cell to the next.
        drive: in volts.
        out: ``[wires, cells]`` result.
    """
    count = cells.shape[1]
    load, pull = np.empty(count), np.empty(count)
    for line in range(cells.shape[0]):
        behind, pulled = 0.0, 0.0  # Norton equivalent of all cells from one on, through its wire
        for at in range(count - 1, -1, -1):
            load[at] = cells[line, at] + behind
            pull[at] = cells[line, at] * beyond[line, at] + pulled
            part = wire / (load[at] + wire)
            behind, pulled = load[at] * part, pull[at] * part
        voltage = drive
        for at in range(count):
            voltage = (wire * voltage + pull[at]) / (wire + load[at])
            out[line, at] = voltage
