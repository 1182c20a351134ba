"""Tables: one of layers that narrows with the terminal, and the two plain kinds."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from neutrams.driver import LayerCost, LayerUse
from neutrams.report.units import count, percent, quantity

NAME_WIDTH = 24

Row = tuple[str, RenderableType]

_OTHERS = {"network": "between tiles", "io": "on, off chip", "programming": "programming cells"}


_HEADS = (
    "layer", "does", "on", "bits", ">crossbars", ">copies", ">used", ">windows", ">done",
    ">ADC reads", ">energy", ">share",
)  # fmt: skip
_LEAST_NEEDED = ("copies", "windows", "used", "ADC reads", "done", "does", "share")
"""Columns that narrow terminals go without, in this order."""


def layer_table(
    uses: tuple[LayerUse, ...],
    costs: tuple[LayerCost, ...],
    others: tuple[LayerCost, ...],
    width: int,
) -> Table:
    """Return one row a layer; with costs also conversions and energy, ``others`` at the end.

    Weight and input bits are shown where layers differ in them.
    """
    total = sum(cost.energy_j for cost in (*costs, *others))
    rows = [_place_cells(use) for use in uses]
    for row, cost in zip(rows, costs, strict=False):
        row += _cost_cells(cost, total)
    for cost in others:
        name = Text(_OTHERS.get(cost.name, cost.name), style="dim")
        rows.append([name, *[Text()] * 8, *_cost_cells(cost, total)])
    heads = list(_HEADS if costs else _HEADS[:9])
    if len({_bits(use) for use in uses if use.crossbars}) < 2:
        rows = _without("bits", heads, rows)
    for head in _LEAST_NEEDED:
        if _width(heads, rows) > width:
            rows = _without(head, heads, rows)
    made = table(*heads)
    for row in rows:
        made.add_row(*row)
    return made


def _without(head: str, heads: list[str], rows: list[list[Text]]) -> list[list[Text]]:
    """Drop a column, if it is there, from the heads, and return the rows without it."""
    names = [name.lstrip(">") for name in heads]
    if head not in names:
        return rows
    place = names.index(head)
    del heads[place]
    return [row[:place] + row[place + 1 :] for row in rows]


def _bits(use: LayerUse) -> str:
    return f"{use.weight_bits}/{use.input_bits}" if use.crossbars else ""


def _width(heads: list[str], rows: list[list[Text]]) -> int:
    columns = zip(*rows, strict=True) if rows else ()
    widths: list[int] = [max(cell.cell_len for cell in column) for column in columns]
    named = (max(len(head.lstrip(">")), size) for head, size in zip(heads, widths, strict=False))
    return sum(named) + 2 * (len(heads) - 1)


def _place_cells(use: LayerUse) -> list[Text]:
    held = [""] * 4
    if use.crossbars:
        held = [
            count(use.crossbars),
            count(use.copies),
            percent(use.utilisation),
            count(use.windows),
        ]
    place = Text("crossbars", style="cyan") if use.crossbars else Text("digital", style="dim")
    texts = [Text(text) for text in (_bits(use), *held, quantity(use.finish_s, "s"))]
    return [Text(short(use.name)), Text(use.kind), place, *texts]


def short(name: str) -> str:
    """Return a name of at most ``NAME_WIDTH``; both ends tell names of one network apart."""
    half = NAME_WIDTH // 2
    return name if len(name) <= NAME_WIDTH else f"{name[:half]}…{name[1 - half :]}"


def _cost_cells(cost: LayerCost, total: float) -> list[Text]:
    conversions = cost.counts.get("adc_conversions", 0) / cost.samples
    share = percent(cost.energy_j / total) if total else ""
    reads = count(conversions) if conversions else ""
    return [Text(reads), Text(quantity(cost.energy_j, "J")), Text(share)]


def facts(rows: list[Row]) -> Table:
    """Return names and what they are, side by side."""
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim")
    grid.add_column()
    for row in rows:
        grid.add_row(*row)
    return grid


def table(*heads: str) -> Table:
    """Return a table; heads that begin with ``>`` are of numbers, with ``~`` of text that wraps."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        made.add_column(
            head.lstrip(">~"),
            justify="right" if head.startswith(">") else "left",
            no_wrap=not head.startswith("~"),
        )
    return made
