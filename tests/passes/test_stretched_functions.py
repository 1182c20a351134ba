"""A table serves a function only where neighbouring integers give neighbouring results."""

from __future__ import annotations

import numpy as np
import pytest

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import Sigmoid
from neutrams.ir.ops.elementwise import Add, Mul
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.unary import Abs, Sqrt
from neutrams.ir.ops.unit import Lut
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.targets import load


def network(function: str) -> Graph:
    """A product, a function of it (the length of two of them for a root), and a product."""
    rng = np.random.default_rng(2)

    def product(x: Value, name: str) -> Value:
        w = (rng.standard_normal((16, 16)) * 0.2).astype(np.float32)
        return graph.add(Matmul(x, graph.weight(name, w)), name=f"{name}.product")

    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 16))
    a = product(x, "a")
    if function == "sqrt":
        b = product(x, "b")
        squares = graph.add(Mul(a, a)), graph.add(Mul(b, b))
        middle: Op = Sqrt(graph.add(Add(*squares)))
    else:
        middle = Sigmoid(a) if function == "sigmoid" else Abs(a)
    graph.output(product(graph.add(middle), "last"), "y")
    return graph


def heavy_tailed(seed: int) -> dict[str, Array]:
    """Most numbers are far smaller than the largest, as in a spectrum of sound."""
    rng = np.random.default_rng(seed)
    loudness = np.exp(rng.normal(-2, 1.2, (256, 1)))
    return {"x": (rng.standard_normal((256, 16)) * loudness).astype(np.float32)}


def run(function: str) -> tuple[Graph, float]:
    """Lower a network and return its units, and how its output goes with the float one."""
    graph, data = network(function), heavy_tailed(0)
    ctx = PassContext(target=load("cim"), calibration=heavy_tailed(1))
    before = interpret(graph, data)["y"]
    PassManager("calibrate{observer=min-max},quantize,lower-units,split-fan-in").run(graph, ctx)
    after = interpret(graph, data)["y"]
    return graph, float(np.corrcoef(before.ravel(), after.ravel())[0, 1])


@pytest.mark.parametrize("function", ["sigmoid", "abs"])
def test_smooth_functions_become_tables(function: str) -> None:
    graph, _ = run(function)
    assert sum(isinstance(op, Lut) for op in graph.ops) == 1


def test_a_root_reads_floats() -> None:
    """Squares in 8 bits would lose every number below a sixteenth of the largest."""
    graph, agreement = run("sqrt")
    assert not any(isinstance(op, Lut) for op in graph.ops)
    assert agreement > 0.98, "with a table it is 0.95"


def test_a_root_on_a_chip_without_floats_is_a_table_all_the_same() -> None:
    graph, chip = network("sqrt"), load("cim", limits={"functions": ("lut", "add")})
    data = heavy_tailed(1)
    PassManager(default_pipeline()).run(graph, PassContext(target=chip, calibration=data))
    assert verify(graph, chip) == []


def test_a_square_is_one_table() -> None:
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 4))
    eye = graph.weight("eye", np.eye(4, dtype=np.float32))
    a = graph.add(Matmul(x, eye))
    graph.output(graph.add(Matmul(graph.add(Mul(a, a)), eye)), "y")
    chip = load("cim", limits={"functions": ("lut", "add")})
    data = {"x": np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)}
    PassManager(default_pipeline()).run(graph, PassContext(target=chip, calibration=data))
    words = [op.name for op in graph.ops if op.name in ("unit.lut", "unit.add")]
    assert words == ["unit.lut"]
