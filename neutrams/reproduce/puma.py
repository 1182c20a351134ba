"""PUMA: core, tile and node from the parts of its simulator, and the figures of its abstract."""

from __future__ import annotations

from collections.abc import Iterator

from neutrams import targets
from neutrams.costs import peak, roll_up
from neutrams.reproduce.recipe import Recipe, Row

_READ = (
    "the published peak of 52.3 TOPS is a 16-bit product in 1.38 µs, so reads of 86.4 ns; its "
    "constants.py has 100 ns, and a product takes 1.6 µs"
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
