"""Every real model imports, and means what onnxruntime makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from neutrams.frontends import load_model
from neutrams.ir.interpreter import interpret
from neutrams.ir.text import parse, print_graph
from neutrams.ir.verifier import verify

Data = Callable[[str], Path]

FLOAT_MODELS = {
    "mnist8_cntk": (1, 1, 28, 28),
    "mnist_mlp_bn": (1, 784),
    "mlperf_tiny_resnet8": (4, 3, 32, 32),
    "mlperf_tiny_kws_dscnn": (4, 1, 49, 10),
    "mlperf_tiny_ad_autoencoder": (4, 640),
    "braggnn_fc16_sz11": (3, 1, 11, 11),
    "ultraface_slim320_simplified": (1, 3, 240, 320),
}
QDQ_MODELS = {
    "mlperf_tiny_resnet8_int8_qdq": (8, 3, 32, 32),
    "mlperf_tiny_kws_dscnn_int8_qdq": (8, 1, 49, 10),
    "mlperf_tiny_streaming_wakeword_int8_qdq": (8, 40, 30, 1),
}
SCALES = {"mnist8_cntk": 255.0, "mlperf_tiny_resnet8": 255.0, "mlperf_tiny_resnet8_int8_qdq": 255.0}


@pytest.mark.parametrize("name", FLOAT_MODELS)
def test_float_model_agrees_with_onnxruntime(
    name: str, data: Data, run_onnx: Any, assert_close: Any
) -> None:
    path = data(f"models/onnx/{name}.onnx")
    graph = load_model(path)
    assert verify(graph) == []
    x = np.random.default_rng(7).random(FLOAT_MODELS[name], np.float32) * SCALES.get(name, 1.0)
    inputs = {graph.inputs[0].name: x.astype(np.float32)}
    assert_close(interpret(graph, inputs), run_onnx(path, inputs))


@pytest.mark.parametrize("name", QDQ_MODELS)
def test_quantised_model_agrees_with_onnxruntime(name: str, data: Data, run_onnx: Any) -> None:
    path = data(f"models/onnx/{name}.onnx")
    graph = load_model(path)
    assert verify(graph) == []
    x = np.random.default_rng(7).normal(size=QDQ_MODELS[name]).astype(np.float32)
    inputs = {graph.inputs[0].name: np.abs(x) * SCALES[name] / 3 if name in SCALES else x * 20}
    (found,), (wanted,) = interpret(graph, inputs).values(), run_onnx(path, inputs).values()
    assert np.array_equal(found.argmax(-1), wanted.argmax(-1))
    # A float32 sum in another order may cross a rounding edge, which is one step of the output.
    assert np.abs(found - wanted).max() <= 2 / 256


@pytest.mark.parametrize("name", QDQ_MODELS)
def test_quantised_model_keeps_its_integers(name: str, data: Data) -> None:
    graph = load_model(data(f"models/onnx/{name}.onnx"))
    weights = [op for op in graph.ops if op.name in ("nn.conv", "nn.matmul")]
    assert weights
    for op in weights:
        maker = list(op.present)[1].op
        assert maker is not None
        assert maker.name == "nn.dequantize"
        assert next(maker.present).type.dtype.value == "i8"


@pytest.mark.parametrize("dims", [{"sequence_length": 5}, {}], ids=["fixed", "symbolic"])
def test_streaming_voice_detector(
    dims: dict[str, int], data: Data, run_onnx: Any, assert_close: Any
) -> None:
    path = data("models/onnx/silero_vad_16k_sequence.onnx")
    graph = load_model(path, dims=dims)
    assert verify(graph) == []
    random = np.random.default_rng(3)
    inputs = {
        "input": random.normal(size=(5, 576)).astype(np.float32) * 0.1,
        "h": random.normal(size=(1, 1, 128)).astype(np.float32),
        "c": random.normal(size=(1, 1, 128)).astype(np.float32),
    }
    assert_close(interpret(graph, inputs), run_onnx(path, inputs))


def test_voice_detector_with_control_flow(data: Data, run_onnx: Any, assert_close: Any) -> None:
    path = data("models/onnx/silero_vad_16k_op15.onnx")
    graph = load_model(path, dims={"sequence": 576})
    assert verify(graph) == []
    random = np.random.default_rng(3)
    inputs = {
        "input": random.normal(size=(3, 576)).astype(np.float32) * 0.1,
        "state": random.normal(size=(2, 3, 128)).astype(np.float32),
        "sr": np.array(16000, np.int64),
    }
    assert_close(interpret(graph, inputs), run_onnx(path, inputs))


def test_voice_detector_says_which_size_it_needs(data: Data, fault: Any) -> None:
    path = data("models/onnx/silero_vad_16k_op15.onnx")
    found = fault(lambda: load_model(path))
    assert found.code == "NT0102"
    assert "`sequence" in found.message
    assert f"{path}: node " in str(found.labels[0].where)
    assert "--dim NAME=SIZE" in found.render()


@pytest.mark.parametrize("name", [*FLOAT_MODELS, *QDQ_MODELS])
def test_imported_graph_survives_its_text_form(name: str, data: Data) -> None:
    graph = load_model(data(f"models/onnx/{name}.onnx"))
    store: dict[str, NDArray[Any]] = {}
    text = print_graph(graph, store)
    again: dict[str, NDArray[Any]] = {}
    assert print_graph(parse(text, weights=store).main, again) == text
    assert all(np.array_equal(again[key], array) for key, array in store.items())


def test_values_and_ops_lead_back_to_the_model(data: Data) -> None:
    path = data("models/onnx/mnist8_cntk.onnx")
    graph = load_model(path)
    assert [value.name for value in graph.inputs] == ["Input3"]
    assert graph.output_names == ["Plus214_Output_0"]
    conv = next(op for op in graph.ops if op.name == "nn.conv")
    assert str(conv.where) == f"{path}: node Convolution28 (Conv)"
    assert conv.result.origin == "Convolution28_Output_0"
