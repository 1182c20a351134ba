"""SpikeSim: energy, area and latency of VGG9, from its constants as a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from neutrams import targets
from neutrams.costs import Occupancy, charge, roll_up
from neutrams.ir.blocks import blocks
from neutrams.ir.target import Target
from neutrams.reproduce.networks import VGG9, Shape, convolutional, shapes
from neutrams.reproduce.recipe import Recipe, Row

_FILE = Path(__file__).with_name("spikesim.toml")
_STEPS = 5
_PUBLISHED = {
    64: ("48", "6", "8.4255", "15.9069"),
    32: ("190", "24", "17.3108", "44.0740"),
    128: ("14", "2", "6.3479", "13.9789"),
    256: ("7", "1", "5.9059", "28.3787"),
}
"""Processing elements, tiles, mm², µJ, by the side of a crossbar."""
_ALL_BUT_LAST = "membranes of all layers but the last, as its areas imply; of all: {:.4f} mm²"
_AHEAD = 0.75
"""Share of a layer's outputs after which the next one starts."""


def _rows() -> Iterator[Row]:
    layers = shapes(convolutional(VGG9, side=32))
    for side, (elements, tiles, area, energy) in _PUBLISHED.items():
        chip, where = _chip(side, layers[:-1]), f"{side}×{side}"
        held = [len(blocks(1, layer.inputs, layer.outputs, side, side)) for layer in layers]
        count = -(-sum(held) // chip.machine.tile.cores)
        yield Row(f"{where}: processing elements", elements, sum(held))
        yield Row(f"{where}: tiles", tiles, count)
        whole = roll_up(_chip(side, layers)).of_tiles(count).area_mm2
        ours = roll_up(chip).of_tiles(count).area_mm2
        yield Row(f"{where}: area", area, ours, "mm²", note=_ALL_BUT_LAST.format(whole))
        yield Row(f"{where}: energy", energy, 1e6 * _energy_j(chip, layers, held), "µJ")
    yield Row("latency", "62.83264", 1e3 * _latency_s(_chip(64, layers), layers), "ms")


def _chip(side: int, layers: Sequence[Shape]) -> Target:
    """Return the target with crossbars of one size and membranes for these layers."""
    membranes = sum(s.inputs * s.side_in**2 + s.outputs * s.side_out**2 for s in layers)
    sizes = {"core.rows": side, "core.columns": side, "core.adcs": side // 8}
    changes = {**sizes, "costs.membranes.count": membranes}
    return targets.load(str(_FILE), {key: str(value) for key, value in changes.items()})


def _energy_j(chip: Target, layers: Sequence[Shape], held: Sequence[int]) -> float:
    """Charge what happens when every processing element of a layer is read for each output."""
    core = chip.machine.core
    cycles = sum(n * s.side_out**2 * _STEPS for n, s in zip(held, layers, strict=True))
    each = {
        "crossbar_reads": core.crossbars * core.adcs,
        "adc_conversions": core.adcs**2,
        "shift_adds": 16 * core.adcs,
        "reduce_adds": core.adcs,
        "vector_ops": 1,
        "buffer_read_bytes": 1,
        "input_register_bytes": 1,
        "bus_bytes": 1,
    }
    counts = {event: cycles * count for event, count in each.items()}
    return charge(chip, counts, 0.0, occupancy=Occupancy(0, 0, 0, 0)).energy_j


def _latency_s(chip: Target, layers: Sequence[Shape]) -> float:
    """Add up layers, each started when three quarters of the one before are there."""
    outputs = [layer.side_out**2 * layer.outputs for layer in layers]
    reads = sum(int(_AHEAD * count) for count in outputs[:-1]) + outputs[-1]
    return _STEPS * reads * chip.machine.core.read_ns * 1e-9


SPIKESIM = Recipe(
    name="spikesim",
    title="SpikeSim: VGG9 for CIFAR-10 in five time steps, RRAM at 65 nm",
    source="Moitra et al., TCAD 2023; output of the authors' script",
    about=(
        "Its constants are `neutrams/reproduce/spikesim.toml`; area is `costs.roll_up`, energy "
        "`costs.charge` of the events of VGG9's graph, cut by `ir.blocks`. Its rule of latency, "
        "that a layer starts when 75 % of the one before is there, is taken as it is. Inferred "
        "from its output, not read in it: the sizes of VGG9's images, which fit its latency and "
        "energies, and that the last layer's membranes are not in its areas."
    ),
    rows=lambda: tuple(_rows()),
)
