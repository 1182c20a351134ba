"""FPSA and PRIME: density of one processing element, and the law of conversions."""

from __future__ import annotations

from collections.abc import Iterator

from neutrams import targets
from neutrams.costs import peak, roll_up
from neutrams.ir.target import Target
from neutrams.reproduce.layer import conversions_per_mac, one_layer
from neutrams.reproduce.recipe import Recipe, Row

_LARGEST = "elements of a subarray are derived from it"
_WHOLE_CELLS = "the law counts 1.5 cells of 4 bits for a weight of 6 bits; a chip takes two"


def _rows() -> Iterator[Row]:
    fpsa, prime = targets.load("fpsa"), targets.load("prime")
    yield Row("FPSA: throughput by area of an element", "38.004", _density(fpsa), "TOPS/mm²", 0.001)
    yield Row("PRIME re-modelled: the same", "1.229", _density(prime), "TOPS/mm²", 0.001)
    yield Row("FPSA over PRIME", "31", _density(fpsa) / _density(prime), "×", 0.01)
    smaller = 100 * (roll_up(fpsa).core.area_mm2 / roll_up(prime).core.area_mm2 - 1)
    yield Row("FPSA's element against PRIME's, area", "-36.6", smaller, "%")
    held = prime.machine.crossbars * prime.limits.fan_in * prime.limits.neurons
    yield Row("PRIME: largest network", "270", held * 1e-6, "M synapses", 0.01, given=_LARGEST)
    full = one_layer(prime, inputs=256, neurons=256)
    quantity = "PRIME: conversions a multiply-add, {} bits by 6"
    yield Row(quantity.format(8), "0.0156", conversions_per_mac(full), "", 0.01)
    narrow = targets.load("prime", {"limits.weight_bits": "6"})
    few = one_layer(narrow, inputs=256, neurons=256)
    yield Row(quantity.format(6), "0.0117", conversions_per_mac(few), "", 0.01, _WHOLE_CELLS)


def _density(chip: Target) -> float:
    """Return TOPS by square millimetre of the elements alone."""
    return peak(chip).gops * 1e-3 / (chip.machine.cores * roll_up(chip).core.area_mm2)


ELEMENTS = Recipe(
    name="fpsa-prime",
    title="FPSA and its re-model of PRIME: density; PRIME's conversions",
    source="Ji et al., ASPLOS 2019 (as recalled); Chi et al., ISCA 2016",
    about=(
        "`fpsa.toml` and `prime.toml` hold area and time of an element as FPSA publishes them; the "
        "density is `costs.peak` over the area of all cores. Conversions are those of a compiled "
        "256×256 layer, the unit column of offset coding included."
    ),
    rows=lambda: tuple(_rows()),
)
