"""NeuroSim V1.4's SRAM chip from its circuits: areas and clock, from widths of transistors."""

from __future__ import annotations

from collections.abc import Iterator

from neutrams.reproduce.circuits import PROCESS
from neutrams.reproduce.circuits_chip import chip_area
from neutrams.reproduce.circuits_time import clock_ns
from neutrams.reproduce.neurosim_sram import vgg8
from neutrams.reproduce.recipe import Recipe, Row

_AREAS = {
    32: "21.0312 15.3844 20.9922 11.6390 12.6180 85.9765",
    64: "21.0312 15.3844 19.6964 11.6156 12.4940 84.3995",
}
"""Cells, converters, sums, drivers and buffers, wires, chip: mm² by the rows read at a time."""
_PARTS = ("cells", "converters", "sums", "other", "wires", "whole")
_NAMES = ("cells", "converters", "sums", "drivers and buffers", "wires between tiles", "chip")
_CLOCKS = {32: "2.2761", 64: "1.87436"}


def _rows() -> Iterator[Row]:
    layers, plan = vgg8()
    for rows, published in _AREAS.items():
        area = chip_area(layers, plan, rows)
        for part, name, text in zip(_PARTS, _NAMES, published.split(), strict=True):
            ours = getattr(area, part) * PROCESS.um**2 * 1e-6
            yield Row(f"{rows} rows: area of {name}", text, ours, "mm²")
        yield Row(f"{rows} rows: clock", _CLOCKS[rows], clock_ns(rows), "ns", 0.001)


CIRCUITS = Recipe(
    name="sram-circuits",
    title="NeuroSim V1.4's SRAM chip for VGG8 from its circuits: areas and clock",
    source="DNN+NeuroSim V1.4, its report for its default; facts: its manual and source",
    about=(
        "`neutrams/reproduce/circuits.toml` holds facts of the process (currents and capacities of "
        "22 nm, height and pitch of a row of standard cells), widths of transistors, and the fit "
        "of a comparator's time. From these follow the ground of every gate, folded where a row "
        "is too low for it, then adders, registers, converters, switches and decoders of an "
        "array, the array with the ground that no part fills, elements of arrays, tiles with "
        "their wires, and the chip; and the time of a conversion. No area and no time is given. "
        "The floor plan is `mapper/floorplan.py`'s."
    ),
    rows=lambda: tuple(_rows()),
)
