"""Samples in, outputs out: batches of any size, and inputs that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph, Module
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.program import Program
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.simulator import simulate
from neutrams.targets import load


def digits(count: int) -> Array:
    return np.random.default_rng(1).integers(0, 256, (count, 1, 12, 12)).astype(np.uint8)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_batches_change_nothing(build_net: Any, batch: int) -> None:
    program: Program = build_net(adc_bits=6)
    x = digits(7)
    told: list[tuple[int, int]] = []
    result = simulate(
        program, {"x": x}, batch=batch, progress=lambda done, of: told.append((done, of))
    )
    assert result.samples == 7
    assert told[-1] == (7, 7)
    assert (result.outputs["scores"] == simulate(program, {"x": x}).outputs["scores"]).all()


def test_a_fixed_batch_is_run_as_often_as_needed(build_net: Any) -> None:
    x = digits(7)
    expected = simulate(build_net(), {"x": x})
    found = simulate(build_net(batch=3), {"x": x})
    assert (found.outputs["scores"] == expected.outputs["scores"]).all()
    assert found.samples == 7
    assert found.counts["crossbar_reads"] == 9 / 7 * expected.counts["crossbar_reads"]


def test_inputs_without_samples_are_shared() -> None:
    graph = Graph("main", "unit")
    a = graph.input("a", tensor(DType.F32, symbol("N"), 3))
    b = graph.input("b", tensor(DType.F32, 3))
    graph.output(graph.add(Add(a, b)), "sum")
    graph.output(b, "same")
    program = Program(Module([graph]), load("cim"))
    x, y = np.arange(12, dtype=np.float32).reshape(4, 3), np.ones(3, np.float32)
    outputs = simulate(program, {"a": x, "b": y}, batch=3).outputs
    assert (outputs["sum"] == x + 1).all()
    assert (outputs["same"] == y).all()


@pytest.mark.parametrize(
    ("code", "inputs"),
    [
        ("NT0521", {}),
        ("NT0521", {"y": digits(1)}),
        ("NT0522", {"x": digits(1)[0]}),
        ("NT0522", {"x": digits(1)[:, :, 1:]}),
        ("NT0523", {"x": digits(1).astype(np.float32)}),
        ("NT0524", {"x": digits(0)}),
    ],
)
def test_inputs_that_do_not_fit(build_net: Any, code: str, inputs: dict[str, Array]) -> None:
    with pytest.raises(NeutramsError) as caught:
        simulate(build_net(), inputs)
    assert caught.value.diagnostics[0].code == code


def test_every_fault_is_told_at_once() -> None:
    graph = Graph("main", "unit")
    a = graph.input("a", tensor(DType.F32, symbol("N"), 3))
    graph.output(graph.add(Add(a, graph.input("b", tensor(DType.F32, symbol("N"), 3)))))
    program = Program(Module([graph]), load("cim"))
    with pytest.raises(NeutramsError) as caught:
        simulate(program, {"a": np.zeros((2, 4), np.float32)})
    assert [d.code for d in caught.value.diagnostics] == ["NT0522", "NT0521"]
