"""NeuroSim V1.4 with SRAM at 22 nm: VGG8, layer by layer, and the row of its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from neutrams import targets
from neutrams.costs import Charge, Occupancy, charge, roll_up
from neutrams.ir.target import Target
from neutrams.mapper.floorplan import FloorPlan, Matrix, floor_plan
from neutrams.reproduce.circuits import PROCESS
from neutrams.reproduce.circuits_chip import chip_area
from neutrams.reproduce.circuits_energy import conversion_pj, drives_pj, sums_pj
from neutrams.reproduce.circuits_moves import moved_clocks
from neutrams.reproduce.circuits_time import clock_ns
from neutrams.reproduce.circuits_wires import wires_pj
from neutrams.reproduce.layer import one_layer
from neutrams.reproduce.networks import VGG8, Shape, convolutional, shapes
from neutrams.reproduce.recipe import Recipe, Row

_ARRAY = 128
_ONES = 0.1551
"""Share of the bits of inputs that are one, in the traces that its report is of."""
_LAYOUT = 1.22
"""Times of the energy of circuits, for what a layout adds."""
_SLOWEST = 0
_ADC_NS = "32775.8 32775.8 28551.4 28551.4 10488.3 20976.5 582.681 72.8352"
_ADC_UJ = "2.77382 28.3449 12.3485 24.6841 9.06774 18.1367 1.78909 0.00225"
_ADDED_UJ = "0.395982 3.56556 1.54813 3.09864 1.13768 2.27581 0.224896 0.000449"
_WIRES_UJ = "0.288487 1.23238 0.543403 0.649489 0.241024 0.321402 0.0304952 0.000673552"
_TABLE_7 = {32: ("85.97", "6.06", "8.76", "0.07"), 64: ("84.39", "8.01", "17.13", "0.09")}
"""Rows read at a time: mm², TOPS, TOPS/W, TOPS/mm²."""
_BOUND = 0.05
_FITTED = "the share of ones in its inputs is from this number"
_GIVEN = "that share, and leakage (0.4 %)"
_ROUNDED = (
    "throughput over area is 0.0949 there and 0.0950 here, on either side of where digits change; "
    "NeuroSim's own report for it, 0.0950, would miss, too"
)


@dataclass(frozen=True, slots=True)
class _Run:
    """VGG8 on the chip, an image."""

    shapes: tuple[Shape, ...]
    layers: tuple[Charge, ...]
    """Of the crossbars alone."""
    read_s: tuple[float, ...]
    """Time that the crossbars of each layer read for."""
    operations: int


def vgg8() -> tuple[tuple[Shape, ...], FloorPlan]:
    """Return the layers of VGG8 and where they lie on the chip."""
    layers = shapes(convolutional(VGG8, side=32, dense=(1024, 10)))
    chip = targets.load("sram-cim")
    matrices = [
        Matrix(layer.inputs, layer.outputs * chip.columns_per_neuron, layer.taps)
        for layer in layers
    ]
    windows = [layer.side_in**2 for layer in layers]
    return layers, floor_plan(matrices, array=_ARRAY, windows=windows)


def _rows() -> Iterator[Row]:
    layers, plan = vgg8()
    arrays = sum(plan.cells) // _ARRAY**2
    yield Row("tiles of each layer", "2, 8, 4, 8, 8, 8, 64, 1", plan.tiles)
    yield Row("speed-up of each layer", "16, 16, 4, 4, 2, 1, 1, 8", plan.copies)
    yield Row("utilisation of the chip", "98.1038", 100 * plan.mean_utilisation, "%")
    chip = targets.load("sram-cim")
    area = {part.component: part.core.area_mm2 for part in roll_up(chip).parts}
    cores = arrays / (chip.machine.core.crossbars // 4)
    yield Row("area of cells", "21.0312", cores * area["cells"], "mm²")
    yield from _by_layer(_run(32, layers, plan))
    for layer, text in enumerate(_WIRES_UJ.split()):
        ours = 1e-6 * wires_pj(layers, plan, 32, layer=layer)
        yield Row(f"layer {layer + 1}: energy of wires", text, ours, "µJ")
    for rows, published in _TABLE_7.items():
        yield from _table(rows, _run(rows, layers, plan), plan, published)


def _by_layer(run: _Run) -> Iterator[Row]:
    columns = (_ADC_NS.split(), _ADC_UJ.split(), _ADDED_UJ.split())
    for layer, (time, adc, added) in enumerate(zip(*columns, strict=True)):
        quantity = f"layer {layer + 1}: conversions take"
        yield Row(quantity, time, 1e9 * run.read_s[layer], "ns", 0.001)
        parts = {part.component: part.dynamic_j / _LAYOUT for part in run.layers[layer].parts}
        for name, part, energy in (("conversions", "adc", adc), ("sums", "shift-add", added)):
            quantity = f"layer {layer + 1}: energy of {name}"
            given = _FITTED if layer == 1 and part == "adc" else ""
            yield Row(quantity, energy, 1e6 * parts[part], "µJ", _BOUND, given=given)


def _table(rows: int, run: _Run, plan: FloorPlan, published: Sequence[str]) -> Iterator[Row]:
    area = chip_area(run.shapes, plan, rows).whole * PROCESS.um**2 * 1e-6
    moved = moved_clocks(run.shapes, plan, rows, layer=_SLOWEST)
    image_s = run.read_s[_SLOWEST] + moved * clock_ns(rows) * 1e-9
    tops = run.operations / image_s * 1e-12
    arrays = sum(plan.cells) // _ARRAY**2
    on = Occupancy(arrays * _ARRAY // rows, arrays // 8, 0, 0)
    leaked = charge(_chip(rows), {}, image_s, occupancy=on).energy_j
    wires = sum(wires_pj(run.shapes, plan, rows, layer=layer) for layer in range(len(run.shapes)))
    crossbars_j = sum(layer.energy_j for layer in run.layers)
    energy_j = crossbars_j + leaked + _LAYOUT * wires * 1e-12
    found = (area, tops, run.operations / energy_j * 1e-12, tops / area)
    names = ("area", "throughput", "by power", "by area")
    units = ("mm²", "TOPS", "TOPS/W", "TOPS/mm²")
    for name, unit, text, ours in zip(names, units, published, found, strict=True):
        digits = None if name == "by area" else _BOUND
        given = _GIVEN if name == "by power" else ""
        quantity = f"Table VII, {rows} rows: {name}"
        yield Row(quantity, text, ours, unit, digits, _ROUNDED, given=given)


def _chip(rows: int, *, used: int = _ARRAY) -> Target:
    """Return the target with so many rows read at a time, as its circuits make it.

    Args:
        rows: Read at once; each such part of an array is a crossbar of the target.
        used: Rows of an array that have weights.
    """
    per_array = _ARRAY // rows
    ones = _ONES * used
    changes = {
        "core.rows": rows,
        "core.crossbars": 8 * per_array,
        "core.adcs": 16 // per_array,
        "core.read_ns": 8 * per_array * clock_ns(rows),
        "costs.adc.energy_pj.adc_conversions": _LAYOUT * conversion_pj(rows, ones),
        "costs.shift-add.energy_pj.shift_adds": _LAYOUT * sums_pj(rows) / (_ARRAY * per_array),
        "costs.dac.energy_pj.dac_drives": _LAYOUT * drives_pj(rows, ones) / _ARRAY,
    }
    return targets.load("sram-cim", {key: str(value) for key, value in changes.items()})


def _run(rows: int, layers: Sequence[Shape], plan: FloorPlan) -> _Run:
    """Compile every layer, and count its events as often as NeuroSim reads it: without padding."""
    charges, times = [], []
    for layer, copies in zip(layers, plan.copies, strict=True):
        inputs = layer.inputs * layer.taps
        chip = _chip(rows, used=min(inputs, _ARRAY))
        windows = (layer.side_in - 2) ** 2 if layer.taps > 1 else 1
        made = one_layer(chip, inputs=inputs, neurons=layer.outputs)
        counts = {event: n * windows for event, n in made.counts.items()}
        charges.append(_charged(chip, _whole(counts, chip, inputs, layer.outputs)))
        times.append(windows / copies * chip.phases * chip.machine.core.read_ns * 1e-9)
    done = sum(2 * s.side_in**2 * s.inputs * s.outputs * s.taps for s in layers)
    return _Run(tuple(layers), tuple(charges), tuple(times), done)


def _whole(counts: Mapping[str, int], chip: Target, inputs: int, neurons: int) -> dict[str, int]:
    """Return the events of arrays that are read whole, as NeuroSim reads them.

    It reads rows without weights too, in the groups that it reads at once; and the adders of all
    columns work for each conversion of those in use.
    """
    rows, columns = chip.machine.core.rows, neurons * chip.columns_per_neuron
    read = -(-inputs // _ARRAY) * (_ARRAY // rows) / -(-inputs // rows)
    added = -(-columns // _ARRAY) * _ARRAY / columns
    times = {"dac_drives": read, "adc_conversions": read, "shift_adds": read * added}
    return {event: round(n * times.get(event, 1)) for event, n in counts.items()}


def _charged(chip: Target, counts: Mapping[str, int]) -> Charge:
    inside = ("cell_macs", "dac_drives", "adc_conversions", "shift_adds")
    counted = {event: counts[event] for event in inside}
    return charge(chip, counted, 0.0, occupancy=Occupancy(0, 0, 0, 0))


NEUROSIM_SRAM = Recipe(
    name="neurosim-sram",
    title="NeuroSim V1.4: VGG8 in SRAM at 22 nm, layer by layer, and Table VII",
    source="DNN+NeuroSim V1.4, its report for its default on synthetic traces; manual, Table VII",
    about=(
        "The floor plan is `mapper/floorplan.py`'s; a cell is 280 F² by the manual. Area, clock "
        "and the energies of a conversion, of sums, of switches and of wires follow from widths of "
        "transistors, as in `sram-circuits`. Events are those of each layer compiled to "
        "`sram-cim`, with arrays that are read whole as NeuroSim does: it reads rows that are "
        "empty, too. It reads "
        "convolutions without padding, but counts operations as if padded; so do we. Clocks of "
        "buffers and wires, 84 % of the time of the slowest layer, are counted line by line. Given "
        "are the share of ones in its inputs, which are synthetic, and leakage. Left out of the "
        "energy are buffers (0.2 % of it) and adders above arrays (0.1 %)."
    ),
    rows=lambda: tuple(_rows()),
)
