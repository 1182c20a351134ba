"""Whole networks on a chip that cannot add partial sums of different crossbars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neutrams
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.recurrent import Lstm
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.types import DType, symbol, tensor
from neutrams.ir.verifier import verify

EXAMPLES = Path(__file__).parents[2] / "examples"
MODEL = EXAMPLES / "mnist8_cntk.onnx"
DIGITS = np.load(EXAMPLES / "digits_calibration.npz")["x"]
TEST = np.load(EXAMPLES / "digits_test.npz")
ALONE = {"partial-sums": 1}


def units(program: Program) -> list[Mvm]:
    main = program.module.main
    return [op for g in [*main.cells(), main] for op in g.ops if isinstance(op, Mvm)]


@pytest.mark.parametrize(("limits", "lost"), [(ALONE, 0.002), ({**ALONE, "fan-in": 32}, 0.005)])
def test_digits_are_told_apart_as_well_without_an_adder(
    limits: dict[str, int], lost: float
) -> None:
    program = neutrams.compile(MODEL, calibration=DIGITS, limits=limits)
    assert verify(program.module.main, program.target) == []
    assert any(".part" in unit.result.name for unit in units(program))
    result = neutrams.simulate(program, TEST["x"], TEST["y"])
    assert result.accuracy is not None
    assert result.accuracy >= 0.987 - lost


def test_the_simulator_merges_as_the_interpreter_does() -> None:
    program = neutrams.compile(MODEL, calibration=DIGITS, strategy="merge-through-cores")
    few = TEST["x"][:4].astype(np.float32)
    graph = program.module.main
    (wanted,) = interpret(graph, {graph.inputs[0].name: few}).values()
    (found,) = neutrams.simulate(program, few).outputs.values()
    np.testing.assert_array_equal(found, wanted)


def test_pruned_networks_have_nothing_to_merge() -> None:
    program = neutrams.compile(MODEL, calibration=DIGITS, limits=ALONE, strategy="prune-to-blocks")
    assert verify(program.module.main, program.target) == []
    assert not any(".part" in unit.result.name for unit in units(program))


def test_a_pipeline_that_merges_nothing_is_refused() -> None:
    passes = "canonicalise,calibrate,quantize,lower-units,split-fan-in"
    with pytest.raises(NeutramsError, match="NT0145") as caught:
        neutrams.compile(MODEL, calibration=DIGITS, limits=ALONE, passes=passes)
    assert "merge-through-cores" in str(caught.value)


def test_products_of_a_recurrent_cell_are_merged_too() -> None:
    random = np.random.default_rng(0)
    graph, batch = Graph("net"), symbol("N")
    x = graph.input("x", tensor(DType.F32, batch, 6, 8))
    shapes = {"w": (1, 80, 8), "r": (1, 80, 20), "b": (1, 160)}
    w, r, b = (
        graph.weight(name, random.normal(0, 0.3, shape).astype(np.float32))
        for name, shape in shapes.items()
    )
    y = graph.add(Lstm(x, w, r, b, batch_first=True), name="layer")
    out = graph.weight("out", random.normal(0, 1, (1, 20, 3)).astype(np.float32)[0])
    graph.output(graph.add(Matmul(y, out)), "scores")
    data = {"x": random.normal(size=(64, 6, 8)).astype(np.float32)}
    wanted = interpret(graph, data)["scores"]
    program = neutrams.compile(graph, calibration=data, limits={**ALONE, "fan-in": 8})
    assert verify(program.module.main, program.target) == []
    (cell,) = program.module.main.cells()
    assert any(".part" in op.result.name for op in cell.ops if isinstance(op, Mvm))
    found = neutrams.simulate(program, data).outputs["scores"]
    assert np.square(found - wanted).mean() < 0.01 * np.square(wanted).mean()
