"""Where an energy comes from: each number of the chip's table, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from neutrams.costs import Charge, Entry
from neutrams.report.tables import table
from neutrams.report.units import count, percent, quantity


def entries_text(charge: Charge) -> list[RenderableType]:
    """Return the numbers that an energy is made of, by component, and their sources."""
    made = table("entry", ">each", ">times", ">energy", ">share")
    sources = Table.grid(padding=(0, 3))
    sources.add_column(style="dim", no_wrap=True)
    sources.add_column()
    whole = charge.energy_j or 1.0
    for component, entries in by_component(charge):
        made.add_row(Text(f"costs.{component}", style="bold"))
        for entry in entries:
            made.add_row(
                f"  {_number(entry)}",
                _each(entry),
                count(entry.times),
                quantity(entry.energy_j, "J"),
                percent(entry.energy_j / whole),
            )
        sources.add_row(component, Text(entries[0].source))
    return [Text(), made, Text("* assumed", style="dim"), Text(), sources]


def by_component(charge: Charge) -> Iterator[tuple[str, list[Entry]]]:
    """Yield components with their entries, the heaviest component first."""
    weights = {part.component: part.energy_j for part in charge.parts}

    def order(entry: Entry) -> tuple[float, str]:
        return (-weights[_component(entry)], _component(entry))

    for component, entries in groupby(sorted(charge.entries, key=order), _component):
        yield component, list(entries)


def _component(entry: Entry) -> str:
    return entry.key.split(".")[1]


def _number(entry: Entry) -> str:
    """Return an entry's key below its component."""
    return entry.key.split(".", 2)[2]


def _each(entry: Entry) -> str:
    unit = "mW" if entry.key.endswith(".static_mw") else "pJ"
    return f"{entry.value:.4g} {unit}{'*' if entry.assumed else ' '}"
