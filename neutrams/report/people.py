"""Results as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from neutrams.driver import (
    CONFIDENCE,
    Check,
    Cycles,
    LayerCost,
    Quality,
    Resources,
    Share,
    Simulation,
    described,
)
from neutrams.report.entries import entries_text
from neutrams.report.tables import Row, facts, layer_table, short, table
from neutrams.report.units import area, count, percent, quantity

SHOWN_ASSUMPTIONS = 4


def footer(written: str, reused: tuple[str, ...]) -> RenderableType:
    """Say where the program is, and what was taken from an earlier compile."""
    text = Text.assemble("wrote ", (written, "bold"))
    if reused:
        text.append(f"  (reused from the cache: {', '.join(reused)})", style="dim")
    return text


def fits(found: Resources) -> RenderableType:
    """Say what a dry run has found out."""
    how = f"in {len(found.rounds)} rounds" if found.rounds else "at once"
    verdict = Text.assemble(("it fits", "bold green"), f" `{found.target}` {how}")
    return verdict.append("  (a dry run: nothing calibrated, trained or written)", style="dim")


def resources_text(found: Resources, *, width: int = 120) -> list[RenderableType]:
    """Return what ``compile`` shows: where layers run, and what the network takes of the chip."""
    return [
        layer_table(found.layers, (), (), width),
        Text(),
        facts([_energy_row(found.energy_j), *_resource_rows(found)]),
        Text(),
    ]


def simulation_text(
    found: Simulation, *, width: int = 120, sources: bool = False
) -> list[RenderableType]:
    """Return what ``simulate`` shows; with ``sources`` also what the energy is made of."""
    rows = [*_quality_rows(found), *_cost_rows(found), *_resource_rows(found.resources)]
    rows += _cycle_rows(found)
    others = (*found.others, _static(found))
    return [
        layer_table(found.resources.layers, found.layers, others, width),
        Text(),
        _component_table(found),
        Text(),
        facts(rows),
        *(entries_text(found.charge) if sources else _assumptions(found)),
        *(Text(diagnostic.render(), style="yellow") for diagnostic in found.warnings),
    ]


def check_text(found: Check) -> list[RenderableType]:
    """Return what ``check`` shows."""
    made = table("op", "value", "runs on", "~why")
    for op in found.ops:
        style = "cyan" if op.place == "crossbar" else ""
        place = "crossbars" if op.place == "crossbar" else "digital unit"
        reason = Text(op.reason, style="dim")
        made.add_row(op.op, short(op.name), Text(place, style=style), reason)
    machine = found.target.machine
    verdict = ("it fits", "bold green") if found.fits else ("it does not fit", "bold red")
    rows = [
        ("on crossbars", on_crossbars(found.parameters, found.multiply_adds)),
        ("crossbars", f"{count(found.crossbars)} of {count(machine.crossbars)}"),
        ("smallest chip", f"{count(found.smallest_tiles)} of {count(machine.tiles)} tiles"),
    ]
    parts: list[RenderableType] = [made, Text(), facts([(k, Text(v)) for k, v in rows])]
    if not found.fits:
        help = f"the smallest chip that does: {found.smallest_settings}; or compile --rounds auto"
        return [*parts, Text.assemble(verdict, f" `{found.target.name}`; {help}")]
    return [*parts, Text.assemble(verdict, f" `{found.target.name}`")]


def on_crossbars(parameters: Share, multiply_adds: Share) -> str:
    """Say which part of a network crossbars have; the rest is the digital unit's."""
    held = f"{percent(parameters.part)} of {count(parameters.total)} parameters"
    done = f"{percent(multiply_adds.part)} of {count(multiply_adds.total)} multiply-adds"
    return f"{held}, {done}; the rest on the digital unit"


def _static(found: Simulation) -> LayerCost:
    """What leaks while an inference is under way, whatever runs."""
    energy = sum(part.static_j for part in found.charge.parts)
    return LayerCost("static power", energy, {}, found.samples)


