"""NeuroSim: the floor plan of VGG8, by the mapper's; what of its cost tables cannot be had."""

from __future__ import annotations

from collections.abc import Iterator

from neutrams import targets
from neutrams.ir.target import Target
from neutrams.mapper.floorplan import FloorPlan, Matrix, floor_plan
from neutrams.reproduce.networks import VGG8, convolutional, shapes
from neutrams.reproduce.recipe import Recipe, Row

_NO_CIRCUITS = (
    "not reproduced: it follows from transistor-level models of every circuit, whose constants are "
    "published as code only"
)


def _rows() -> Iterator[Row]:
    plan = _plan(targets.load("neurosim-rram"))
    yield Row("tiles of each layer", "1, 1, 2, 2, 4, 4, 32, 1", plan.tiles)
    yield Row("speed-up of each layer", "16, 4, 4, 2, 2, 1, 1, 8", plan.copies)
    yield Row("utilisation of layer 1", "0.2109", plan.utilisation[0])
    yield Row("utilisation of layers 2 to 7, least", "1", min(plan.utilisation[1:7]))
    yield Row("utilisation of layer 8", "0.3125", plan.utilisation[7])
    yield Row("utilisation of the chip", "96.8584", 100 * plan.mean_utilisation, "%")
    yield Row("side of a plain tile", "1024", plan.tile_side, "cells")
    yield Row("side of a processing element", "512", plan.element_side, "cells")
    yield Row("processing elements of the other tiles", "9", plan.taps)
    unsized = "the manual does not say which sizes of tile its Table I allows"
    single = targets.load("neurosim-rram", {"core.cell_bits": "8", "core.adc_bits": "8"})
    for published, spread in (("91.45", False), ("95.23", True)):
        how = "novel" if spread else "conventional"
        found = _plan(single, spread_taps=spread)
        quantity = f"utilisation, one cell a weight, {how} mapping"
        yield Row(quantity, published, 100 * found.mean_utilisation, "%", 0.01, unsized)
    for quantity, published, unit in (
        ("V1.4, SRAM 22 nm, 32 rows: area", "85.97", "mm²"),
        ("V1.4, SRAM 22 nm, 32 rows: throughput", "6.06", "TOPS"),
        ("V1.4, SRAM 22 nm, 32 rows: by power", "8.76", "TOPS/W"),
        ("V1.4, SRAM 22 nm, 32 rows: by area", "0.07", "TOPS/mm²"),
    ):
        yield Row(quantity, published, None, unit, 0.05, _NO_CIRCUITS)


def _plan(chip: Target, *, spread_taps: bool = True) -> FloorPlan:
    """Return the plan of VGG8 on the chip's crossbars, in the cells that its weights take."""
    network = convolutional(VGG8, side=32, dense=(1024, 10))
    matrices = [
        Matrix(layer.inputs, layer.outputs * chip.columns_per_neuron, layer.taps)
        for layer in shapes(network)
    ]
    return floor_plan(matrices, array=chip.machine.core.rows, spread_taps=spread_taps)


NEUROSIM = Recipe(
    name="neurosim",
    title="NeuroSim: floor plan of VGG8 on 128×128 crossbars, 8-bit weights in 2-bit cells",
    source="DNN+NeuroSim V1.3 manual, Fig. 24 and Table I; V1.4 manual, Table VII",
    about=(
        "The graph of VGG8 gives the matrices, `neurosim-rram.toml` the cells of a weight, and "
        "`mapper/floorplan.py` the tiles, the copies in each and the share of cells in use."
    ),
    rows=lambda: tuple(_rows()),
)
