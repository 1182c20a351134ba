"""A chip as tables."""

from __future__ import annotations

from dataclasses import fields

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from neutrams.costs import peak, roll_up
from neutrams.ir.target import Component, Target
from neutrams.report.units import area, quantity


def target_text(target: Target, *, sources: bool = False) -> list[RenderableType]:
    """Return limits, machine and costs; with ``sources`` where each cost comes from."""
    machine = target.machine
    parts: list[RenderableType] = [Text.assemble((target.name, "bold"), f"  {target.description}")]
    for title, section in (
        ("limits", target.limits),
        ("core", machine.core),
        ("tile", machine.tile),
        *((f"cores.{kind.name}", kind) for kind in machine.smaller),
        ("network", machine.network),
    ):
        parts += [Text(), Text(title, style="bold"), _section(section)]
    parts += [
        Text(),
        Text("chip", style="bold"),
        _pairs([("tiles", machine.tiles), *_whole(target)]),
    ]
    parts += [Text(), Text("costs", style="bold"), _costs(target.costs)]
    if sources:
        parts += [Text(), Text("sources", style="bold"), _sources(target.costs)]
    return parts


def _section(section: object) -> Table:
    names = [field.name for field in fields(section)]  # type: ignore[arg-type]
    return _pairs([(name, getattr(section, name)) for name in names])


def _whole(target: Target) -> list[tuple[str, object]]:
    cost, best = roll_up(target), peak(target)
    return [
        ("tile area", area(cost.tile.area_mm2)),
        ("tile power", quantity(cost.tile.power_w, "W")),
        ("chip area", area(cost.chip.area_mm2)),
        ("chip power", quantity(cost.chip.power_w, "W")),
        (
            "peak",
            f"{best.gops:,.0f} GOPS, {best.gops_per_w:,.0f} GOPS/W, "
            f"{best.gops_per_mm2:,.0f} GOPS/mm²",
        ),
    ]


def _pairs(pairs: list[tuple[str, object]]) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim")
    table.add_column()
    for name, value in pairs:
        table.add_row(f"  {name}", _spelled(value))
    return table


def _spelled(value: object) -> str:
    """Spell a value as a target file does."""
    match value:
        case None:
            return "not stated"
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def _costs(components: tuple[Component, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("  component", "of each"):
        table.add_column(head)
    for head in ("number", "area mm²", "power mW", "static mW"):
        table.add_column(head, justify="right")
    table.add_column("energy pJ an event")
    for part in components:
        table.add_row(
            f"  {part.name}",
            part.place,
            f"{part.count:,}",
            _number(part, "area_mm2"),
            _number(part, "power_mw"),
            _number(part, "static_mw"),
            Text(", ".join(_event(part, *pair) for pair in part.energy_pj)),
        )
    table.caption = "* assumed"
    table.caption_justify = "left"
    return table


def _sources(components: tuple[Component, ...]) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for part in components:
        table.add_row(f"  {part.name}", Text(part.source))
    return table


def _number(part: Component, name: str) -> str:
    value: float = getattr(part, name)
    return f"{value:.4g}{'*' if part.assumes(name) else ''}" if value else "0"


def _event(part: Component, event: str, energy: float) -> str:
    return f"{event} {energy:.4g}{'*' if part.assumes(f'energy_pj.{event}') else ''}"
