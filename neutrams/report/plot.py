"""A sweep as a picture: how good each point is, against its energy and its crossbars."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from neutrams.driver import Sweep, check_writable
from neutrams.driver.sweeping.results import Row, need_package
from neutrams.ir.diagnostics import NeutramsError, Place, error

KINDS = (".png", ".svg", ".pdf")
PANELS = (("energy_j", "energy of an inference", "J"), ("crossbars", "crossbars", ""))
"""Column, label and unit of what each point costs."""
MARKERS = "osD^vP*X<>"
LEGEND = 24
"""Most entries of a legend; of more points the table tells."""


def check_plot(path: str | Path) -> None:
    """Refuse a path at which no picture could be written.

    Raises:
        NeutramsError: NT0020, NT0547 matplotlib is missing, NT0548 another ending.
    """
    path = Path(path)
    if path.suffix not in KINDS:
        fault = error("NT0548", f"a picture is written as {', '.join(KINDS)}, not `{path.suffix}`")
        raise NeutramsError(fault.at(Place(str(path))))
    need_package("matplotlib", extra="plot", purpose="to draw")
    check_writable(path)


def plot(found: Sweep, path: str | Path) -> None:
    """Draw the points that were run: colours by the first axis, markers by the second.

    The line joins the points that no other beats in both respects.

    Raises:
        NeutramsError: as :func:`check_plot`.
    """
    check_plot(path)
    style: Any = import_module("matplotlib.style")
    figures: Any = import_module("matplotlib.figure")
    good = quality(found)
    rows = [row for row in found.rows if row["status"] == "done" and row[good] is not None]
    with style.context("default"):
        figure = figures.Figure(figsize=(10, 4.2), layout="constrained")
        panels = zip(figure.subplots(1, 2, sharey=True), PANELS, strict=True)
        for axes, (key, label, unit) in panels:
            _panel(axes, found, rows, key, good)
            _scale(axes, [_number(row, key) for row in rows], unit)
            axes.set_xlabel(label)
        first, second = figure.axes
        first.set_ylabel(_label(rows, good))
        if rows and len(second.get_legend_handles_labels()[1]) <= LEGEND:
            second.legend(fontsize="small", loc="best")
        figure.savefig(path, dpi=150)


def quality(found: Sweep) -> str:
    """Return the column that says how good a point is."""
    known = ("metric_value", "agreement", "relative_error")
    return next((key for key in known if any(row[key] is not None for row in found.rows)), known[0])


def best(rows: list[Row], cost: str, good: str, *, larger: bool) -> list[Row]:
    """Return the rows that none beats in both cost and quality, by rising cost."""
    sign = -1.0 if larger else 1.0
    found: list[Row] = []
    for row in sorted(rows, key=lambda row: (_number(row, cost), sign * _number(row, good))):
        if not found or sign * _number(row, good) < sign * _number(found[-1], good):
            found.append(row)
    return found


def _panel(axes: Any, found: Sweep, rows: list[Row], cost: str, good: str) -> None:
    colour, marker = found.axes[0], found.axes[1] if len(found.axes) > 1 else ""
    colours = {value: f"C{i % 10}" for i, value in enumerate(_values(rows, colour))}
    shapes = {v: MARKERS[i % len(MARKERS)] for i, v in enumerate(_values(rows, marker))}
    named = set()
    for row in rows:
        value, shape = row[colour], shapes.get(row.get(marker), "o")
        label = f"{colour} = {value}" + (f", {marker} = {row[marker]}" if marker else "")
        axes.plot(
            _number(row, cost), _number(row, good), shape, color=colours[value],
            label=None if label in named else label,
        )  # fmt: skip
        named.add(label)
    line = best(rows, cost, good, larger=_larger_is_better(rows, good))
    axes.plot(
        [_number(row, cost) for row in line], [_number(row, good) for row in line], "-",
        color="0.6", linewidth=1, zorder=0,
    )  # fmt: skip
    axes.grid(True, color="0.9")


def _scale(axes: Any, costs: list[float], unit: str) -> None:
    """Spread costs of several decades on a log axis; others read better on a plain one."""
    ticks: Any = import_module("matplotlib.ticker")
    if costs and 0 < min(costs) < max(costs) / 10:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(ticks.NullFormatter())
    axes.xaxis.set_major_formatter(ticks.EngFormatter(unit=unit))


def _larger_is_better(rows: list[Row], good: str) -> bool:
    errors = good == "relative_error" or any(row["metric"] in ("mse", "mae") for row in rows)
    return good == "agreement" or not errors


def _label(rows: list[Row], good: str) -> str:
    if good != "metric_value":
        return {"agreement": "same class as in float", "relative_error": "change of outputs"}[good]
    return str(next((row["metric"] for row in rows), "metric"))


def _values(rows: list[Row], axis: str) -> list[object]:
    return list(dict.fromkeys(row.get(axis) for row in rows))


def _number(row: Row, key: str) -> float:
    cell = row[key]
    assert isinstance(cell, (int, float)), (key, cell)
    return float(cell)
