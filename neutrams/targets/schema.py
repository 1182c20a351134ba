"""The shape of a target file: sections, keys, types, and the range each number must be in."""

from __future__ import annotations

from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from neutrams.ir.target import ALL, AdcMode, Coding, Place, Rescaling

Key = tuple[str, ...]
"""A dotted key of a target file, part by part."""

TAG = "#"
"""Starts the tags of unions, so that they can be dropped from an error's path."""

Size = Annotated[int, Field(ge=1, le=65536)]
Bits = Annotated[int, Field(ge=1, le=16)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Clock = Annotated[float, Field(ge=1e-9, le=1000)]
"""In GHz. With the longest read, and the least rate of a link, runs still count in 64 bits."""


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Triple = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False, ge=-(2**31), le=2**31)]],
    Field(min_length=2, max_length=3),
]
"""Low, high and, unless it is 1, the step of a range."""


class Widths(Strict):
    """A number that grows with the widths of the converters, each part one of its share."""

    fixed: Amount = 0.0
    adc_bit: Amount = 0.0
    """For each bit of the ADC, as of one that finds bit after bit."""
    dac_bit: Amount = 0.0
    """For each bit of the DAC."""
    dac_step: Amount = 0.0
    """For each step of the DAC's range, as of one that drives a number of pulses."""

    def at(self, *, adc_bits: int, dac_bits: int) -> float:
        """Return the number for converters of these widths."""
        by_bits = self.adc_bit * adc_bits + self.dac_bit * dac_bits
        return self.fixed + by_bits + self.dac_step * ((1 << dac_bits) - 1)


class LimitsSection(Strict):
    fan_in: Size | None = None
    neurons: Size | None = None
    weight_bits: Bits
    input_bits: Bits
    output_bits: Bits | None = None
    accumulator_bits: Annotated[int, Field(ge=8, le=64)] = 32
    partial_sums: Annotated[int, Field(ge=0, le=65536)] = 0
    weight_range: Triple | None = None
    input_range: Triple | None = None
    output_range: Triple | None = None
    bias_range: Triple | None = None
    fan_out: Annotated[int, Field(ge=0, le=2**20)] = 0
    crossbar_fan_out: Annotated[int, Field(ge=0, le=2**20)] = 0
    functions: list[str] = [ALL]
    lut_entries: Annotated[int, Field(ge=0, le=2**16)] = 0
    rescale: Rescaling = "float"


class CoreSection(Strict):
    crossbars: Size
    rows: Size
    columns: Size
    cell_bits: Annotated[int, Field(ge=1, le=8)]
    dac_bits: Annotated[int, Field(ge=1, le=8)]
    adc_bits: Annotated[int, Field(ge=0, le=24)]
    adcs: Size
    coding: Coding
    column_flip: bool
    adc_mode: AdcMode
    read_ns: Annotated[
        Annotated[float, Field(gt=0, le=1e9), Tag("#number")] | Annotated[Widths, Tag("#widths")],
        Discriminator(lambda value: "#widths" if isinstance(value, dict | Widths) else "#number"),
    ]
    pipeline_cycles: Annotated[int, Field(ge=0, le=65536)]
    write_ns: Rate
    rows_at_once: Size


class TileSection(Strict):
    cores: Size
    buffer_bytes: Annotated[int, Field(ge=1, le=2**40)]
    bus_bits: Size
    vector_lanes: Size
    clock_ghz: Clock


class NetworkSection(Strict):
    columns: Annotated[int, Field(ge=1, le=1024)]
    rows: Annotated[int, Field(ge=1, le=1024)]
    tiles_per_router: Annotated[int, Field(ge=1, le=64)]
    flit_bits: Size
    router_cycles: Annotated[int, Field(ge=1, le=65536)]
    link_cycles: Annotated[int, Field(ge=0, le=65536)]
    clock_ghz: Clock
    multicast: bool = False


class KindSection(Strict):
    """A further kind of core: what differs from ``core`` and ``tile.cores``."""

    rows: Size
    columns: Size
    per_tile: Size
    parts: dict[str, Annotated[int, Field(ge=0, le=2**48)]] = {}


