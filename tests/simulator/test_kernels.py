"""Kernels where they take another road: sums in parts, many windows, thin groups, digital ops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neutrams.ir.graph import Graph, Module
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.unit import Add, AveragePool, Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.simulator import simulate
from neutrams.simulator.exact.products import largest_sum
from neutrams.targets import load


def agree(graph: Graph, x: Array) -> Array:
    """Return the simulator's output, once it equals the interpreter's."""
    expected = interpret(graph, {"x": x})
    found = simulate(Program(Module([graph]), load("cim")), {"x": x}).outputs
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert (found[name] == array).all()
    return next(iter(expected.values()))


def layer(graph: Graph, x: Value, w: Array, **attributes: Any) -> Value:
    sums = graph.add(Mvm(x, graph.weight(f"w{len(graph.weights)}", w), **attributes))
    sums = graph.add(Reduce(sums, axis=1))
    scale = graph.weight(f"s{len(graph.weights)}", np.asarray(0.002, np.float32))
    return graph.add(Rescale(sums, scale, axis=1, low=0, high=255, dtype=DType.U8))


@pytest.mark.parametrize(
    "encoding",
    [
        {},
        {"adc_bits": 8},
        {"adc_bits": 8, "adc_mode": "scale"},
        {"adc_bits": 10, "dac_bits": 4},
        {"adc_bits": 12, "cell_bits": 8},
        {"adc_bits": 9, "cell_bits": 5, "dac_bits": 8, "adc_mode": "scale"},
        {"adc_bits": 3, "cell_bits": 4, "adc_mode": "scale"},
        {"adc_bits": 24, "cell_bits": 16, "dac_bits": 16, "input_bits": 16, "weight_bits": 16},
        {"adc_bits": 1, "adc_mode": "scale", "coding": "differential"},
        {"adc_bits": 8, "coding": "analog-differential"},
        {"adc_bits": 9, "cell_bits": 5, "dac_bits": 8, "coding": "analog-differential"},
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_beyond_a_byte(encoding: dict[str, Any], sign: int) -> None:
    """All weights of one sign make columns whose sums need several parts."""
    rng = np.random.default_rng(1)
    top = 2 ** (encoding.get("weight_bits", 8) - 1)
    w = sign * rng.integers(top // 2, top, (9, 300))
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U16, symbol("N"), 300))
    data = rng.integers(0, 2 ** encoding.get("input_bits", 8), (140, 300)).astype(np.uint16)
    sums = graph.add(Mvm(x, graph.weight("w", w.astype(np.int16)), rows=150, **encoding))
    graph.output(graph.add(Reduce(sums)), "y")
    agree(graph, data)


def test_groups_that_hold_only_zeros() -> None:
    """Nothing can go wrong in their columns, though their neighbours drop bits."""
    rng = np.random.default_rng(6)
    w = rng.integers(-128, 128, (6, 40)).astype(np.int8)
    w[3:] = 0
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 80))
    scales: dict[str, Any] = {"adc_bits": 4, "adc_mode": "scale", "coding": "differential"}
    sums = graph.add(Mvm(x, graph.weight("w", w), groups=2, rows=40, neurons=3, **scales))
    graph.output(graph.add(Reduce(sums)), "y")
    agree(graph, rng.integers(0, 256, (9, 80)).astype(np.uint8))


@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("adc_bits", [5, 7])
@pytest.mark.parametrize("coding", ["offset", "analog-differential"])
def test_sparse_and_dense_inputs(density: float, adc_bits: int, coding: str) -> None:
    """What can err decides whether products are corrected; the result does not show it."""
    rng = np.random.default_rng(2)
    w = rng.normal(0, 40, (40, 256)).round().clip(-127, 127).astype(np.int8)
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 256))
    data = rng.integers(0, 256, (304, 256)) * (rng.random((304, 256)) < density)
    cells: dict[str, Any] = {"adc_bits": adc_bits, "coding": coding, "column_flip": True}
    sums = graph.add(Mvm(x, graph.weight("w", w), rows=128, **cells))
    graph.output(graph.add(Reduce(sums)), "y")
    agree(graph, data.astype(np.uint8))


def test_more_windows_than_are_unfolded_at_once() -> None:
    rng = np.random.default_rng(3)
    w = rng.integers(-99, 99, (2, 144)).astype(np.int8)
    for size, samples in ((3, 2700), (70, 2)):
        graph = Graph("main", "unit")
        x = graph.input("x", tensor(DType.U8, symbol("N"), 16, 3, size))
        y = layer(graph, x, w, kernel=(3, 3), pads=(1, 1, 1, 1), rows=128, adc_bits=6)
        graph.output(y, "y")
        agree(graph, rng.integers(0, 256, (samples, 16, 3, size)).astype(np.uint8))


@pytest.mark.parametrize("adc_bits", [0, 6])
@pytest.mark.parametrize("neurons", [1, 3, 6])
def test_channels_in_groups(neurons: int, adc_bits: int) -> None:
    rng = np.random.default_rng(4)
    w = rng.integers(-128, 128, (20 * neurons, 9)).astype(np.int8)
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 20, 7, 6))
    y = layer(
        graph, x, w, kernel=(3, 3), pads=(1, 1, 1, 1), groups=20, rows=128, neurons=32,
        adc_bits=adc_bits, column_flip=True,
    )  # fmt: skip
    graph.output(y, "y")
    agree(graph, rng.integers(0, 256, (5, 20, 7, 6)).astype(np.uint8))


def test_digital_ops_between_convolutions() -> None:
    """A residual block with pools: samples lie innermost between its ops."""
    rng = np.random.default_rng(5)
    first, second = (rng.integers(-60, 60, (8, k)).astype(np.int8) for k in (27, 72))
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 3, 9, 8))
    same: dict[str, Any] = {"kernel": (3, 3), "pads": (1, 1, 1, 1), "adc_bits": 7}
    a = layer(graph, x, first, **same)
    b = layer(graph, a, second, **same)
    total = graph.add(Add(a, b, a_scale=0.7, b_scale=0.4, a_zero=3, b_zero=-5, zero=-20, low=-128))
    pools: dict[str, Any] = {"kernel": (3, 2), "strides": (2, 2), "pads": (1, 0, 0, 1)}
    most = graph.add(MaxPool(total, **pools))
    mean = graph.add(AveragePool(total, **pools, input_zero=-20, scale=1.3, zero=4))
    graph.output(graph.add(Add(most, mean, a_scale=0.5, b_scale=0.5, dtype=DType.I8)), "y")
    graph.output(total, "total")
    y = agree(graph, rng.integers(0, 256, (6, 3, 9, 8)).astype(np.uint8))
    assert len(np.unique(y)) > 10


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32])
def test_magnitudes_of_the_least_weights(kind: type[np.signedinteger[Any]]) -> None:
    """Their negatives do not fit their own type; sums that are told too small lose exactness."""
    weights = np.full((2, 3, 10), np.iinfo(kind).min, kind)
    weights[0] = 1
    for rows in (1, 4, 10, 99):
        assert largest_sum(weights, rows) == min(rows, 10) * -int(np.iinfo(kind).min)


@pytest.mark.parametrize("samples", [1, 33, 70])
def test_sums_that_pass_32_bits_are_exact(samples: int) -> None:
    """Products of bytes are summed in 32 bits, so many rows at a time that they fit."""
    rows = 2**17 + 5
    rng = np.random.default_rng(0)
    w = np.stack([np.full(rows, -128), np.full(rows, 127), rng.integers(-128, 128, rows)])
    w = np.concatenate([w, w]).astype(np.int8)
    x = rng.integers(0, 256, (samples, rows)).astype(np.uint8)
    x[0] = 255
    graph = Graph("main", "unit")
    given = graph.input("x", tensor(DType.U8, symbol("N"), rows))
    sums = graph.add(Mvm(given, graph.weight("w", w), adc_bits=0))
    graph.output(graph.add(Reduce(sums)), "y")
    found = simulate(Program(Module([graph]), load("cim")), {"x": x}).outputs["y"]
    assert np.array_equal(found, x.astype(np.int64) @ w.T.astype(np.int64))
