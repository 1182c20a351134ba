"""From checked sections to the numbers of a target: counts, tables and left-out limits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from neutrams.ir.diagnostics import Diagnostic, error
from neutrams.ir.target import Component, CoreKind, Limits, Range, polarities_of, slices_of
from neutrams.targets.layers import Stack
from neutrams.targets.near import suggest
from neutrams.targets.schema import (
    CoreSection,
    CostSection,
    Key,
    KindSection,
    LimitsSection,
    Strict,
    Survey,
    Table,
    Widths,
    machine_numbers,
)
from neutrams.targets.survey import LEAST_BITS, survey_converter

_MM2_IN_UM2 = 1e-6
_SIZES = ("core.rows", "core.columns", "tile.cores")
"""What kinds of core differ in."""


@dataclass(slots=True)
class Resolver:
    """Looks up what the cost table says by reference to the machine; gathers faults as it goes."""

    stack: Stack
    sections: dict[str, Strict]
    """The valid sections by name."""
    faults: list[Diagnostic] = field(default_factory=list)
    pointless: set[tuple[str, str]] = field(default_factory=set)
    """Components, with what their tables depend on, that are reported already."""

    def component(self, name: str, section: CostSection) -> Component:
        """Return the component with every number resolved; nought stands for a faulty one."""
        assumed = list(section.assumed)
        key = ("costs", name)

        def number(value: float | Table | Survey | Widths, *path: str) -> float:
            return self._number(value, (*key, *path), assumed)

        area = number(section.area_mm2, "area_mm2") if section.area_mm2 is not None else 0.0
        if section.area_um2 is not None:
            area = number(section.area_um2, "area_um2") * _MM2_IN_UM2
        return Component(
            name=name,
            place=section.per,
            count=self._count(section, (*key, "count")),
            energy_pj=tuple((event, number(section.energy_pj[event], "energy_pj", event))
                            for event in section.energy_pj),
            area_mm2=area,
            power_mw=number(section.power_mw, "power_mw"),
            static_mw=number(section.static_mw, "static_mw"),
            source=section.source,
            assumed=tuple("area_mm2" if path == "area_um2" else path for path in assumed),
        )  # fmt: skip

    def kind(self, name: str, kind: KindSection, costs: dict[str, CostSection]) -> CoreKind:
        """Return a further kind of core, with the parts it has more or fewer of."""
        core, tile = self.sections.get("core"), self.sections.get("tile")
        sections = dict(self.sections)
        if core is not None and tile is not None:
            sizes = {"rows": kind.rows, "columns": kind.columns}
            sections |= {
                "core": core.model_copy(update=sizes),
                "tile": tile.model_copy(update={"cores": kind.per_tile}),
            }
        here = Resolver(self.stack, sections)
        parts = {
            label: kind.parts.get(label, here._count(section, ("costs", label, "count")))
            for label, section in costs.items()
            if section.per in ("crossbar", "core")
        }
        self._check_tables(parts, costs)
        for label in kind.parts:
            if label not in parts:
                key = ("cores", name, "parts", label)
                fault = error("NT0312", f"no crossbar and no core has a component `{label}`")
                self.faults.append(suggest(fault.at(self.stack.where(key)), label, parts))
        usual = {label: self._count(costs[label], ("costs", label, "count")) for label in parts}
        differ = tuple((label, n) for label, n in parts.items() if n != usual[label])
        return CoreKind(name, kind.rows, kind.columns, kind.per_tile, differ)

    def _check_tables(self, parts: Iterable[str], costs: dict[str, CostSection]) -> None:
        """Refuse numbers of a part that depend on a size: they are read once for all kinds."""
        for label in parts:
            part = costs[label]
            numbers = (part.area_mm2, part.area_um2, part.power_mw, part.static_mw)
            tables = [n for n in (*numbers, *part.energy_pj.values()) if isinstance(n, Table)]
            for by in dict.fromkeys(table.by for table in tables if table.by in _SIZES):
                message = f"`costs.{label}` depends on `{by}`, in which kinds of core differ"
                fault = error("NT0312", message).at(self.stack.where(("costs", label)))
                self.faults.append(fault.help("give one number for all kinds"))

    def _count(self, section: CostSection, key: Key) -> int:
        if isinstance(section.count, int):
            return section.count
        names = [section.count] if isinstance(section.count, str) else section.count
        return math.prod(int(self._value(name, key) or 0) for name in names)

    def _number(
        self, value: float | Table | Survey | Widths, key: Key, assumed: list[str]
    ) -> float:
        if isinstance(value, Survey):
            return self._surveyed(value, key)
        if isinstance(value, Widths):
            core = self.sections.get("core")
            return by_widths(value, core) if isinstance(core, CoreSection) else 0.0
        if not isinstance(value, Table):
            return value
        by = self._value(value.by, (*key, "by"))
        if by is None:
            return 0.0
        if (point := str(by)) not in value.at:
            self._no_point(value, key, point)
            return 0.0
        if point in value.assumed:
            assumed.append(".".join(key[2:]))
        return value.at[point]

    def _surveyed(self, value: Survey, key: Key) -> float:
        """Return area, energy of a conversion or full power of a converter, as ``key`` asks."""
        bits = int(self._value("core.adc_bits", key) or 0)
        if bits < LEAST_BITS:
            if (key[1], "survey") not in self.pointless:
                self.pointless.add((key[1], "survey"))
                message = f"the survey of converters says nothing for `core.adc_bits` = {bits}"
                fault = error("NT0312", message).at(self.stack.where(("core", "adc_bits")))
                fault = fault.at(self.stack.where(key), f"has {LEAST_BITS} bits or more")
                self.faults.append(fault.help("give energy, area and power as numbers"))
            return 0.0
        found = survey_converter(bits, node_nm=value.node_nm, gsamples_per_s=value.gsamples_per_s)
        match key[2]:
            case "area_um2":
                return found.area_um2
            case "area_mm2":
                return found.area_um2 * _MM2_IN_UM2
            case "energy_pj":
                return found.energy_pj
            case _:
                return found.energy_pj * value.gsamples_per_s

    def _value(self, dotted: str, key: Key) -> int | float | None:
        """Return a number of the machine; ``None`` where it is at fault, or does not exist."""
        if dotted not in machine_numbers():
            fault = error("NT0312", f"`{'.'.join(key)}` refers to `{dotted}`, which does not exist")
            fault = fault.at(self.stack.where(key), "must name a number of the machine")
            self.faults.append(suggest(fault, dotted, machine_numbers()))
            return None
        section, _, name = dotted.partition(".")
        found = self.sections.get(section)
        value: int | float | None = getattr(found, name, None)
        return by_widths(value, found) if isinstance(found, CoreSection) and value else value

    def _no_point(self, table: Table, key: Key, point: str) -> None:
        """Note that a table lacks the machine's value: once for all tables of a component."""
        if (key[1], table.by) in self.pointless:
            return
        self.pointless.add((key[1], table.by))
        fault = error("NT0312", f"`costs.{key[1]}` says nothing for `{table.by}` = {point}")
        fault = fault.at(self.stack.where(tuple(table.by.split("."))), f"is {point}")
        fault = fault.at(self.stack.where(key), f"has values for {', '.join(table.at)}")
        self.faults.append(
            fault.help(f"add `at.{point}` to each table of `{key[1]}` that has `by`")
        )


