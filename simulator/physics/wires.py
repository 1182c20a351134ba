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
    from scipy.linalg.lapack import dpotrf, dpotri

    if not (row_ohm and column_ohm):
        return approximated(g, row_ohm, column_ohm)
    columns, rows = g.shape
    along, down = 1.0 / row_ohm, 1.0 / column_ohm
    inverse = np.zeros((columns, columns))  # column voltages by the current that leaves below
    first = np.empty(columns)
    driven = np.zeros((columns, rows), order="F")  # those by the voltage of each row so far
    for row in range(rows):
        stiff = inverse
        eliminate_row(np.ascontiguousarray(g[:, row]), along, down, row > 0, stiff, first)
        factor, fault = dpotrf(stiff.T, lower=1, overwrite_a=1)
        assert not fault, "conductances are positive"
        inverse = np.ascontiguousarray(dpotri(factor, lower=1, overwrite_c=1)[0].T)
        mirror(inverse)
        driven[:, :row] *= down
        driven[:, row] = first
        driven[:, : row + 1] = inverse @ driven[:, : row + 1]
    return np.asarray(down * driven)


@kernel
def eliminate_row(
    cells: Doubles, along: float, down: float, above: bool, inverse: Doubles, first: Doubles
) -> None:
    """Write the equations of the column nodes at a row, those of its row nodes eliminated.

    A row's wire is a tridiagonal system. Its inverse follows from pivots of eliminations that
    start at either end: G[k, k] from both, and G[k, n] = G[k + 1, n] · along / pivot[k] for k < n.

    Args:
        cells: ``[columns]`` conductances.
        along: conductance of a row's wire from one cell to the next.
        down: that of a column's.
        above: whether there is a row before this one.
        inverse: ``[columns, columns]`` that of the row before, of which the upper triangle is read;
            the upper triangle is the result.
        first: ``[columns]`` result: current into the column nodes at 1 V at the row's driver.
    """
    count = cells.shape[0]
    wire, pivot, back = np.empty(count), np.empty(count), np.empty(count)
    for k in range(count):
        wire[k] = cells[k] + along * (2.0 if k + 1 < count else 1.0)
        pivot[k] = wire[k] - (along * along / pivot[k - 1] if k else 0.0)
    for k in range(count - 1, -1, -1):
        back[k] = wire[k] - (along * along / back[k + 1] if k + 1 < count else 0.0)
    line = np.zeros(count)  # of the inverse, row by row from the last
    for k in range(count - 1, -1, -1):
        ratio, cell, into = along / pivot[k], cells[k], inverse[k]
        for n in range(k + 1, count):
            line[n] *= ratio
        line[k] = 1.0 / (pivot[k] + back[k] - wire[k])
        for n in range(k, count):
            into[n] = -cell * line[n] * cells[n] - (down * down * into[n] if above else 0.0)
        into[k] += cell + down * (2.0 if above else 1.0)
    for n in range(count):
        first[n] = along * line[n] * cells[n]


@kernel
def mirror(matrix: Doubles) -> None:
    """Copy the upper triangle to the lower one."""
    for low in range(0, matrix.shape[0], _BLOCK):
        for row in range(low, matrix.shape[0]):
            for column in range(low, min(low + _BLOCK, row)):
                matrix[row, column] = matrix[column, row]


_BLOCK = 32


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
        found = found * _rows(cells, np.zeros_like(cells), row_ohm, np.ones(cells.shape[1]))
    if column_ohm:
        found = found * _columns(cells, np.zeros_like(cells), column_ohm, end=1.0)
    if not (row_ohm and column_ohm):
        return found
    given = found.sum(axis=1, keepdims=True)
    ones = np.ones(cells.shape[1])
    exact = currents(cells, ones, row_ohm, column_ohm, settled=_SETTLED)[:, None]
    scale = np.divide(exact, given, out=np.ones_like(given), where=given > 0)
    return np.asarray(found * scale)


def currents(
    g: Array, volts: Array, row_ohm: float, column_ohm: float, *, settled: float = 1e-10
) -> Array:
    """Return what each column gives, in A, at ``volts`` ``[rows]``, for wires that both resist.

    Rows and columns are solved in turn until no current is off by more than about ``settled`` of
    the largest. For one input that is faster than :func:`solved`, which serves where wires resist
    so much that a thousand turns are not enough.
    """
    cells = np.ascontiguousarray(g, np.float64)
    below = np.zeros_like(cells)
    found: Array = cells @ volts
    last = 0.0
    for _ in range(_SWEEPS):
        above = _rows(cells, below, row_ohm, volts)
        below = _columns(cells, above, column_ohm, end=0.0)
        before, found = found, below[:, -1] / column_ohm
        step = float(np.abs(found - before).max())
        left = step * step / (last - step) if step < last else step  # as steps shrink
        if left <= settled * np.abs(found).max() and (last or not step):
            return found
        last = step
    return solved(cells, row_ohm, column_ohm) @ volts


_SWEEPS = 1000
_SETTLED = 1e-6
"""Far below what the fast model is off."""


def _rows(cells: Array, below: Array, ohm: float, volts: Array) -> Array:
    """Return the voltages along rows, given those of the columns; ``[columns, rows]``."""
    out = np.empty_like(cells)
    lines(cells, below, 1.0 / ohm, volts.astype(np.float64), out)
    return out


def _columns(cells: Array, above: Array, ohm: float, *, end: float) -> Array:
    """Return the voltages along columns held at ``end``, given those of the rows."""
    out = np.empty(cells.shape[::-1])
    turned, driven = (np.ascontiguousarray(each.T[::-1]) for each in (cells, above))
    lines(turned, driven, 1.0 / ohm, np.full(len(cells), end), out)
    return np.ascontiguousarray(out[::-1].T)


@kernel
def lines(cells: Doubles, beyond: Doubles, wire: float, drive: Doubles, out: Doubles) -> None:
    """Write the voltages along wires, each held at its ``drive`` before its first cell.

    Args:
        cells: ``[cells, wires]`` conductances.
        beyond: ``[cells, wires]`` voltages at the other ends of the cells.
        wire: conductance of a wire from one cell to the next.
        drive: ``[wires]`` in volts.
        out: ``[cells, wires]`` result.
    """
    count, wires = cells.shape
    load, pull = np.empty((count, wires)), np.empty((count, wires))
    behind, pulled = np.zeros(wires), np.zeros(wires)  # all cells from one on, through its wire
    for at in range(count - 1, -1, -1):
        held, ends, weight, force = cells[at], beyond[at], load[at], pull[at]
        for n in range(wires):
            weight[n] = held[n] + behind[n]
            force[n] = held[n] * ends[n] + pulled[n]
            part = wire / (weight[n] + wire)
            behind[n], pulled[n] = weight[n] * part, force[n] * part
    voltage = drive.copy()
    for at in range(count):
        weight, force, into = load[at], pull[at], out[at]
        for n in range(wires):
            voltage[n] = (wire * voltage[n] + force[n]) / (wire + weight[n])
            into[n] = voltage[n]
