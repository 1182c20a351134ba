"""A batch of one becomes a symbol only where samples are provably independent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neutrams.frontends import load_model
from neutrams.ir.batching import BatchAxis, Obstacle, batch_axes
from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.interpreter import interpret
from neutrams.ir.text import parse
from neutrams.ir.types import bind

INDEPENDENT = {
    "reshape to a row": "g (float[1,2,3] x) => (float[1,6] y)"
    " <int64[2] s = {1, 6}> { y = Reshape(x, s) }",
    "reshape that merges the batch": "g (float[1,4,3] x) => (float[1,4,3] y)"
    " <int64[2] s = {4, 3}, int64[3] t = {1, 4, 3}>"
    " { a = Reshape(x, s) b = Relu(a) y = Reshape(b, t) }",
    "reshape with a free size": "g (float[1,4,3] x) => (float[1,12] y)"
    " <int64[2] s = {1, -1}> { y = Reshape(x, s) }",
    "reshape that copies sizes": "g (float[1,4,3] x) => (float[1,12] y)"
    " <int64[2] s = {0, -1}> { y = Reshape(x, s) }",
    "batch that moves": "g (float[1,4,3] x) => (float[1,4,3] y)"
    " { a = Transpose<perm = [1, 0, 2]>(x) b = Softmax<axis = 2>(a)"
    " y = Transpose<perm = [1, 0, 2]>(b) }",
    "shape arithmetic": "g (float[1,4,3] x) => (float[1,12] y)"
    " <int64[1] z = {0}, int64[1] m = {-1}>"
    " { a = Shape(x) b = Gather(a, z) c = Concat<axis = 0>(b, m) y = Reshape(x, c) }",
    "products of samples with themselves": "g (float[1,4,3] x) => (float[1,4,4] y)"
    " { a = Transpose<perm = [0, 2, 1]>(x) y = MatMul(x, a) }",
    "resize to sizes": "g (float[1,2,3,4] x) => (float[1,2,6,8] y)"
    ' <int64[4] s = {1, 2, 6, 8}> { y = Resize<mode = "linear">(x, , , s) }',
    "normalisation": "g (float[1,4,3] x) => (float[1,4,3] y)"
    " <float[3] s = {1, 2, 3}> { y = LayerNormalization(x, s) }",
    "convolution and pooling": "g (float[1,1,5,5] x) => (float[1,1,2,2] y)"
    " <float[1,1,2,2] w = {1, 2, 3, 4}>"
    " { a = Conv(x, w) y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a) }",
    "two inputs": "g (float[1,4] x, float[1,4] h) => (float[1,4] y) { y = Add(x, h) }",
}

DEPENDENT = {
    "softmax over samples": "g (float[1,4] x) => (float[1,4] y) { y = Softmax<axis = 0>(x) }",
    "mean over samples": "g (float[1,4] x) => (float[4] y)"
    " { y = ReduceMean<axes = [0], keepdims = 0>(x) }",
    "samples in a row": "g (float[1,4] x) => (float[4] y) <int64[1] s = {4}>"
    " { a = Reshape(x, s) y = Softmax<axis = 0>(a) }",
    "a squeezed batch": "g (float[1,4] x) => (float[4] y) { y = Squeeze(x) }",
    "a product over the batch": "g (float[1,4] x) => (float[4,4] y)"
    " { a = Transpose(x) y = MatMul(a, x) }",
    "a batch that is counted": "g (float[1,4] x) => (float[1,4] y) <int64[1] z = {0}>"
    " { a = Shape(x) b = Gather(a, z) c = Cast<to = 1>(b) y = Mul(x, c) }",
    "a sum over the flattened whole": "g (float[1,4] x) => (float[1,1] y)"
    " <int64[1] s = {-1}, int64[2] t = {1, 1}>"
    " { a = Reshape(x, s) b = ReduceMax<keepdims = 1>(a) y = Reshape(b, t) }",
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_samples_get_a_symbolic_batch(
    name: str, model: Any, run_onnx: Any, assert_close: Any
) -> None:
    proto = model(INDEPENDENT[name])
    remarks: list[Diagnostic] = []
    graph = load_model(proto, remarks=remarks)
    assert "became `N`" in remarks[0].message
    random = np.random.default_rng(1)
    batch = {
        value.name: random.normal(size=(5, *(bind(d, {}) for d in value.type.shape[1:]))).astype(
            np.float32
        )
        for value in graph.inputs
    }
    (together,) = interpret(graph, batch).values()
    for sample in range(5):
        one = {name: array[sample : sample + 1] for name, array in batch.items()}
        (name,) = graph.output_names
        assert_close({name: together[sample : sample + 1]}, run_onnx(proto, one))


@pytest.mark.parametrize("name", DEPENDENT)
def test_dependent_samples_keep_the_batch_of_one(name: str, model: Any) -> None:
    remarks: list[Diagnostic] = []
    graph = load_model(model(DEPENDENT[name]), remarks=remarks)
    assert "stays 1" in remarks[0].message
    assert graph.inputs[0].type.shape[0] == 1


def test_a_trained_network_runs_seven_digits_as_seven_single_ones(
    data: Callable[[str], Path],
) -> None:
    graph = load_model(data("models/onnx/mnist8_cntk.onnx"))
    with np.load(data("images/mnist.npz")) as mnist:
        x = mnist["x_test"][:7, None].astype(np.float32)
    (together,) = interpret(graph, {"Input3": x}).values()
    singles = [next(iter(interpret(graph, {"Input3": x[i : i + 1]}).values())) for i in range(7)]
    np.testing.assert_allclose(together, np.concatenate(singles), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("file", "outcome"),
    [
        ("mnist8_cntk", "became `N`"),
        ("mnist_mlp_bn", "became `N`"),
        ("ultraface_slim320_simplified", "became `N`"),
        ("mlperf_tiny_resnet8", "`N` is a batch"),
        ("braggnn_fc16_sz11", "`N` is a batch"),
    ],
)
def test_real_models(file: str, outcome: str, data: Callable[[str], Path]) -> None:
    remarks: list[Diagnostic] = []
    load_model(data(f"models/onnx/{file}.onnx"), remarks=remarks)
    assert outcome in remarks[0].message


def test_a_symbol_may_be_no_batch(model: Any) -> None:
    remarks: list[Diagnostic] = []
    proto = model("g (float[time,4] x) => (float[time,4] y) { y = Softmax<axis = 0>(x) }")
    graph = load_model(proto, remarks=remarks)
    assert str(graph.inputs[0].type) == "f32[time, 4]"
    assert "`time` is not a batch: `y` (`nn.softmax`) mixes samples" in remarks[0].message


def axes(text: str) -> Any:
    return batch_axes(parse(text).main, "N")


def test_a_merged_batch_is_followed_through_a_reshape() -> None:
    found = axes(
        "graph @g(%x: f32[N, 4, 3]) {\n"
        "  %a = tensor.reshape(%x) {shape = [4*N, 3]} : f32[4*N, 3]\n"
        "  return %a\n}\n"
    )
    assert not isinstance(found, Obstacle)
    assert {value.name: place for value, place in found.items()} == {
        "x": BatchAxis(0),
        "a": BatchAxis(0, inner=4),
    }


def test_batches_in_different_order_do_not_meet() -> None:
    found = axes(
        "graph @g(%x: f32[N, 4]) {\n"
        "  %t = tensor.transpose(%x) {permutation = [1, 0]} : f32[4, N]\n"
        "  %a = tensor.reshape(%x) {shape = [4*N]} : f32[4*N]\n"
        "  %b = tensor.reshape(%t) {shape = [4*N]} : f32[4*N]\n"
        "  %c = nn.add(%a, %b) : f32[4*N]\n"
        "  return %c\n}\n"
    )
    assert isinstance(found, Obstacle)
    assert "different orders" in found.reason
