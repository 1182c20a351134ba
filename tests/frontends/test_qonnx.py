"""QONNX models: published networks, and each quantiser against its definition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from neutrams.frontends import load_model
from neutrams.ir.interpreter import interpret

Data = Callable[[str], Path]


@pytest.mark.parametrize(
    ("name", "share"), [("TFC_1W1A", 0.922), ("TFC_1W2A", 0.944), ("TFC_2W2A", 0.976)]
)
def test_published_network_keeps_its_accuracy(name: str, share: float, data: Data) -> None:
    graph = load_model(data(f"models/qonnx/{name}.onnx"))
    with np.load(data("images/mnist.npz")) as mnist:
        x, y = mnist["x_test"][:500], mnist["y_test"][:500]
    images = (x[:, None] / 255).astype(np.float32)
    (scores,) = interpret(graph, {graph.inputs[0].name: images}).values()
    assert np.mean(scores.argmax(-1) == y) == pytest.approx(share, abs=0.006)


@pytest.mark.parametrize("name", ["TFC_1W1A", "TFC_1W2A", "TFC_2W2A"])
def test_weights_stay_integers(name: str, data: Data) -> None:
    graph = load_model(data(f"models/qonnx/{name}.onnx"))
    products = [op for op in graph.ops if op.name == "nn.matmul"]
    assert len(products) == 4
    for op in products:
        makers = [value.op for value in op.present]
        assert [maker and maker.name for maker in makers] == ["nn.dequantize"] * 2
        assert makers[1] is not None
        assert next(makers[1].present).op is None


def quantiser(op_type: str, constants: dict[str, Any], **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node(
        op_type, ["x", *constants], ["y"], domain="qonnx.custom_op.general", **attributes
    )
    shape: list[str | int | None] = ["N", 3]
    graph = helper.make_graph(
        [node],
        "quantiser",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        [
            onnx.numpy_helper.from_array(np.array(v, np.float32), name)
            for name, v in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=opsets)


GRID = np.linspace(-40, 40, 3 * 321, dtype=np.float32).reshape(-1, 3)

ROUNDINGS: dict[str, Callable[..., Any]] = {
    "ROUND": np.rint,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "ROUND_TO_ZERO": np.trunc,
    "UP": lambda q: np.copysign(np.ceil(np.abs(q)), q),
}


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("mode", ROUNDINGS)
def test_quant_follows_its_definition(signed: int, narrow: int, mode: str) -> None:
    scale, zero, bits = 0.5, 2.0, 4.0
    model = quantiser(
        "Quant",
        {"scale": scale, "zero": zero, "bits": bits},
        signed=signed,
        narrow=narrow,
        rounding_mode=mode,
    )
    low, high = (-8 + narrow, 7) if signed else (0, 15 - narrow)
    q = np.clip(ROUNDINGS[mode](GRID / scale + zero), low, high)
    assert np.array_equal(interpret(load_model(model), {"x": GRID})["y"], (q - zero) * scale)


def test_quant_with_a_scale_for_each_channel() -> None:
    scale = np.array([[0.5, 1.0, 2.0]], np.float32)
    model = quantiser("Quant", {"scale": scale, "zero": 0.0, "bits": 8.0}, signed=1, narrow=0)
    expected = np.clip(np.rint(GRID / scale), -128, 127) * scale
    assert np.array_equal(interpret(load_model(model), {"x": GRID})["y"], expected)


def test_bipolar_quant_takes_zero_as_positive() -> None:
    model = quantiser("BipolarQuant", {"scale": 0.25})
    x = np.array([[-1.0, 0.0, 3.0]], np.float32)
    assert interpret(load_model(model), {"x": x})["y"].tolist() == [[-0.25, 0.25, 0.25]]


def test_trunc_drops_low_bits() -> None:
    model = quantiser(
        "Trunc", {"scale": 0.5, "zero": 0.0, "wide": 8.0, "narrow": 5.0}, rounding_mode="FLOOR"
    )
    expected = np.floor(np.rint(GRID / 0.5) / 8) * 0.5
    assert np.array_equal(interpret(load_model(model), {"x": GRID})["y"], expected)


def test_unknown_rounding_mode_is_located(fault: Any) -> None:
    model = quantiser(
        "Quant",
        {"scale": 1.0, "zero": 0.0, "bits": 4.0},
        rounding_mode="SOMEHOW",
    )
    found = fault(lambda: load_model(model))
    assert found.code == "NT0610"
    assert "SOMEHOW" in found.message
    assert "(Quant)" in str(found.labels[0].where)