def _component_table(found: Simulation) -> Table:
    made = table("component", "of each", ">energy", ">share", ">static", ">area", ">share")
    areas = {part.name: part.area_mm2 for part in found.resources.components}
    energy, whole = found.energy_j or 1.0, found.resources.area_mm2 or 1.0
    parts = [p for p in found.charge.parts if p.energy_j or areas[p.component]]
    for part in sorted(parts, key=lambda part: -part.energy_j):
        mm2 = areas[part.component]
        made.add_row(
            part.component,
            part.place,
            quantity(part.energy_j, "J"),
            percent(part.energy_j / energy),
            quantity(part.static_j, "J") if part.static_j else "",
            *((area(mm2), percent(mm2 / whole)) if mm2 else ()),
        )
    return made


def _quality_rows(found: Simulation) -> list[Row]:
    rows: list[Row] = [("samples", count(found.samples))]
    if found.quality is not None:
        rows.append((found.quality.metric, _quality(found.quality)))
    rows += _physics_rows(found)
    if found.agreement is not None:
        rows.append(("same class as float", percent(found.agreement)))
    if found.relative_error is not None:
        rows.append(("change of outputs", f"{percent(found.relative_error)} RMS, against float"))
    return rows


def _physics_rows(found: Simulation) -> list[Row]:
    """Say what was not ideal, and how the metric varies over runs."""
    if found.physics is None:
        return []
    values = described(found.physics)
    rows: list[Row] = [("physics", ",".join(f"{k}={_as_given(v)}" for k, v in values.items()))]
    spread = found.spread
    if spread is not None and spread.half_width is not None:
        times, form, unit = (100, ".2f", " %") if spread.percent else (1, ".4g", "")
        mean, width, each = (
            f"{times * value:{form}}"
            for value in (spread.mean, spread.half_width, spread.deviation)
        )
        runs = f"{count(len(spread.values))} runs, {100 * CONFIDENCE:.0f} % interval"
        rows.append(("over all runs", f"{mean} ± {width}{unit}  ({runs}; σ of a run {each}{unit})"))
    return rows


def _as_given(value: float | str | bool) -> str:
    """Spell a value as the command line takes it."""
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else value
    )


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
        _energy_row(found.energy_j),
        ("power", Text.assemble((quantity(found.power_w, "W"), "bold"), " with a full pipeline")),
    ]


def _energy_row(energy_j: float) -> Row:
    return ("energy", Text.assemble((quantity(energy_j, "J"), "bold"), " an inference"))


