"""A chip and small networks for the simulator's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from neutrams.ir.graph import Graph, Module
from neutrams.ir.op import Value
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import Dim, DType, symbol, tensor
from neutrams.targets import load

SAMPLES = symbol("N")
BuildNet = Callable[..., Program]


@pytest.fixture
def isaac() -> Target:
    return load("isaac")


@pytest.fixture
def build_net(isaac: Target) -> BuildNet:
    """A digit classifier in miniature: convolution, pool, convolution, matrix product."""

    def build(batch: Dim = SAMPLES, **encoding: Any) -> Program:
        rng = np.random.default_rng(3)
        graph = Graph("main", "unit")
        common = {"rows": 128, "neurons": 32, "adc_bits": 8, "column_flip": True, **encoding}

        def layer(x: Value, neurons: int, fan_in: int, axis: int, **geometry: Any) -> Value:
            w = rng.normal(0, 40, (neurons, fan_in)).round().clip(-127, 127).astype(np.int8)
            y = graph.add(Mvm(x, graph.weight("w", w), **common, **geometry))
            bias = rng.integers(-999, 999, neurons).astype(np.int32)
            y = graph.add(Reduce(y, graph.weight("b", bias), axis=axis))
            scale = np.asarray(1 / (40 * fan_in**0.5), np.float32)
            rescale = Rescale(
                y, graph.weight("s", scale), axis=axis, low=0, high=255, dtype=DType.U8
            )
            return graph.add(rescale)

        x = graph.input("x", tensor(DType.U8, batch, 1, 12, 12))
        x = layer(x, 4, 9, 1, kernel=(3, 3), pads=(1, 1, 1, 1))
        x = graph.add(MaxPool(x, kernel=(2, 2), strides=(2, 2)))
        x = layer(x, 6, 36, 1, kernel=(3, 3))
        x = graph.add(Reshape(x, shape=(batch, 96)))
        graph.output(layer(x, 10, 96, 1), "scores")
        return Program(Module([graph]), isaac)

    return build
