"""An SRAM array and its circuits as NeuroSim V1.4 lays them out: areas by part."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from math import ceil, log2
from pathlib import Path

from neutrams.reproduce.process import Gate, Process

_TABLE = tomllib.loads(Path(__file__).with_name("circuits.toml").read_text(encoding="utf-8"))
PROCESS = Process(**_TABLE["process"])
ARRAY: dict[str, int] = _TABLE["array"]
CHIP: dict[str, int] = _TABLE["chip"]
SENSE: dict[str, float] = _TABLE["sense"]
ACTIVITY: dict[str, float] = _TABLE["activity"]
_CELL: dict[str, float] = _TABLE["cell"]
_SWITCH: dict[str, float] = _TABLE["switch"]
ROW = PROCESS.cell_height


@dataclass(frozen=True, slots=True)
class Area:
    """Square features, by what they are for."""

    cells: float = 0.0
    converters: float = 0.0
    sums: float = 0.0
    other: float = 0.0
    """Drivers, decoders, buffers, pooling."""
    wires: float = 0.0
    empty: float = 0.0

    def __add__(self, more: Area) -> Area:
        each = (getattr(self, f.name) + getattr(more, f.name) for f in fields(Area))
        return Area(*each)

    def __mul__(self, times: float) -> Area:
        return Area(*(getattr(self, f.name) * times for f in fields(Area)))

    @property
    def whole(self) -> float:
        return float(sum(getattr(self, f.name) for f in fields(Area)))


@dataclass(frozen=True, slots=True)
class Block:
    """What is laid out as a rectangle."""

    area: Area
    height: float
    width: float


def gate(name: str) -> Gate:
    kind, inputs, n, p = _TABLE["gates"][name]
    return Gate(kind, inputs, n, p * PROCESS.ratio)


INVERTER, NAND = gate("inverter"), gate("nand2")
REGISTER = ARRAY["register"] * PROCESS.width(INVERTER)
"""Width of a register of one bit."""
FULL_ADDER = ARRAY["full_adder"] * PROCESS.ground(NAND)


def registers_across(bits: int, width: float) -> float:
    """Return the height of registers that fill a band of this width."""
    return ROW * ceil(bits / min(bits, int(width / REGISTER)))


def registers_along(bits: int, height: float) -> float:
    """Return the width of registers that fill a strip of this height."""
    return REGISTER * ceil(bits / min(bits, int(height / ROW)))


def sum_bits(rows: int) -> int:
    """Return the bits of a column's sum over all of its rows, of which so many are read at once."""
    return int(log2(ARRAY["levels"])) + ceil(log2(ARRAY["rows"] // rows))


def sides() -> tuple[float, float]:
    """Return height and width of the cells of an array."""
    return ARRAY["rows"] * _CELL["height"], ARRAY["columns"] * _CELL["width"]


def array(rows: int) -> Block:
    """Return an array of which so many rows are read at once.

    Bands of full width lie one above the other, row switches and the decoder beside them.
    """
    high, wide = sides()
    units = ARRAY["columns"] // ARRAY["shared"]
    precharge = write = 3 * ROW
    bits = sum_bits(rows)
    adding = _shift_add(bits, units, wide) + _shift_add(bits + ARRAY["weight_bits"], units, wide)
    if rows < ARRAY["rows"]:
        adding += FULL_ADDER * (bits - 1) * units / wide + registers_across(bits * units, wide)
    sensing = precharge + (_comparators(units) + _references(units)) / wide + _encoders(units, wide)
    select_high, select_wide = _select()
    switches = _row_switches(high, wide)
    other = switches * high + (write + select_high) * wide + select_wide * select_high
    used = Area(high * wide, sensing * wide, adding * wide, other)
    height = high + sensing + write + adding + select_high
    width = wide + max(switches, select_wide)
    return Block(used + Area(empty=height * width - used.whole), height, width)


def _comparators(units: int) -> float:
    one = ARRAY["comparator"] * PROCESS.ground(Gate("inverter", 1, INVERTER.n, 0))
    return one * (ARRAY["levels"] - 1) * units


def _references(units: int) -> float:
    """Columns to compare with, each shared by as many comparators as there are levels."""
    column = ARRAY["rows"] * _CELL["reference_height"] * _CELL["width"]
    return column * (ARRAY["levels"] - 1) * units / ARRAY["levels"]


def _encoders(units: int, wide: float) -> float:
    """Return their height: an inverter and a gate a level, then a wide gate a bit."""
    small, large = PROCESS.ground(INVERTER) + PROCESS.ground(gate("encoder")), gate("collector")
    levels = ARRAY["levels"]
    one = small * (levels - 1) + PROCESS.ground(large) * log2(levels)
    across = PROCESS.width(INVERTER) + PROCESS.width(gate("encoder")) + PROCESS.width(large)
    return one / across * ceil(units / min(units, ceil(wide / across)))


def _shift_add(bits: int, units: int, wide: float) -> float:
    """Return the height of adders, registers that shift, and a row of gates between them."""
    shifted = bits + ARRAY["input_bits"]
    return FULL_ADDER * bits * units / wide + ROW + registers_across(shifted * units, wide)


def _select() -> tuple[float, float]:
    """Return height and width of the decoder that selects one of the columns of a converter."""
    address = int(log2(ARRAY["shared"]))
    first, wires = 4 * (address // 2), 4 * (address // 2) + address % 2 * 2
    last, driver = 2**address, PROCESS.width(gate("select_driver"))
    small = PROCESS.width(INVERTER) + 3 * PROCESS.width(NAND)
    return ROW * max(first, last), small + 2 * driver + PROCESS.wire_pitch * wires


def filling(small: Gate) -> Gate:
    """Return a gate as wide as its row of cells is high."""
    room = PROCESS.cell_height - PROCESS.outside - PROCESS.between
    return small.sized(room / (small.n + small.p))


def row_switch(wide: float) -> Gate:
    """Return the pass gate of a row, as wide as the resistance of the row's wire asks for."""
    times = _SWITCH["row_linear"] / (2 * _SWITCH["row_share"] * PROCESS.wire_ohm(wide))
    return Gate("inverter", 1, PROCESS.resistance(1) * times, PROCESS.resistance(1, p=True) * times)


def column_switch(rows: int) -> Gate:
    """Return the pass gate of a column, as wide as the resistance of its cells asks for."""
    times = rows / 2 / (2 * _SWITCH["column_share"] * cell_ohm())
    return Gate("inverter", 1, PROCESS.resistance(1) * times, PROCESS.resistance(1, p=True) * times)


def cell_ohm() -> float:
    """Return the resistance of the access transistor of a cell."""
    return PROCESS.switching * PROCESS.resistance(1)


def row_switch_height(high: float) -> float:
    """Return the height of each, where as few strips of them as can be stand beside the rows."""
    return high / ceil(ARRAY["rows"] / _strips(high))


def _strips(high: float) -> int:
    return ceil(ARRAY["rows"] / int(high / ROW))


def _row_switches(high: float, wide: float) -> float:
    """Return the width of pass gates, two a row, and of a register a row."""
    pair = 2 * PROCESS.width(row_switch(wide), row_switch_height(high))
    return pair * _strips(high) + registers_along(ARRAY["rows"], high)
