"""Measured macros: what of them follows from the constants that were published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neutrams import targets
from neutrams.costs import Occupancy, charge, roll_up
from neutrams.ir.target import Target
from neutrams.reproduce.layer import one_layer
from neutrams.reproduce.recipe import Recipe, Row

_FILE = Path(__file__).with_name("neurram.toml")
_POINTS = (
    ("3/1", 1, "2.122", "43.08"),
    ("4/2", 1, "1.793", "40.33"),
    ("5/3", 2, "1.165", "23.09"),
    ("6/4", 3, "0.744", "15.95"),
    ("one-phase 7/5", 4, "0.452", "11.33"),
    ("one-phase 8/6", 5, "0.261", "9.12"),
    ("two-phase 7/5", 4, "0.525", "11.03"),
    ("two-phase 8/6", 5, "0.418", "8.26"),
    ("two-phase 9/7", 6, "0.344", "7.75"),
    ("two-phase 10/8", 7, "0.264", "6.44"),
)
"""Bits of output and input, magnitude bits of the input, TOPS, TOPS/W."""
_ENERGY = 0.08
_TIME = 0.05
_READS = (
    "a read takes one time here; there integration doubles with each bit of input, and conversion "
    "takes longer with each bit of output"
)
_NEURON = "a conversion costs the same at any width here"
_GIVEN = "given: energies and time of the target are those of this point"
_TOTALS = "not reproduced: only totals and shares are given, no constants to compute them from"


def _rows() -> Iterator[Row]:
    for place, (bits, reads, tops, by_power) in enumerate(_POINTS):
        note = "" if place else _GIVEN
        energy_j, time_s, macs = _product(reads)
        cores = _chip(reads).machine.cores
        quantity = f"NeuRRAM, {bits}-bit: by power"
        yield Row(quantity, by_power, macs / energy_j * 1e-12, "TOPS/W", _ENERGY, _NEURON, note)
        quantity = f"NeuRRAM, {bits}-bit: throughput"
        yield Row(quantity, tops, cores * macs / time_s * 1e-12, "TOPS", _TIME, _READS, note)
    area = {part.component: part.core.area_mm2 for part in roll_up(_chip(1)).parts}
    share = 100 * area["cells"] / area["neuron"]
    yield Row("NeuRRAM: area of cells, by that of neurons (12 by 28)", "42.9", share, "%", 0.08)
    yield from _not_reproduced()


def _chip(reads: int) -> Target:
    return targets.load(str(_FILE), {"limits.input_bits": str(reads)})


def _product(reads: int) -> tuple[float, float, int]:
    """Return joules, seconds and multiply-adds of a full core, its input in so many reads."""
    chip = _chip(reads)
    core = chip.machine.core
    neurons = core.columns // chip.columns_per_neuron
    layer = one_layer(chip, inputs=core.rows, neurons=neurons)
    known = {event for part in chip.costs for event, _ in part.energy_pj}
    counts = {event: n for event, n in layer.counts.items() if event in known}
    time_s = layer.latency_cycles * core.read_ns * 1e-9
    found = charge(chip, counts, time_s, occupancy=Occupancy(1, 1, 1, 1))
    return found.energy_j, time_s, layer.macs


def _not_reproduced() -> Iterator[Row]:
    jia = (("0.85", "0.874", "400", "0.24"), ("1.2", "2.185", "192", "0.60"))
    for volts, tops, by_power, by_area in jia:
        for published, unit in ((tops, "TOPS"), (by_power, "TOPS/W"), (by_area, "TOPS/mm²")):
            yield Row(f"Jia, {volts} V, 1 bit", published, None, unit, _ENERGY, _TOTALS)
    wang = (
        ("0.7", "2.377", "31.998"),
        ("0.8", "2.858", "22.590"),
        ("0.9", "3.200", "18.439"),
        ("1.0", "3.596", "16.376"),
        ("1.1", "3.941", "15.467"),
    )
    for volts, by_area, by_power in wang:
        for published, unit in ((by_area, "TOPS/mm²"), (by_power, "TOPS/W")):
            yield Row(f"Wang, {volts} V", published, None, unit, _ENERGY, _TOTALS)


MACROS = Recipe(
    name="macros",
    title="Measured macros: NeuRRAM at ten precisions; Jia and Wang",
    source=(
        "Wan et al., Nature 2022; Jia et al., JSSC 2020; Wang et al., VLSI 2022; numbers of "
        "CiMLoop's tests"
    ),
    about=(
        "`neutrams/reproduce/neurram.toml` holds energy by event and time of one read at one bit "
        "of input; the other nine precisions follow from the events of a compiled 256×128 layer "
        "with as many reads as its input has bits of magnitude, the sign apart (our reading). An "
        "operation is a multiply-add, as the split of energy adds up so. CiMLoop states 4 to 8 % "
        "in energy, 2 to 5 % in throughput and 8 % in area; AccelForge 13 % for the energy of "
        "these points."
    ),
    rows=lambda: tuple(_rows()),
)
