"""NeuRRAM: energy, throughput and area at ten precisions, from constants fitted to four."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neutrams import targets
from neutrams.costs import roll_up
from neutrams.ir.target import Target
from neutrams.reproduce.layer import full_product
from neutrams.reproduce.recipe import Recipe, Row

_FILE = Path(__file__).with_name("neurram.toml")
_POINTS = (
    ("3/1", ((1, 3),), "2.122", "43.08", "8.99 10.62 3.45"),
    ("4/2", ((1, 4),), "1.793", "40.33", "8.27 12.39 3.96"),
    ("5/3", ((2, 5),), "1.165", "23.09", "15.46 20.12 7.73"),
    ("6/4", ((3, 6),), "0.744", "15.95", "21.76 29.11 11.51"),
    ("one-phase 7/5", ((4, 7),), "0.452", "11.33", ""),
    ("one-phase 8/6", ((5, 8),), "0.261", "9.12", ""),
    ("two-phase 7/5", ((2, 7), (2, 5)), "0.525", "11.03", "30.93 44.21 14.02"),
    ("two-phase 8/6", ((3, 8), (2, 5)), "0.418", "8.26", "37.22 52.48 19.24"),
    ("two-phase 9/7", ((3, 9), (3, 6)), "0.344", "7.75", "43.69 61.83 22.83"),
    ("two-phase 10/8", ((4, 10), (3, 6)), "0.264", "6.44", "50.52 75.86 27.51"),
)
"""Bits of output and input; of each phase the bits of input's magnitude and of the conversion;
TOPS; TOPS/W; fJ an operation of word lines, neurons and input pulses."""
_FITTED = 4
_PARTS = {"cells": "word lines", "neuron": "neurons", "driver": "input pulses"}
_ENERGY = 0.08
_TIME = 0.05
_GIVEN = "constants of the target are fitted to these four points"
_SPLIT = "its published split adds up to 9.18 TOPS/W, not to its published 8.26"
_SCATTER = (
    "at 3/1 and 4/2 bits the inputs are pulsed alike, and measured 15 % apart: one constant lies "
    "between"
)


def _rows() -> Iterator[Row]:
    for place, (bits, phases, tops, by_power, split) in enumerate(_POINTS):
        given = _GIVEN if place < _FITTED else ""
        products = [full_product(_chip(*phase)) for phase in phases]
        operations = 2 * products[0].macs
        time_s = sum(product.time_s for product in products)
        energy_j = sum(product.charge.energy_j for product in products)
        cores = _chip(1, 1).machine.cores
        ours = operations / energy_j * 1e-12
        yield Row(f"{bits}-bit: by power", by_power, ours, "TOPS/W", _ENERGY, _SPLIT, given=given)
        ours = cores * operations / time_s * 1e-12
        yield Row(f"{bits}-bit: throughput", tops, ours, "TOPS", _TIME, given=given)
        for (part, name), published in zip(_PARTS.items(), split.split(), strict=False):
            ours = sum(product.energy_of(part) for product in products) / operations * 1e15
            quantity = f"{bits}-bit: energy of {name}"
            yield Row(quantity, published, ours, "fJ", _ENERGY, _SCATTER, given=given)
    area = {part.component: part.core.area_mm2 for part in roll_up(_chip(1, 1)).parts}
    share = 100 * area["cells"] / area["neuron"]
    yield Row("area of cells, by that of neurons (12 by 28)", "42.9", share, "%", _ENERGY)


def _chip(magnitude: int, conversion: int) -> Target:
    """Return a core that integrates so many bits of input and then converts to so many."""
    changes = {
        "limits.input_bits": magnitude,
        "core.dac_bits": magnitude,
        "core.adc_bits": conversion,
    }
    return targets.load(str(_FILE), {key: str(value) for key, value in changes.items()})


NEURRAM = Recipe(
    name="neurram",
    title="NeuRRAM at ten precisions",
    source="Wan et al., Nature 2022, numbers of CiMLoop's tests",
    about=(
        "A 256×128 layer is compiled to a core of `neutrams/reproduce/neurram.toml` and its events "
        "are charged. The bits of an input are integrated, each as often as it is worth, before "
        "the neurons convert; the sign is apart. Of two phases, the second converts as many bits "
        "less as the first one had. Three constants of time and six of energy are least squares "
        "over the first four points; the other six points follow. The bound of a point is ours; "
        "what CiMLoop states are means, which `cimloop` holds. AccelForge is 1 to 9 % off in the "
        "throughput of these points, 1 to 12 % in their energy."
    ),
    rows=lambda: tuple(_rows()),
)
