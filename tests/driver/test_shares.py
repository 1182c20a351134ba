"""Parameters and multiply-adds by where they are, against closed forms of known networks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neutrams.driver import Share, check
from neutrams.driver.shares import shares as of
from neutrams.ir.graph import Graph
from neutrams.ir.ops.products import Einsum, Matmul
from neutrams.ir.ops.recurrent import Lstm
from neutrams.ir.ops.reductions import Softmax
from neutrams.ir.ops.tensors import Transpose
from neutrams.ir.types import DType, symbol, tensor

MNIST8 = Path(__file__).parents[2] / "examples" / "mnist8_cntk.onnx"


def shares(model: object, **options: Any) -> tuple[Share, Share]:
    found = check(model, **options)
    return found.parameters, found.multiply_adds


def normal(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_a_small_convolutional_network() -> None:
    held, done = shares(MNIST8)
    assert held == Share(8 * 25 + 16 * 8 * 25 + 256 * 10, 8 + 16 + 10)
    assert done == Share(28 * 28 * 8 * 25 + 14 * 14 * 16 * 8 * 25 + 256 * 10, 0)


def test_a_residual_network() -> None:
    root = os.environ.get("NEUTRAMS_DATA", "")
    path = Path(root) / "models/onnx/mlperf_tiny_resnet8.onnx"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    stages = [(16, 16, 32), (16, 32, 16), (32, 64, 8)]
    weights = [3 * 16 * 9]
    sizes = [32]
    for inner, outer, size in stages:
        weights += [inner * outer * 9, outer * outer * 9]
        sizes += [size] * 2
        if inner != outer:
            weights.append(inner * outer)
            sizes.append(size)
    held, done = shares(path)
    assert held.crossbars == sum(weights) + 64 * 10
    products = sum(w * size**2 for w, size in zip(weights, sizes, strict=True))
    assert done == Share(products + 64 * 10, 0)
    assert held.part > 0.99


def test_a_recurrent_layer_counts_every_step() -> None:
    inputs, cells, steps = 5, 7, 4
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, steps, symbol("N"), inputs))
    w = graph.weight("w", normal(1, 4 * cells, inputs))
    r = graph.weight("r", normal(1, 4 * cells, cells))
    b = graph.weight("b", normal(1, 8 * cells))
    graph.output(graph.add(Lstm(x, w, r, b), name="y"))
    held, done = shares(graph)
    products = 4 * cells * (inputs + cells)
    assert held == Share(products, 4 * cells)
    assert done == Share(products * steps, 0)


def test_products_of_two_activations_are_the_digital_units() -> None:
    length, width = 6, 8
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), length, width))
    made = [
        graph.add(Matmul(x, graph.weight(f"w{name}", normal(width, width))), name=name)
        for name in "qkv"
    ]
    turned = graph.add(Transpose(made[1], permutation=(0, 2, 1)))
    scores = graph.add(Softmax(graph.add(Matmul(made[0], turned), name="s")), name="p")
    graph.output(graph.add(Matmul(scores, made[2]), name="y"))
    held, done = shares(graph)
    assert held == Share(3 * width * width, 0)
    assert done == Share(3 * length * width * width, 2 * length * length * width)


def test_what_is_added_for_the_chip_is_no_part_of_the_network() -> None:
    plain = shares(MNIST8)
    assert shares(MNIST8, limits={"partial-sums": 1}) == plain
    assert shares(MNIST8, limits={"fan-in": 32, "fan-out": 2}) == plain


def test_an_einsum_takes_a_product_for_every_combination() -> None:
    graph = Graph("net")
    a = graph.input("a", tensor(DType.F32, 3, 4))
    b = graph.input("b", tensor(DType.F32, 4, 5))
    graph.output(graph.add(Einsum((a, b), equation="ij,jk->ik")))
    assert of(graph, Graph("main", "unit")).multiply_adds == Share(0, 3 * 4 * 5)


def test_a_constant_read_twice_is_one_parameter_each() -> None:
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 4))
    w = graph.weight("w", normal(4, 4))
    graph.output(graph.add(Matmul(graph.add(Matmul(x, w), name="a"), w), name="b"))
    held, done = shares(graph)
    assert held == Share(16, 0)
    assert done == Share(32, 0)
