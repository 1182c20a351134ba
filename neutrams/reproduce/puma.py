"""PUMA: core, tile and node from the parts of its simulator, and the figures of its abstract."""

from __future__ import annotations

from collections.abc import Iterator

from neutrams import targets
from neutrams.costs import peak, roll_up
from neutrams.reproduce.layer import one_layer
from neutrams.reproduce.recipe import Recipe, Row

_READ = (
    "area, power and both figures agree with each other, so only the time of a product is apart: "
    "the published peak of 52.3 TOPS is 2,208 units of 128×128 in 1,383 ns. No constant of its "
    "simulator gives that: 16 reads of 100 ns are 1,600 ns (ours); with its pipeline of three "
    "stages they are 1,800 ns, and with an older constant of 128 ns 2,304 ns, which is 439 and 343 "
    "GOPS/mm²"
)


def _rows() -> Iterator[Row]:
    chip = targets.load("puma")
    whole, best = roll_up(chip), peak(chip)
    router = next(part for part in whole.parts if part.component == "router")
    tile_w = whole.tile.power_w - router.tile.power_w
    tile_mm2 = whole.tile.area_mm2 - router.tile.area_mm2
    yield Row("power of a core", "42.37", 1e3 * whole.core.power_w, "mW", 0.02)
    yield Row("area of a core", "0.036", whole.core.area_mm2, "mm²", 0.05)
    yield Row("power of a tile", "373.8", 1e3 * tile_w, "mW", 0.02)
    yield Row("area of a tile", "0.479", tile_mm2, "mm²", 0.05)
    yield Row("power of the routers", "570.63", 1e3 * router.chip.power_w, "mW", 0.02)
    yield Row("area of the routers", "1.622", router.chip.area_mm2, "mm²", 0.02)
    yield Row("power of the node", "62.5", whole.chip.power_w, "W", 0.02)
    yield Row("area of the node", "90.638", whole.chip.area_mm2, "mm²", 0.02)
    made = one_layer(chip, inputs=128, neurons=16)
    yield Row("a product of 16 bits", "18", made.latency_cycles, "reads")
    yield Row("throughput by area", "577", best.gops_per_mm2, "GOPS/mm²", 0.05, _READ)
    yield Row("throughput by power", "837", best.gops_per_w, "GOPS/W", 0.05, _READ)


PUMA = Recipe(
    name="puma",
    title="PUMA: core, tile and node of 138 tiles, peak figures",
    source="Ankit et al., ASPLOS 2019, abstract and Table 3 (the table as recalled)",
    about=(
        "Totals are the sum of the parts in `puma.toml`, which are those of PUMA's `constants.py` "
        "(`costs.roll_up`, `costs.peak`). A tile is without its share of a router."
    ),
    rows=lambda: tuple(_rows()),
)
