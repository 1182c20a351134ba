"""Jia's charge-domain SRAM macro: its headline figures from the costs of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neutrams import targets
from neutrams.costs import roll_up
from neutrams.reproduce.layer import full_product
from neutrams.reproduce.recipe import Recipe, Row

_FOLDER = Path(__file__).parent
_POINTS = (
    ("jia.toml", "0.85 V", "0.874", "400", "0.24"),
    ("jia_fast.toml", "1.2 V", "2.185", "192", "0.60"),
)
"""Target, supply, TOPS, TOPS/W, TOPS/mm² at one bit by one."""
_WIDER = (("2", "0.437"), ("4", "0.2185"), ("8", "0.0932"))
"""Bits of input, TOPS at 0.85 V."""
_ENERGY = 0.08
_TIME = 0.05
_BUFFERS = (
    "at 8 bits the buffers around the macro cannot feed it in time, says CiMLoop; ours is fed"
)


def _rows() -> Iterator[Row]:
    for file, volts, tops, by_power, by_area in _POINTS:
        chip = targets.load(str(_FOLDER / file))
        product = full_product(chip)
        operations = 2 * product.cell_macs
        ours = operations / product.time_s * 1e-12
        yield Row(f"{volts}, 1 bit: throughput", tops, ours, "TOPS", _TIME)
        energy_j = product.charge.energy_j
        yield Row(
            f"{volts}, 1 bit: by power", by_power, operations / energy_j * 1e-12, "TOPS/W", _ENERGY
        )
        area = roll_up(chip).core.area_mm2
        yield Row(f"{volts}, 1 bit: by area", by_area, ours / area, "TOPS/mm²", _ENERGY)
    for bits, tops in _WIDER:
        chip = targets.load(str(_FOLDER / "jia.toml"), {"limits.input_bits": bits})
        product = full_product(chip)
        ours = 2 * product.cell_macs / int(bits) / product.time_s * 1e-12
        yield Row(f"0.85 V, {bits}-bit inputs: throughput", tops, ours, "TOPS", _TIME, _BUFFERS)


JIA = Recipe(
    name="jia-sram",
    title="Jia: SRAM macro that adds charge over 2,304 rows",
    source="Jia et al., JSSC 2020, Tables I and II, Fig. 10 and 11, numbers of CiMLoop's tests",
    about=(
        "`neutrams/reproduce/jia.toml` and `jia_fast.toml` hold what Table I states for one column "
        "of cells and one conversion, Fig. 11 for areas, and 54 clocks a read; the figures of "
        "Table II follow from the events of a layer that fills the array. An operation is half a "
        "multiply-add of one bit by one. The area is that of cells, converters and the sparsity "
        "controller."
    ),
    rows=lambda: tuple(_rows()),
)