def by_widths(value: int | float | Widths, core: CoreSection) -> int | float:
    """Return a number that may depend on the widths of the core's converters."""
    if not isinstance(value, Widths):
        return value
    return value.at(adc_bits=core.adc_bits, dac_bits=core.dac_bits)


def limits_of(limits: LimitsSection, core: CoreSection) -> Limits:
    """Fill in what the file leaves out: all rows, all columns, outputs as wide as inputs."""
    return Limits(
        fan_in=core.rows if limits.fan_in is None else limits.fan_in,
        neurons=neurons_that_fit(limits, core) if limits.neurons is None else limits.neurons,
        weight_bits=limits.weight_bits,
        input_bits=limits.input_bits,
        output_bits=limits.input_bits if limits.output_bits is None else limits.output_bits,
        accumulator_bits=limits.accumulator_bits,
        partial_sums=limits.partial_sums,
        weight_range=_range(limits.weight_range),
        input_range=_range(limits.input_range),
        output_range=_range(limits.output_range),
        bias_range=_range(limits.bias_range),
        fan_out=limits.fan_out,
        crossbar_fan_out=limits.crossbar_fan_out,
        functions=tuple(dict.fromkeys(limits.functions)),
        lut_entries=limits.lut_entries,
        rescale=limits.rescale,
    )


def _range(triple: list[float] | None) -> Range | None:
    return None if triple is None else Range(*triple)


def neurons_that_fit(limits: LimitsSection, core: CoreSection) -> int:
    """Neurons whose cells fit the columns of one crossbar."""
    slices = slices_of(limits.weight_bits, core.cell_bits, core.coding)
    return core.columns // (slices * polarities_of(core.coding))
