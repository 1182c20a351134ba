"""Jia's charge-domain SRAM macro: its headline figures from the costs of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neutrams import targets
from neutrams.costs import roll_up
from neutrams.reproduce.layer import full_product
from neutrams.reproduce.recipe import Recipe, Row
from neutrams.reproduce.supply import at_supply

_FILE = Path(__file__).with_name("jia.toml")
_POINTS = (
    (0.85, 40, "0.874", "400", "0.24", ("1.79", "9.7")),
    (1.2, 100, "2.185", "192", "0.60", ("3.56", "20.4")),
)
"""Volts, MHz, TOPS, TOPS/W, TOPS/mm² at one bit by one, pJ of a conversion and of a column."""
_CLOCKS = 54
"""Of a read."""
_COLUMNS = 256
_WIDER = (("2", "0.437"), ("4", "0.2185"), ("8", "0.0932"))
"""Bits of input, TOPS at 0.85 V."""
_ENERGY = 0.08
_TIME = 0.05
_GIVEN = "energies of the target are those of this point"
_BUFFERS = (
    "published as 600 clocks where 1 bit takes 64; CiMLoop, whose model takes 54 clocks a bit as "
    "ours and is as far off, says that buffers around the macro cannot feed it in time. No width "
    "of a bus gives 600 at 8 bits and none of it at 4"
)


def _rows() -> Iterator[Row]:
    for volts, mhz, tops, by_power, by_area, energies in _POINTS:
        chip = at_supply(_FILE, volts / _POINTS[0][0], read_ns=_CLOCKS * 1e3 / mhz)
        product = full_product(chip)
        operations, where = 2 * product.cell_macs, f"{volts} V, 1 bit"
        given = _GIVEN if volts == _POINTS[0][0] else ""
        for part, published in zip(("adc", "cells"), energies, strict=True):
            ours = product.energy_of(part) / _COLUMNS * 1e12
            quantity = f"{where}: energy of {part}, a column"
            yield Row(quantity, published, ours, "pJ", _ENERGY, given=given)
        ours = operations / product.time_s * 1e-12
        yield Row(f"{where}: throughput", tops, ours, "TOPS", _TIME)
        area = roll_up(chip).core.area_mm2
        yield Row(f"{where}: by area", by_area, ours / area, "TOPS/mm²", _ENERGY)
        ours = operations / product.charge.energy_j * 1e-12
        yield Row(f"{where}: by power", by_power, ours, "TOPS/W", _ENERGY)
    for bits, tops in _WIDER:
        chip = targets.load(str(_FILE), {"limits.input_bits": bits})
        product = full_product(chip)
        ours = 2 * product.cell_macs / int(bits) / product.time_s * 1e-12
        yield Row(f"0.85 V, {bits}-bit inputs: throughput", tops, ours, "TOPS", _TIME, _BUFFERS)


JIA = Recipe(
    name="jia-sram",
    title="Jia: SRAM macro that adds charge over 2,304 rows",
    source="Jia et al., JSSC 2020, Tables I and II, Fig. 10 and 11, numbers of CiMLoop's tests",
    about=(
        "`neutrams/reproduce/jia.toml` holds what Table I states at 0.85 V for one column of cells "
        "and one conversion, Fig. 11 for areas, and 54 clocks a read; the figures of Table II "
        "follow from the events of a layer that fills the array, those at 1.2 V by the square of "
        "the supply. An operation is half a multiply-add of one bit by one. The area is that of "
        "cells, converters and the sparsity controller. The bound of a point is ours; what CiMLoop "
        "states are means, which `cimloop` holds."
    ),
    rows=lambda: tuple(_rows()),
)
