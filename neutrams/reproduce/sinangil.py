"""Sinangil's SRAM macro: an energy that depends on the data, by the average of its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neutrams import driver, targets
from neutrams.ir.graph import Graph
from neutrams.ir.ops.products import Matmul
from neutrams.ir.target import Target
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.reproduce.recipe import Recipe, Row
from neutrams.reproduce.supply import at_supply

_FILE = Path(__file__).with_name("sinangil.toml")
_VOLTS = 0.8
_BY_OUTPUT = (
    *((0, "3.357"), (1, "4.563"), (2, "5.033"), (4, "5.443"), (6, "5.838")),
    *((8, "6.285"), (10, "6.657"), (12, "7.044"), (15, "7.795")),
)
"""Average output of 0 to 15, and pJ of a product at 0.8 V (Fig. 13a)."""
_BY_SUPPLY = (
    *((0.65, "5.109"), (0.7, "5.875"), (0.75, "6.797"), (0.8, "7.813")),
    *((0.85, "9.031"), (0.9, "10.25"), (0.95, "11.75"), (1.0, "13.125")),
)
"""Volts, and pJ of a product with an average output of 15 (Fig. 13b)."""
_TABLE_1 = ((0.8, "610.5", "351", "262.3"), (1.0, "435.5", "321", "189.3"))
"""Volts, and TOPS/W with average outputs of 0, 6 and 15."""
_SHARE = 0.25
"""Average input, and weight, of the largest, for an output of 1; both go with its root."""
_SAMPLES = 64
_BOUND = 0.08
_SOLVED = (0, 6, 15)
_GIVEN = "energies of the target are solved from outputs of 0, 6 and 15 at 0.8 V"
_TABLES = (
    "from 0.8 to 1.0 V energy goes with the square of the supply here; as published with its power "
    "1.5, 0.4 and 1.5 in Table I, with its power 2.3 in Fig. 13b. CiMLoop takes the 0.4 for "
    "variation of the chip"
)


def _rows() -> Iterator[Row]:
    chip = targets.load(str(_FILE))
    energies = {output: _energy_j(chip, output) for output, _ in _BY_OUTPUT}
    for output, published in _BY_OUTPUT:
        given = _GIVEN if output in _SOLVED else ""
        quantity = f"average output {output}: energy"
        yield Row(quantity, published, energies[output] * 1e12, "pJ", _BOUND, given=given)
    for volts, published in _BY_SUPPLY:
        ours = _energy_j(_at(volts), 15) * 1e12
        given = _GIVEN if volts == _VOLTS else ""
        yield Row(f"{volts} V: energy", published, ours, "pJ", _BOUND, given=given)
    operations = 2 * chip.machine.core.rows * chip.machine.core.columns // 2
    for volts, *by_output in _TABLE_1:
        for output, text in zip(_SOLVED, by_output, strict=True):
            ours = operations / _energy_j(_at(volts), output) * 1e-12
            given = _GIVEN if volts == _VOLTS else ""
            quantity = f"{volts} V, output {output}: by power"
            yield Row(quantity, text, ours, "TOPS/W", _BOUND, _TABLES, given=given)


def _at(volts: float) -> Target:
    return at_supply(_FILE, volts / _VOLTS, read_ns=targets.load(str(_FILE)).machine.core.read_ns)


def _energy_j(chip: Target, output: int) -> float:
    """Return the energy of a product whose outputs have this average.

    Inputs and weights are all or nothing, as many of them all as their average asks for.
    """
    rows, neurons = chip.machine.core.rows, chip.machine.core.columns // 2
    share = _SHARE * output**0.5
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), rows))
    w = graph.weight("w", _some((rows, neurons), share or 1.0, 2**0.5))
    graph.output(graph.add(Matmul(x, w), name="y"))
    full = np.ones((4, rows), np.float32)
    program = driver.compile(graph, target=chip, calibration=full, replicate=False)
    return driver.simulate(program, {"x": _some((_SAMPLES, rows), share, 5**0.5)}).energy_j


def _some(shape: tuple[int, int], share: float, step: float) -> Array:
    """Return ones in so many places, spread evenly, and zeros in the others."""
    places = np.arange(shape[0] * shape[1]) * step % 1
    return (places < share).astype(np.float32).reshape(shape)


SINANGIL = Recipe(
    name="sinangil-sram",
    title="Sinangil: SRAM macro whose energy depends on the data",
    source="Sinangil et al., JSSC 2021, Fig. 13 and Table I, numbers of CiMLoop's tests",
    about=(
        "`neutrams/reproduce/sinangil.toml` has three energies: of a read, of a pulse on a row "
        "(`input_steps`) and of what a pulse discharges in a column (`cell_steps`). They are "
        "solved from Table I at 0.8 V; the six other averages of Fig. 13a follow from simulating "
        "a layer on data of such an average, where inputs and weights go with the root of the "
        "output, as CiMLoop assumes. Where no output is named it is 15. All energies go with the "
        "square of the supply. The bound of a point is ours."
    ),
    rows=lambda: tuple(_rows()),
)