def _resource_rows(found: Resources) -> list[Row]:
    on, whole = found.occupancy, found.available
    bits = found.bits
    held = [(use.weight_bits, use.input_bits) for use in found.layers if use.crossbars]
    paced = f", paced by {found.bounds[0].part}" if found.bounds else ""
    weights, inputs = zip(*held or [(bits["weight_bits"], bits["input_bits"])], strict=True)
    return [
        (
            "latency",
            Text.assemble(
                (quantity(found.latency_s, "s"), "bold"), " a batch" if found.rounds else ""
            ),
        ),
        (
            "throughput",
            Text.assemble((count(found.throughput_per_s), "bold"), " inferences a second", paced),
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
        *_kind_rows(found),
        ("utilisation", f"{percent(found.utilisation)} of the cells in use hold weights"),
        ("on crossbars", on_crossbars(found.parameters, found.multiply_adds)),
        ("buffers", _buffers(found)),
        (
            "precision",
            f"{_span(weights)}-bit weights in {bits['cell_bits']}-bit cells, "
            f"{_span(inputs)}-bit inputs, {bits['adc_bits']}-bit ADC",
        ),
        *_digit_rows(found),
        *_choice_rows(found.chosen),
        ("chip", found.target),
        *_round_rows(found),
    ]


def _digit_rows(found: Resources) -> list[Row]:
    """Say what it costs that layers read or hold numbers in digits."""
    digits = found.digits
    if digits is None:
        return []
    taken, without = count(digits.crossbars), count(digits.crossbars_without)
    layers = f"{digits.layers} {'layer' if digits.layers == 1 else 'layers'}"
    return [("in digits", f"{layers}; held once, {taken} crossbars, {without} without digits")]


def _cycle_rows(found: Simulation) -> list[Row]:
    """Say what the clocks were spent on, where they were counted."""
    cycles = found.cycles
    if cycles is None:
        return []
    busy = (
        f"{percent(cycles.busiest_bus)} the busiest bus, "
        f"{percent(cycles.busiest_vector)} vector unit, {percent(cycles.busiest_link)} link"
    )
    of = "a batch" if cycles.rounds else "an inference"
    return [
        ("clocks", f"{count(cycles.clocks)} {of}, measured"),
        ("network", f"{count(cycles.flits)} flits an inference"),
        ("at work", f"{busy}, of all clocks of a stream"),
        *_beside_rows(found),
    ]


def _beside_rows(found: Simulation) -> list[Row]:
    """Say what networks on one chip cost each other."""
    if found.cycles is None or not found.beside:
        return []
    rows: list[Row] = [("alone on the chip", _alone(found.cycles))]
    for name, cycles in found.beside.items():
        here = f"{quantity(cycles.clocks * cycles.clock_s, 's')}, one every "
        here += f"{quantity(cycles.period_s, 's')}; alone {_alone(cycles)}"
        rows.append((f"beside it, {name}", here))
    return rows


def _alone(cycles: Cycles) -> str:
    assert cycles.alone is not None
    clocks, period_s = cycles.alone
    return f"{quantity(clocks * cycles.clock_s, 's')}, one every {quantity(period_s, 's')}"


def _kind_rows(found: Resources) -> list[Row]:
    """Say how many crossbars of each size are in use, where there are several."""
    on, whole = found.occupancy, found.available
    if not whole.smaller:
        return []
    numbers = zip(found.sizes, on.crossbars_by_kind, whole.crossbars_by_kind, strict=True)
    return [("of each size", ", ".join(f"{count(a)} of {count(b)} {s}" for s, a, b in numbers))]


def _buffers(found: Resources) -> Text:
    """Say what the fullest buffer keeps; more than it has is no fault, but nothing to build on."""
    needed, held = found.buffer_bytes, found.buffer_bytes_available
    text = f"{count(needed)} of {count(held)} bytes in the fullest tile, at least"
    if needed <= held:
        return Text(text)
    return Text(f"{text}: the rest must go to other tiles", style="yellow")


def _round_rows(found: Resources) -> list[Row]:
    """Say what it costs that the chip holds the network in parts only."""
    if not found.rounds:
        return []
    parts = ", ".join(count(each.crossbars) for each in found.rounds)
    carried = max(each.carried_bytes for each in found.rounds)
    where = "off the chip" if any(each.spilled for each in found.rounds) else "in buffers"
    writes = sum(each.cell_writes for each in found.rounds) / found.batch
    return [
        ("rounds", f"{len(found.rounds)}, of {parts} crossbars; a batch of {count(found.batch)}"),
        (
            "programming",
            f"{percent(found.programming_share)} of the time, "
            f"{count(writes)} cells written an inference",
        ),
        ("carried over", f"{count(carried)} bytes an inference at most, {where}"),
    ]


def _choice_rows(chosen: Mapping[str, Any]) -> list[Row]:
    """Say what chosen bits spare and lose, beside the same network at the chip's full bits."""
    if not chosen:
        return []
    before, after = chosen["before"], chosen["after"]
    spared = ", ".join(
        f"{name} {show(before[key])} → {show(after[key])}"
        for name, key, show in (
            ("energy", "energy_j", lambda x: quantity(x, "J")),
            ("crossbars", "crossbars", count),
            ("latency", "latency_s", lambda x: quantity(x, "s")),
        )
    )
    lost = f"{chosen['lost_points']:.2f} points of {chosen['measure']}"
    moved = (
        f"{percent(chosen['measured_change'])} ({percent(chosen['predicted_change'])} predicted)"
    )
    return [
        ("chosen bits", spared),
        ("lost by them", f"{lost} on {count(chosen['held_out'])} samples held out"),
        ("outputs moved", f"{moved} RMS, against full bits"),
    ]


def _span(widths: Iterable[int]) -> str:
    """Return a width, or the least and the largest where they differ."""
    found = sorted(set(widths))
    return str(found[0]) if len(found) == 1 else f"{found[0]}- to {found[-1]}"


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
    where = "  each number of the chip, what it comes to and its source: --sources"
    return [Group(*lines, Text(where, style="dim"))]
