"""`equalise-channels` keeps what a network means, and rounds it better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import Clip, LeakyRelu, Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add, Mul
from neutrams.ir.ops.normalization import LayerNorm
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Reshape, Transpose
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager

N = symbol("N")
ANY = "equalise-channels{worth=0.95}"


class Net:
    """A network under construction, whose channels differ much in size."""

    def __init__(self, *shape: int) -> None:
        self.rng = np.random.default_rng(4)
        self.graph = Graph("net")
        self.data = self.rng.normal(size=(48, *shape)).astype(np.float32)
        self.value = self.graph.input("x", tensor(DType.F32, N, *shape))

    def constant(self, *shape: int, uneven: int | None = None) -> Value:
        array = self.rng.normal(size=shape)
        if uneven is not None:
            sizes = np.exp(self.rng.normal(0, 1.5, shape[uneven]))
            array *= sizes.reshape([-1 if i == uneven else 1 for i in range(len(shape))])
        return self.graph.weight("c", array.astype(np.float32))

    def put(self, op: Op) -> Net:
        self.value = self.graph.add(op)
        return self

    def conv(self, inputs: int, outputs: int, groups: int = 1) -> Net:
        w = self.constant(outputs, inputs // groups, 3, 3, uneven=0)
        return self.put(Conv(self.value, w, self.constant(outputs), pads=(1,) * 4, groups=groups))

    def matmul(self, inputs: int, outputs: int) -> Net:
        self.put(Matmul(self.value, self.constant(inputs, outputs, uneven=1)))
        return self.put(Add(self.value, self.constant(outputs)))

    def done(self) -> tuple[Graph, Array]:
        self.graph.output(self.value, "y")
        return self.graph, self.data


def layers() -> tuple[Graph, Array]:
    net = Net(8)
    net.matmul(8, 12).put(Relu(net.value))
    return net.matmul(12, 16).put(LeakyRelu(net.value, alpha=0.1)).matmul(16, 4).done()


def images() -> tuple[Graph, Array]:
    net = Net(3, 8, 8)
    net.conv(3, 8).put(Relu(net.value)).conv(8, 8, groups=8).put(Relu(net.value)).conv(8, 6)
    net.put(MaxPool(net.value, kernel=(2, 2), strides=(2, 2)))
    return net.put(Reshape(net.value, shape=(N, 96))).matmul(96, 5).done()


def norms() -> tuple[Graph, Array]:
    net = Net(5, 8)
    net.put(LayerNorm(net.value, net.constant(8, uneven=0), net.constant(8)))
    return net.matmul(8, 6).put(Transpose(net.value, permutation=(0, 2, 1))).matmul(5, 3).done()


def gated() -> tuple[Graph, Array]:
    """A product of two values of a float op: what makes it cannot take up factors itself."""
    net = Net(8)
    net.matmul(8, 10)
    return net.put(Mul(net.value, net.value)).matmul(10, 4).done()


def untouched() -> tuple[Graph, Array]:
    """An upper bound does not scale, and a value read twice is two chains at once."""
    net = Net(8)
    net.matmul(8, 10).put(Clip(net.value, low=0.0, high=6.0)).matmul(10, 10)
    kept = net.value
    net.put(Relu(kept)).matmul(10, 10)
    return net.put(Add(net.value, kept)).done()


NETS = [layers, images, norms, gated]


def run(graph: Graph, data: Array, passes: str) -> PassContext:
    ctx = PassContext(calibration={"x": data})
    PassManager(passes).run(graph, ctx)
    assert verify(graph) == []
    return ctx


@pytest.mark.parametrize("make", NETS)
def test_meaning_stays_and_rounding_gains(make: Callable[[], tuple[Graph, Array]]) -> None:
    graph, data = make()
    wanted = interpret(graph, {"x": data})["y"]
    run(graph, data, ANY)
    made = interpret(graph, {"x": data})["y"]
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    errors = []
    for first in ("", f"{ANY},"):
        graph, data = make()
        run(graph, data, f"{first}calibrate,quantize{{activation-bits=5 weight-bits=5}}")
        errors.append(((interpret(graph, {"x": data})["y"] - wanted) ** 2).mean())
    assert errors[1] < 0.9 * errors[0]


def test_what_cannot_take_up_factors_stays() -> None:
    graph, data = untouched()
    before = {name: weight.data for name, weight in graph.weights.items()}
    ctx = run(graph, data, ANY)
    assert not ctx.remarks
    assert {name: weight.data for name, weight in graph.weights.items()} == before


def test_silent_channels_are_left_room() -> None:
    """A channel that calibration hardly shows is not blown up without bound."""
    graph, data = layers()
    first = next(weight for weight in graph.weights.values() if weight.type.shape == (8, 12))
    assert first.data is not None
    first.data[:, 0] *= 1e-8
    run(graph, data, ANY)
    small = next(w for w in graph.weights.values() if w.type.shape == (8, 12)).data
    assert small is not None
    assert np.abs(small[:, 0]).max() < 1e-5
