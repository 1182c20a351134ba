"""Events that depend on the data: steps of inputs, and what goes through cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams import driver, targets
from neutrams.ir.crossbar import program
from neutrams.ir.events import OF_DATA
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.text import parse_graph
from neutrams.ir.types import DType, symbol, tensor
from neutrams.simulator.activity import drive

NET = """neutrams 1

graph @net(%x: f32[N, 12]) {
  weight @w : f32[12, 5] = splat 0.5
  %y = nn.matmul(%x, @w) : f32[N, 5]
  %z = nn.relu(%y) : f32[N, 5]
  weight @v : f32[5, 3] = splat -0.25
  %a = nn.matmul(%z, @v) : f32[N, 3]
  return %a
}
"""
MEASURED = 'inherits = "cim"\n[costs.cells]\nenergy_pj.cell_steps = 0.001\n'


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    coding=st.sampled_from(["offset", "differential", "analog-differential"]),
    dac_bits=st.sampled_from([1, 3]),
    flip=st.booleans(),
)
def test_steps_are_digits_times_levels_added_up(
    seed: int, coding: str, dac_bits: int, flip: bool
) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(-7, 8, (6, 10)).astype(np.int8)
    x = random.integers(0, 16, (3, 10)).astype(np.uint8)
    graph = Graph("main", "unit")
    op = Mvm(
        graph.input("x", tensor(DType.U8, symbol("N"), 10)),
        graph.weight("w", weights),
        rows=4,
        neurons=5,
        input_bits=4,
        weight_bits=4,
        dac_bits=dac_bits,
        coding=coding,
        column_flip=flip and coding == "offset",
    )
    steps = held = 0
    for block in op.table():
        _, _, low, high, *_ = map(int, block)
        cells = program(op.block_weights(weights, block), op.encoding)
        for phase in range(op.encoding.phases):
            for sample in x:
                digits = sample[low:high].astype(int) >> phase * dac_bits & op.encoding.digit_max
                steps += digits.sum()
                sums = digits @ cells.codes
                held += sums.sum() + (digits.sum() if coding == "offset" else 0)
    assert drive(op, weights, x) == {"input_steps": steps, "cell_steps": held}


def test_energy_follows_the_data_where_the_target_charges_for_it() -> None:
    chip, plain = targets.loads(MEASURED), targets.load("cim")
    graph = parse_graph(NET)
    samples = np.random.default_rng(0).random((20, 12), np.float32)
    made = driver.compile(graph, target=chip, calibration=samples)
    dim, bright = (driver.simulate(made, {"x": x}) for x in (samples / 4, samples))
    assert 0 < dim.counts["cell_steps"] < bright.counts["cell_steps"]
    extra = (
        bright.energy_j
        - driver.simulate(
            driver.compile(graph, target=plain, calibration=samples), {"x": samples}
        ).energy_j
    )
    each = round(bright.counts["cell_steps"] / 20)
    assert extra == pytest.approx(each * 1e-15, rel=1e-6)
    assert bright.energy_j > dim.energy_j
    dark = driver.simulate(made, {"x": samples * 0})
    assert dark.counts["input_steps"] == 0


def test_events_of_data_are_counted_only_where_they_cost() -> None:
    samples = np.ones((4, 12), np.float32)
    made = driver.compile(parse_graph(NET), target="cim", calibration=samples)
    assert not driver.simulate(made, {"x": samples}).counts.keys() & OF_DATA
