"""Trained networks at the unit level, converters ideal, against their float originals."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from neutrams.frontends import load_model
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.ir.types import Array
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.targets import load

DATA = Path(os.environ.get("NEUTRAMS_DATA", Path(__file__).parents[3] / "shared" / "data"))


def file(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path.name} is not here; set NEUTRAMS_DATA")
    return path


def outputs(graph: Graph, x: Array) -> Array:
    name = graph.inputs[0].name
    parts = [interpret(graph, {name: x[i : i + 100]}) for i in range(0, len(x), 100)]
    return np.concatenate([next(iter(part.values())) for part in parts])


def lowered(model: str, calibration: Array | None) -> tuple[Graph, Graph]:
    """Return the float graph and the unit graph of a model, with ideal converters."""
    before, graph = (load_model(file(model)) for _ in range(2))
    data = None if calibration is None else {graph.inputs[0].name: calibration}
    ctx = PassContext(target=load("cim", {"core.adc_bits": "0"}), calibration=data)
    PassManager(default_pipeline()).run(graph, ctx)
    assert not any(isinstance(op, Conv | Matmul) for op in graph.ops)
    return before, graph


def test_mnist8_loses_at_most_half_a_point() -> None:
    data = np.load(file("images/mnist.npz"))
    test, labels = data["x_test"][:500, None], data["y_test"][:500]
    before, after = lowered("models/onnx/mnist8_cntk.onnx", data["x_train"][:256, None])
    x = test.astype(np.float32)
    accuracy = [np.mean(outputs(g, x).argmax(axis=1) == labels) for g in (before, after)]
    assert accuracy[1] >= accuracy[0] - 0.005


@pytest.mark.parametrize("kind", ["", "_int8_qdq"])
def test_keyword_spotting_keeps_its_classes(kind: str) -> None:
    """A quantised model keeps its own scales, and so every class; a float one nearly all."""
    data = np.load(file("audio/kws_mfcc_test1000.npz"))
    x = (data["x"].astype(np.float32) - data["zero_point"]) * data["scale"]
    x, rest = np.split(x.astype(np.float32)[:, None], [60])
    model = f"models/onnx/mlperf_tiny_kws_dscnn{kind}.onnx"
    before, after = lowered(model, None if kind else rest[:256])
    first, second = (outputs(g, x).argmax(axis=1) for g in (before, after))
    assert np.mean(first == second) >= (1.0 if kind else 0.95)
