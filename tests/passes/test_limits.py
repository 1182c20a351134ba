"""The usual pipeline obeys every limit that a chip states."""

from __future__ import annotations

import numpy as np
import pytest

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.text import parse, print_graph
from neutrams.ir.types import DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.targets import load

X = {"x": np.random.default_rng(1).normal(size=(64, 3, 6, 6)).astype(np.float32)}


def network() -> Graph:
    """A convolution, a residual one and two layers."""
    rng = np.random.default_rng(0)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 3, 6, 6))

    def const(*shape: int) -> Value:
        fan_in = int(np.prod(shape[1:])) or 1
        return graph.weight("c", (rng.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32))

    a = graph.add(Relu(graph.add(Conv(x, const(8, 3, 3, 3), const(8)))))
    b = graph.add(Conv(a, const(8, 8, 3, 3), const(8), pads=(1, 1, 1, 1)))
    c = graph.add(Relu(graph.add(Add(a, b))))
    flat = graph.add(Reshape(c, shape=(symbol("N"), 128)))
    hidden = graph.add(Relu(graph.add(Add(graph.add(Matmul(flat, const(128, 20))), const(20)))))
    graph.output(graph.add(Matmul(hidden, const(20, 5))), "y")
    return graph


def compiled(limits: dict[str, object]) -> tuple[Graph, float]:
    """Return the units of the network under some limits, proved, and how far its outputs moved."""
    graph, chip = network(), load("cim", limits=limits)
    wanted = interpret(graph, X)["y"]
    PassManager(default_pipeline()).run(graph, PassContext(target=chip, calibration=X))
    assert verify(graph, chip) == []
    found = interpret(graph, X)["y"]
    return graph, float(np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2)))


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({}, 0.02),
        ({"fan-in": 16, "neurons": 3}, 0.02),
        ({"weight-range": (-7, 7)}, 0.2),
        ({"weight-range": (-2, 100)}, 0.6),
        ({"weight-range": (0, 127)}, 0.02),
        ({"weight-range": (0, 7), "fan-in": 16, "neurons": 3}, 0.2),
        ({"weight-range": (0, 127), "functions": ("sub", "relu", "add")}, 0.02),
        ({"input-range": (-7, 7)}, 0.2),
        ({"input-range": (0, 100)}, 0.03),
        ({"input-range": (-128, 127)}, 0.02),
        ({"output-range": (-7, 7)}, 0.2),
        ({"output-bits": 4}, 0.2),
        ({"input-range": (0, 1, 0.001), "input-bits": 7}, 0.03),
        ({"input-range": (-128, 127), "bias-range": (-32768, 32767)}, 0.03),
        ({"input-range": (-128, 127), "bias-range": (-128, 127)}, 0.5),
        ({"accumulator-bits": 23}, 0.02),
    ],
)
def test_units_obey_and_outputs_stay_near(limits: dict[str, object], most: float) -> None:
    graph, moved = compiled(limits)
    assert moved < most
    store: dict[str, np.ndarray] = {}
    text = print_graph(graph, store)
    assert print_graph(parse(text, weights=store).main, {}) == text


def test_unsigned_weights_without_differences_are_refused() -> None:
    with pytest.raises(NeutramsError) as caught:
        compiled({"weight-range": (0, 127), "functions": ("relu", "add")})
    assert {fault.code for fault in caught.value.diagnostics} == {"NT0145"}
    assert "; `cim` allows 0 to 127" in str(caught.value)
