"""An SRAM array from standard cells: an estimate of its own, beside NeuroSim's area."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from neutrams import targets
from neutrams.reproduce.recipe import Recipe, Row

Circuit = Counter[str]
"""How many of each standard cell."""

_FILE = Path(__file__).with_name("circuits.toml")
_SIDE = 128
_SHARED = 8
"""Columns of a converter."""
_ARRAYS = 9472
_BOUND = 0.05
_PUBLISHED = {"converters": "1624.2", "sums": "2216.2", "drivers and buffers": "1228.8"}
"""NeuroSim's report for VGG8, µm² an array."""
_COMPARATORS = (
    "comparators with their encoder take 2.7 µm² a level there, 1.6 µm² here: it draws them "
    "device by device, at widths of its own"
)
_PARTS = "which registers and buffers there are is our reading of block diagrams in its manual"
_WIRES = (
    "wires between tiles (12.6 mm² there) and ground that no part fills (4.3 mm²) are not in it, "
    "and converters are smaller"
)


def _rows() -> Iterator[Row]:
    chip = targets.load("sram-cim")
    core, limits = chip.machine.core, chip.limits
    found = {
        "converters": _area(_converter(core.adc_bits)) * _SIDE / _SHARED + _references(2**5),
        "sums": _area(_sums(core.adc_bits, core.rows, limits.input_bits, limits.weight_bits)),
        "drivers and buffers": _area(_drivers(limits.input_bits + limits.weight_bits)),
    }
    cells = _SIDE**2 * _node("sram_cell_um2")
    yield Row("an array: cells", "2220.3", cells, "µm²", _BOUND)
    for part, published in _PUBLISHED.items():
        why = _COMPARATORS if part == "converters" else _PARTS
        yield Row(f"an array: {part}", published, found[part], "µm²", _BOUND, why)
    whole = cells + sum(found.values())
    yield Row("an array, all of these", "7289.5", whole, "µm²", _BOUND, _COMPARATORS)
    yield Row("9,472 arrays for VGG8", "85.97", _ARRAYS * whole * 1e-6, "mm²", _BOUND, _WIRES)


def _converter(bits: int) -> Circuit:
    """A flash converter: a comparator a level, and adders that count those that are passed."""
    levels = 2**bits - 1
    return Counter(comparator=levels, full_adder=levels - bits)


def _references(levels: int) -> float:
    """Return the area of columns to compare with: all comparators of as many share one."""
    comparators = (levels - 1) * _SIDE / _SHARED
    return comparators / levels * _SIDE * _node("sram_cell_um2")


def _sums(adc_bits: int, rows: int, input_bits: int, weight_bits: int) -> Circuit:
    """Adders with registers behind each converter: over rows, bits of inputs, bits of weights, and
    once more for the array's place in a tree of arrays.
    """
    over_rows = adc_bits + (_SIDE // rows).bit_length() - 1
    over_inputs = over_rows + input_bits
    over_weights = over_inputs + weight_bits
    bits = (over_rows + over_inputs + 2 * over_weights) * _SIDE // _SHARED
    return Counter(full_adder=bits, flip_flop=bits)


def _drivers(result_bits: int) -> Circuit:
    """Rows: a register, a gate and two inverters. Columns: a pass gate to the converter, precharge
    and two inverters to write. Select lines of the columns. Registers for a vector in and out.
    """
    rows = Counter(flip_flop=_SIDE, nand2=_SIDE, inverter_x2=_SIDE, inverter_x8=_SIDE)
    columns = Counter(pass_gate=2 * _SIDE, inverter_x4=2 * _SIDE)
    select = Counter(nand2=2 * _SHARED, inverter_x8=_SHARED, inverter_x32=_SHARED)
    buffers = Counter(flip_flop=_SIDE + _SIDE // _SHARED * (result_bits + 8))
    return rows + columns + select + buffers


def _area(circuit: Circuit) -> float:
    """Return square micrometres."""
    pitches = sum(count * int(_TABLE["widths"][name]) for name, count in circuit.items())
    return pitches * _node("gate_pitch_nm") * _node("cell_height_nm") * 1e-6


def _node(name: str) -> float:
    return float(_TABLE["node"][name])


_TABLE = tomllib.loads(_FILE.read_text(encoding="utf-8"))

CIRCUITS = Recipe(
    name="sram-circuits",
    title="An SRAM array of NeuroSim V1.4 from standard cells of other libraries",
    source="DNN+NeuroSim V1.4, its report for its default; manual, Fig. 7 to 17",
    about=(
        "Gates of the circuits in NeuroSim's manual, counted by us, in widths of the Nangate open "
        "cell library and pitches of Intel's 22FFL (`neutrams/reproduce/circuits.toml`); nothing "
        "is fitted, and nothing taken from NeuroSim but the SRAM cell. `sram-cim` does not use it."
    ),
    rows=lambda: tuple(_rows()),
)