class ChipSection(Strict):
    tiles: Annotated[int, Field(ge=1, le=2**20)]
    io_gbytes_per_s: Annotated[float, Field(ge=1e-9, allow_inf_nan=False)]


class Table(Strict):
    """A number that depends on a value of the machine: ``by`` names it, ``at`` lists the points."""

    by: str
    at: Annotated[dict[str, Amount], Field(min_length=1)]
    assumed: list[str] = []
    """Points that are assumptions."""


class Survey(Strict):
    """A converter of ``core.adc_bits``, by the fit of :mod:`neutrams.targets.survey`."""

    survey: Literal["adc"]
    node_nm: Annotated[float, Field(ge=1, le=1000)]
    gsamples_per_s: Annotated[float, Field(gt=0, le=10)]


def _quantity_tag(value: object) -> str:
    if isinstance(value, dict):
        if "survey" in value:
            return "#survey"
        return "#widths" if Widths.model_fields.keys() & value else "#table"
    if isinstance(value, Widths):
        return "#widths"
    if isinstance(value, Survey):
        return "#survey"
    return "#table" if isinstance(value, Table) else "#number"


def _count_tag(value: object) -> str:
    if isinstance(value, str):
        return "#name"
    return "#names" if isinstance(value, list) else "#number"


Quantity = Annotated[
    Annotated[Amount, Tag("#number")]
    | Annotated[Table, Tag("#table")]
    | Annotated[Survey, Tag("#survey")]
    | Annotated[Widths, Tag("#widths")],
    Discriminator(_quantity_tag),
]
Count = Annotated[
    Annotated[int, Field(ge=0, le=2**48), Tag("#number")]
    | Annotated[str, Tag("#name")]
    | Annotated[list[str], Tag("#names")],
    Discriminator(_count_tag),
]


class CostSection(Strict):
    per: Place
    count: Count = 1
    energy_pj: dict[str, Quantity] = {}
    area_mm2: Quantity | None = None
    area_um2: Quantity | None = None
    power_mw: Quantity = 0.0
    static_mw: Quantity = 0.0
    source: Annotated[str, Field(min_length=1)]
    assumed: list[str] = []


class Head(Strict):
    """The keys above the first section."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: str = ""


SECTIONS: dict[str, type[Strict]] = {
    "limits": LimitsSection,
    "core": CoreSection,
    "tile": TileSection,
    "network": NetworkSection,
    "chip": ChipSection,
}


def model_at(path: Key) -> type[Strict] | None:
    """Return the model of the table at ``path``; ``None`` where names are free or none is known."""
    match path:
        case ():
            return Head
        case (section,):
            return SECTIONS.get(section)
        case ("costs", _):
            return CostSection
        case ("cores", _):
            return KindSection
        case ("core", "read_ns"):
            return Widths
        case ("costs", _, "energy_pj", _) | ("costs", _, "area_mm2" | "area_um2"):
            return Table
        case ("costs", _, "power_mw" | "static_mw"):
            return Table
        case _:
            return None


def keys_at(path: Key) -> list[str]:
    """Return the keys that a table may have, in declared order; empty where names are free."""
    model = model_at(path)
    keys = list(model.model_fields) if model is not None else []
    if model is Table:
        keys += [*Survey.model_fields, *Widths.model_fields]
    return [*keys, "inherits", *SECTIONS, "cores", "costs"] if path == () else keys


def is_text(path: Key) -> bool:
    """Tell whether the value at ``path`` is a string or one of a list of words."""
    model = model_at(path[:-1])
    found = model.model_fields.get(path[-1]) if model is not None else None
    return found is not None and (
        found.annotation is str or get_origin(found.annotation) is Literal
    )


def choices_at(path: Key) -> list[str]:
    """Return the words that the value at ``path`` may be; empty where it is no choice."""
    model = model_at(path[:-1])
    found = model.model_fields.get(path[-1]) if model is not None else None
    if found is None or get_origin(found.annotation) is not Literal:
        return []
    return [str(word) for word in get_args(found.annotation)]


def machine_numbers() -> list[str]:
    """Return the dotted keys of the machine that hold a number: what a cost may refer to."""
    return [
        f"{section}.{name}"
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
        if section != "limits" and (field.annotation in (int, float) or name == "read_ns")
    ]
