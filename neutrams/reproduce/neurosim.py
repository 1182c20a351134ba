"""NeuroSim: its floor plans of VGG8 and other networks, by the mapper's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neutrams import targets
from neutrams.ir.target import Target
from neutrams.mapper.floorplan import SMALLEST, FloorPlan, Matrix, floor_plan
from neutrams.reproduce.networks import VGG8, VGG16, Shape, alexnet, convolutional, resnet34, shapes
from neutrams.reproduce.recipe import Recipe, Row

_UNLISTED = (
    "the manual does not list the layers of its ResNet-34; ours has 1×1 projections. Of 216 "
    "variants (four stems, three kinds of projections, in the first stage or not, nine heads) none "
    "gives either number"
)
_TABLE_1 = (2, 4)
"""Smallest sizes, chosen to fit VGG-8 in Table I; those of Fig. 24 are twice as large."""


def _rows() -> Iterator[Row]:
    vgg8 = shapes(convolutional(VGG8, side=32, dense=(1024, 10)))
    plan = _plan(targets.load("neurosim-rram"), vgg8)
    yield Row("tiles of each layer", "1, 1, 2, 2, 4, 4, 32, 1", plan.tiles)
    yield Row("speed-up of each layer", "16, 4, 4, 2, 2, 1, 1, 8", plan.copies)
    yield Row("utilisation of layer 1", "0.2109", plan.utilisation[0])
    yield Row("utilisation of layers 2 to 7, least", "1", min(plan.utilisation[1:7]))
    yield Row("utilisation of layer 8", "0.3125", plan.utilisation[7])
    yield Row("utilisation of the chip", "96.8584", 100 * plan.mean_utilisation, "%")
    yield Row("side of a plain tile", "1024", plan.tile_side, "cells")
    yield Row("side of a processing element", "512", plan.element_side, "cells")
    yield Row("processing elements of the other tiles", "9", plan.taps)
    single = targets.load("neurosim-rram", {"core.cell_bits": "8", "core.adc_bits": "8"})
    vgg16 = shapes(convolutional(VGG16, side=224, dense=(4096, 4096, 1000)))
    for network, layers, *percents in (
        ("VGG-8", vgg8, "91.45", "95.23"),
        ("AlexNet", alexnet(), "98", "97"),
        ("VGG-16", vgg16, "98.79", "99.24"),
        ("ResNet-34", resnet34(), "85.88", "90.13"),
    ):
        for mapping, percent in zip(("conventional", "novel"), percents, strict=True):
            spread = mapping == "novel"
            found = _plan(single, layers, spread_taps=spread, smallest=_TABLE_1)
            quantity = f"Table I: {network}, {mapping} mapping"
            yield Row(quantity, percent, 100 * found.cell_utilisation, "%", None, _UNLISTED)


def _plan(
    chip: Target,
    layers: Sequence[Shape],
    *,
    spread_taps: bool = True,
    smallest: tuple[int, int] = SMALLEST,
) -> FloorPlan:
    """Return the plan of a network on the chip's crossbars, in the cells that its weights take."""
    matrices = [
        Matrix(layer.inputs, layer.outputs * chip.columns_per_neuron, layer.taps)
        for layer in layers
    ]
    array = chip.machine.core.rows
    return floor_plan(matrices, array=array, spread_taps=spread_taps, smallest=smallest)


NEUROSIM = Recipe(
    name="neurosim",
    title="NeuroSim: floor plan of VGG8 on 128×128 crossbars, 8-bit weights in 2-bit cells",
    source="DNN+NeuroSim V1.3 manual, Fig. 24 and Table I",
    about=(
        "The graph of VGG8 gives the matrices, `neurosim-rram.toml` the cells of a weight, and "
        "`mapper/floorplan.py` the tiles, the copies in each and the share of cells in use. Table "
        "I is that share of all cells at one cell a weight. The smallest element and tile, half as "
        "large as for Fig. 24, and the share of cells rather than of tiles were chosen to fit its "
        "VGG-8; AlexNet and VGG-16 then come out as well, ResNet-34 does not."
    ),
    rows=lambda: tuple(_rows()),
)
