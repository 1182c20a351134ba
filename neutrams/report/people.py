"""Results as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from neutrams.driver import Check, LayerCost, LayerUse, Quality, Resources, Simulation
from neutrams.report.units import area, count, percent, quantity

SHOWN_ASSUMPTIONS = 4
NAME_WIDTH = 24


def footer(written: str, reused: tuple[str, ...]) -> RenderableType:
    """Say where the program is, and what was taken from an earlier compile."""
    text = Text.assemble("wrote ", (written, "bold"))
    if reused:
        text.append(f"  (reused from the cache: {', '.join(reused)})", style="dim")
    return text


def resources_text(found: Resources) -> list[RenderableType]:
    """Return what ``compile`` shows: where layers run, and what the network takes of the chip."""
    return [_layer_table(found.layers, {}, ()), Text(), _facts(_resource_rows(found)), Text()]


def simulation_text(found: Simulation) -> list[RenderableType]:
    """Return what ``simulate`` shows."""
    rows = [*_quality_rows(found), *_cost_rows(found), *_resource_rows(found.resources)]
    costs = dict(zip(found.resources.layers, found.layers, strict=True))
    return [
        _layer_table(found.resources.layers, costs, (*found.others, _static(found))),
        Text(),
        _component_table(found),
        Text(),
        _facts(rows),
        *_assumptions(found),
        *(Text(diagnostic.render(), style="yellow") for diagnostic in found.warnings),
    ]


def check_text(found: Check) -> list[RenderableType]:
    """Return what ``check`` shows."""
    table = _table("op", "value", "runs on", "~why")
    for op in found.ops:
        style = "cyan" if op.place == "crossbar" else ""
        place = "crossbars" if op.place == "crossbar" else "digital unit"
        reason = Text(op.reason, style="dim")
        table.add_row(op.op, _short(op.name), Text(place, style=style), reason)
    machine = found.target.machine
    verdict = ("it fits", "bold green") if found.fits else ("it does not fit", "bold red")
    rows = [
        ("weights", count(found.weights)),
        ("crossbars", f"{count(found.crossbars)} of {count(machine.crossbars)}"),
        ("smallest chip", f"{count(found.smallest_tiles)} of {count(machine.tiles)} tiles"),
    ]
    parts: list[RenderableType] = [table, Text(), _facts([(k, Text(v)) for k, v in rows])]
    if not found.fits:
        help = (
            f"a chip of {found.smallest_tiles} tiles would: --set chip.tiles={found.smallest_tiles}"
        )
        return [*parts, Text.assemble(verdict, f" `{found.target.name}`; {help}")]
    return [*parts, Text.assemble(verdict, f" `{found.target.name}`")]


def _layer_table(
    uses: tuple[LayerUse, ...],
    costs: dict[LayerUse, LayerCost],
    others: tuple[LayerCost, ...],
) -> Table:
    """Return one row a layer; with costs also conversions and energy, ``others`` at the end."""
    places = ["layer", "does", "on", ">crossbars", ">copies", ">used", ">rounds", ">done"]
    table = _table(*places, *([">ADC reads", ">energy", ">share"] if costs else []))
    total = sum(cost.energy_j for cost in (*costs.values(), *others))
    for use in uses:
        table.add_row(*_place_cells(use), *(_cost_cells(costs[use], total) if costs else []))
    for cost in others:
        empty = [""] * (len(places) - 2)
        name = Text(_OTHERS.get(cost.name, cost.name), style="dim")
        table.add_row(name, "", *empty, *_cost_cells(cost, total))
    return table


def _static(found: Simulation) -> LayerCost:
    """What leaks while an inference is under way, whatever runs."""
    energy = sum(part.static_j for part in found.charge.parts)
    return LayerCost("static power", energy, {}, found.samples)


_OTHERS = {"network": "between tiles", "io": "on, off chip"}


def _place_cells(use: LayerUse) -> list[RenderableType]:
    held = (
        [count(use.crossbars), count(use.copies), percent(use.utilisation), count(use.windows)]
        if use.crossbars
        else [""] * 4
    )
    place = Text("crossbars", style="cyan") if use.crossbars else Text("digital", style="dim")
    return [Text(_short(use.name)), use.kind, place, *held, quantity(use.finish_s, "s")]


def _short(name: str) -> str:
    """Return a name of at most ``NAME_WIDTH``; both ends tell names of one network apart."""
    half = NAME_WIDTH // 2
    return name if len(name) <= NAME_WIDTH else f"{name[:half]}…{name[1 - half :]}"


def _cost_cells(cost: LayerCost, total: float) -> list[RenderableType]:
    conversions = cost.counts.get("adc_conversions", 0) / cost.samples
    share = percent(cost.energy_j / total) if total else ""
    return [count(conversions) if conversions else "", quantity(cost.energy_j, "J"), share]


def _component_table(found: Simulation) -> Table:
    table = _table("component", "of each", ">energy", ">share", ">static", ">area", ">share")
    areas = {part.name: part.area_mm2 for part in found.resources.components}
    energy, whole = found.energy_j or 1.0, found.resources.area_mm2 or 1.0
    parts = [p for p in found.charge.parts if p.energy_j or areas[p.component]]
    for part in sorted(parts, key=lambda part: -part.energy_j):
        mm2 = areas[part.component]
        table.add_row(
            part.component,
            part.place,
            quantity(part.energy_j, "J"),
            percent(part.energy_j / energy),
            quantity(part.static_j, "J") if part.static_j else "",
            area(mm2),
            percent(mm2 / whole),
        )
    return table


Row = tuple[str, RenderableType]


def _quality_rows(found: Simulation) -> list[Row]:
    rows: list[Row] = [("samples", count(found.samples))]
    if found.quality is not None:
        rows.append((found.quality.metric, _quality(found.quality)))
    if found.agreement is not None:
        rows.append(("same class as float", percent(found.agreement)))
    if found.relative_error is not None:
        rows.append(("change of outputs", f"{percent(found.relative_error)} RMS, against float"))
    return rows


def _quality(quality: Quality) -> Text:
    def spell(value: float) -> str:
        return f"{100 * value:.2f} %" if quality.percent else f"{value:.6g}"

    if quality.float_value is None:
        return Text(spell(quality.value), style="bold green")
    change = quality.value - quality.float_value
    points = f"{100 * change:+.2f} points" if quality.percent else f"{change:+.3g}"
    return Text.assemble(
        (spell(quality.value), "bold green"),
        f"  on the chip, {spell(quality.float_value)} in float ({points})",
    )


def _cost_rows(found: Simulation) -> list[Row]:
    return [
        ("energy", Text.assemble((quantity(found.energy_j, "J"), "bold"), " an inference")),
        ("power", Text.assemble((quantity(found.power_w, "W"), "bold"), " with a full pipeline")),
    ]


def _resource_rows(found: Resources) -> list[Row]:
    on, whole = found.occupancy, found.available
    bits = found.bits
    return [
        ("latency", Text(quantity(found.latency_s, "s"), style="bold")),
        (
            "throughput",
            Text.assemble((count(found.throughput_per_s), "bold"), " inferences a second"),
        ),
        (
            "area",
            Text.assemble(
                (area(found.area_mm2), "bold"),
                f" in use; the whole chip has {area(found.chip_area_mm2)}",
            ),
        ),
        (
            "in use",
            f"{count(on.crossbars)} of {count(whole.crossbars)} crossbars, "
            f"{count(on.cores)} of {count(whole.cores)} cores, "
            f"{count(on.tiles)} of {count(whole.tiles)} tiles",
        ),
        ("utilisation", f"{percent(found.utilisation)} of the cells in use hold weights"),
        (
            "precision",
            f"{bits['weight_bits']}-bit weights in {bits['cell_bits']}-bit cells, "
            f"{bits['input_bits']}-bit inputs, {bits['adc_bits']}-bit ADC",
        ),
        ("chip", found.target),
    ]


def _assumptions(found: Simulation) -> list[RenderableType]:
    """Say what rests on assumed constants, the heaviest first."""
    items = found.charge.assumptions
    if not items or not found.energy_j:
        return []
    share = percent(found.charge.assumed_j / found.energy_j)
    lines = [Text(f"\n{share} of the energy rests on assumed constants:", style="yellow")]
    lines += [
        Text(
            f"  {item.key} = {item.value:g}  ({percent(item.energy_j / found.energy_j)})",
            style="dim",
        )
        for item in items[:SHOWN_ASSUMPTIONS]
    ]
    if rest := len(items) - SHOWN_ASSUMPTIONS:
        lines += [Text(f"  and {rest} more: --format json", style="dim")] if rest > 0 else []
    where = f"  sources: neutrams targets show {found.resources.target} --sources"
    return [Group(*lines, Text(where, style="dim"))]


def _facts(rows: list[Row]) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim")
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table


def _table(*heads: str) -> Table:
    """Return a table; heads that begin with ``>`` are of numbers, with ``~`` of text that wraps."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(
            head.lstrip(">~"),
            justify="right" if head.startswith(">") else "left",
            no_wrap=not head.startswith("~"),
        )
    return table
