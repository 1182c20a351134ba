"""Wang's C-2C macro at five supplies, from the split of its energy at one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neutrams.costs import roll_up
from neutrams.reproduce.layer import full_product
from neutrams.reproduce.recipe import Recipe, Row
from neutrams.reproduce.supply import at_supply

_FILE = Path(__file__).with_name("wang.toml")
_POINTS = (
    (0.7, "2.377", "31.998"),
    (0.8, "2.858", "22.590"),
    (0.9, "3.200", "18.439"),
    (1.0, "3.596", "16.376"),
    (1.1, "3.941", "15.467"),
)
"""Volts, TOPS/mm², TOPS/W."""
_READ_NS = 6.9 * 0.7**1.1
"""Time of a read at 1.0 V, by CiMLoop's at 0.7 V."""
_SPEED = 1.1
"""Power of the supply that speed goes with."""
_BOUND = 0.08
_SQUARE = (
    "energy goes with the square of the supply here, that of the ladders less as reads get "
    "shorter, both as in CiMLoop; as measured it goes with its power 2.6 from 0.7 to 0.8 V and 0.6 "
    "from 1.0 to 1.1 V, which no sum of powers does, as such a sum gets steeper"
)
_TIME = "a read takes 6.9 ns there, as CiMLoop has it"
_GIVEN = "the split of energy is that of this point"


def _rows() -> Iterator[Row]:
    for volts, by_area, by_power in _POINTS:
        chip = at_supply(_FILE, volts, read_ns=_READ_NS / volts**_SPEED)
        product = full_product(chip)
        tops = 2 * product.cell_macs / product.time_s * 1e-12
        ours = tops / roll_up(chip).core.area_mm2
        given = _TIME if volts == 0.7 else ""
        yield Row(f"{volts} V: throughput by area", by_area, ours, "TOPS/mm²", _BOUND, given=given)
        ours = 2 * product.cell_macs / product.charge.energy_j * 1e-12
        given = _GIVEN if volts == 1.0 else ""
        yield Row(f"{volts} V: by power", by_power, ours, "TOPS/W", _BOUND, _SQUARE, given=given)


WANG = Recipe(
    name="wang-sram",
    title="Wang: SRAM macro with C-2C ladders, 0.7 to 1.1 V",
    source="Wang et al., VLSI 2022 and JSSC 2023, Fig. 22 and 23, numbers of CiMLoop's tests",
    about=(
        "`neutrams/reproduce/wang.toml` holds the published split of energy at 1.0 V and of area, "
        "by event and part, and 6.9 ns a read at 0.7 V (CiMLoop); a layer that fills the macro is "
        "compiled and charged. Of the energy of converters of inputs 78 % is the current of "
        "resistive ladders of 5 kΩ for as long as a read takes, by their circuit. The bound of a "
        "point is ours; what CiMLoop states are means, which `cimloop` holds."
    ),
    rows=lambda: tuple(_rows()),
)
