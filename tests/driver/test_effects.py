"""An option that would change nothing beside the others is refused, before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neutrams
from neutrams import driver
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.products import Matmul
from neutrams.ir.types import DType, symbol, tensor
from neutrams.passes import default_pipeline

X = np.ones((4, 3), np.float32)


def net(batch: int = 0) -> Graph:
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, batch or symbol("N"), 3))
    w = graph.weight("w", np.eye(3, dtype=np.float32))
    graph.output(graph.add(Matmul(x, w)), "y")
    return graph


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"device": "cpu"}, ["--device"]),
        ({"checkpoints": "kept"}, ["--checkpoints"]),
        ({"batch": 4}, ["--batch"]),
        ({"print_after": frozenset({"lower-unit"})}, ["--print-after"]),
        ({"budget": {"loss": 1.0}}, []),
        (
            {"passes": default_pipeline(), "observer": "min-max", "widen": 2, "retrain": True},
            ["--observer", "--widen", "--retrain"],
        ),
    ],
)
def test_a_compile_says_what_changes_nothing(options: dict[str, Any], named: list[str]) -> None:
    for run in (neutrams.compile, driver.dry_run):
        with pytest.raises(NeutramsError) as fault:
            run(net(), **options)
        said = [d.message.split("`")[1] for d in fault.value.diagnostics if d.code == "NT0590"]
        assert said == named
        assert all(d.helps for d in fault.value.diagnostics)


@pytest.mark.parametrize(
    "options",
    [
        {"rounds": None, "batch": 4},
        {"print_after": frozenset({"quantize"}), "emit": lambda _: None},
        {"passes": default_pipeline(), "batch": 1, "strategy": "split-and-merge", "widen": "1"},
    ],
)
def test_what_changes_something_is_let_pass(options: dict[str, Any]) -> None:
    assert neutrams.compile(net(), calibration=X, **options)


def test_a_run_says_what_changes_nothing() -> None:
    program = neutrams.compile(net(batch=2), calibration=X)
    for options, named in (({"seed": 3}, "--seed"), ({"batch": 3}, "--batch")):
        with pytest.raises(NeutramsError, match="NT0590") as fault:
            neutrams.simulate(program, X, **options)  # type: ignore[arg-type]
        assert f"`{named}` changes nothing" in str(fault.value)
    with pytest.raises(NeutramsError, match="NT0590"):
        driver.export(program, "out", to="onnx", inputs=X)
