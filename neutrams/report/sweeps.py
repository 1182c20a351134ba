"""The rows of a sweep as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from math import isfinite
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from neutrams.driver import Sweep
from neutrams.driver.sweeping.results import Cell, Row
from neutrams.report.tables import table
from neutrams.report.units import area, count, percent, quantity


def sweep_text(found: Sweep) -> list[RenderableType]:
    """Return what ``sweep`` shows: a line for each point, a fault in place of figures."""
    metric = next((str(row["metric"]) for row in found.rows if row["metric"]), "change")
    heads = (metric, "as float", "crossbars", "cores", "area", "energy", "latency", "took")
    made = table(*(f">{name}" for name in found.axes), *(f">{head}" for head in heads))
    for row in found.rows:
        axes = [Text(str(row[name]), style="bold") for name in found.axes]
        cells: list[str | Text] = [*_figures(row)] if row["status"] == "done" else _failed(row)
        made.add_row(*axes, *cells, f"{_number(row['seconds']):.1f} s")
    done = len(found.rows) - len(found.failed)
    text = f"{count(done)} of {count(len(found.rows))} points run through"
    if found.reused:
        text += f"; {count(found.reused)} rows are of an earlier run"
    return [made, Text(), *_reasons(found), Text(text)]


def sweep_json(found: Sweep) -> dict[str, Any]:
    """Return what ``sweep --format json`` emits."""
    rows = [{key: _finite(cell) for key, cell in row.items()} for row in found.rows]
    return {"axes": list(found.axes), "reused": found.reused, "rows": rows}


def _failed(row: Row) -> list[str | Text]:
    return [Text(str(row["code"]), style="red"), *[""] * 6]


def _reasons(found: Sweep) -> list[RenderableType]:
    """Say once of each kind of fault how often it came, and how the first one read."""
    first: dict[str, str] = {}
    for row in found.failed:
        first.setdefault(str(row["code"]), str(row["reason"]))
    counts = Counter(str(row["code"]) for row in found.failed)
    return [
        Text.assemble((code, "red"), f": {counts[code]} failed, as in: {reason}")
        for code, reason in first.items()
    ]


def _figures(row: Row) -> list[str]:
    value, agreement = row["metric_value"], row["agreement"]
    if value is None:
        judged = percent(_number(row["relative_error"]))
    else:
        share = row["metric"] == "accuracy" or str(row["metric"]).startswith("topk")
        judged = f"{100 * _number(value):.2f} %" if share else f"{_number(value):.4g}"
    return [
        judged,
        "" if agreement is None else percent(_number(agreement)),
        count(_number(row["crossbars"])),
        count(_number(row["cores"])),
        area(_number(row["area_mm2"])),
        quantity(_number(row["energy_j"]), "J"),
        quantity(_number(row["latency_s"]), "s"),
    ]


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, (int, float)) else 0.0


def _finite(cell: Cell) -> Cell:
    """JSON has no NaN and no infinity."""
    return None if isinstance(cell, float) and not isfinite(cell) else cell
