"""Every pass keeps what generated graphs mean, within the bound it states."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import Clip, HardSwish, LeakyRelu, Relu, Sigmoid, Tanh
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.elementwise import Add, Div, Maximum, Mul, Sub
from neutrams.ir.ops.normalization import BatchNorm
from neutrams.ir.ops.pooling import AveragePool, MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.reductions import ReduceMean, Softmax
from neutrams.ir.ops.tensors import Concat, Slice, Transpose
from neutrams.ir.text import parse, print_graph
from neutrams.ir.types import DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager
from neutrams.targets import load, names

EXACT = [
    "fold-constants",
    "remove-identities",
    "fold-norms",
    "fuse-bias",
    "fold-scales",
    "fuse-clips",
    "fuse-clips{across-branches=true}",
    "remove-unused",
    "canonicalise",
]
SAMPLES = 12


class Net:
    """A network under construction; ``value`` is its latest image."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("net")
        self.value = self.graph.input("x", tensor(DType.F32, symbol("N"), 3, 8, 8))

    @property
    def channels(self) -> int:
        dim = self.value.type.shape[1]
        assert isinstance(dim, int)
        return dim

    def const(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Value:
        return self.graph.weight("c", self.rng.uniform(low, high, shape).astype(np.float32))

    def put(self, op: Op) -> None:
        self.value = self.graph.add(op)

    def conv(self, kernel: int, groups: int = 1) -> None:
        m = 4 if groups == 1 else self.channels
        w = self.const(m, self.channels // groups, kernel, kernel)
        bias = self.const(m) if self.rng.random() < 0.5 else None
        pads = (kernel // 2,) * 4
        self.put(Conv(self.value, w, bias, pads=pads, groups=groups))

    def batch_norm(self) -> None:
        c = self.channels
        scale, variance = self.const(c, low=0.5), self.const(c, low=0.5, high=2)
        self.put(BatchNorm(self.value, scale, self.const(c), self.const(c), variance))

    def residual(self) -> None:
        kept = self.value
        w = self.const(self.channels, self.channels, 3, 3)
        made = self.graph.add(Conv(kept, w, pads=(1, 1, 1, 1)))
        self.put(Add(kept, made))

    def branch(self) -> None:
        kept = self.value
        made = self.graph.add(Conv(kept, self.const(2, self.channels, 1, 1)))
        self.put(Concat((kept, made), axis=1))

    def gate(self) -> None:
        self.put(Mul(self.value, self.graph.add(Sigmoid(self.value))))

    def two_transposes(self) -> None:
        self.put(Transpose(self.value, permutation=(0, 1, 3, 2)))
        self.put(Transpose(self.value, permutation=(0, 1, 3, 2)))

    def finish(self, softmax: bool) -> Graph:
        self.put(ReduceMean(self.value, axes=(2, 3), keepdims=False))
        self.put(Matmul(self.value, self.const(self.channels, 5)))
        self.put(Add(self.value, self.const(5)))
        if softmax:
            self.put(Softmax(self.value, axis=-1))
        self.graph.output(self.value, "y")
        return self.graph


STEPS: dict[str, Callable[[Net], None]] = {
    "conv": lambda n: n.conv(3),
    "pointwise": lambda n: n.conv(1),
    "depthwise": lambda n: n.conv(3, groups=n.channels),
    "transposed": lambda n: n.put(ConvTranspose(n.value, n.const(n.channels, 2, 2, 2), n.const(2))),
    "norm": Net.batch_norm,
    "relu": lambda n: n.put(Relu(n.value)),
    "relu6": lambda n: n.put(Clip(n.value, low=0.0, high=6.0)),
    "leaky": lambda n: n.put(LeakyRelu(n.value, alpha=0.1)),
    "swish": lambda n: n.put(HardSwish(n.value)),
    "tanh": lambda n: n.put(Tanh(n.value)),
    "floor": lambda n: n.put(Maximum(n.value, n.const())),
    "scale": lambda n: n.put(Mul(n.value, n.const(n.channels, 1, 1, low=0.5))),
    "half": lambda n: n.put(Div(n.value, n.const(low=0.5, high=2))),
    "shift": lambda n: n.put(Add(n.const(n.channels, 1, 1), n.value)),
    "minus": lambda n: n.put(Sub(n.value, n.const(1, n.channels, 1, 1))),
    "max_pool": lambda n: n.put(MaxPool(n.value, kernel=(2, 2), strides=(1, 1), pads=(0, 0, 1, 1))),
    "mean_pool": lambda n: n.put(AveragePool(n.value, kernel=(2, 2), pads=(1, 1, 0, 0))),
    "crop": lambda n: n.put(Slice(n.value, starts=(0,), ends=(7,), axes=(3,))),
    "twice": Net.two_transposes,
    "residual": Net.residual,
    "branch": Net.branch,
    "gate": Net.gate,
}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    net = Net(draw(st.integers(0, 2**16)))
    for step in draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=9)):
        if min(d for d in net.value.type.shape[2:] if isinstance(d, int)) > 2:
            STEPS[step](net)
    return net.finish(softmax=draw(st.booleans()))


def copy_of(graph: Graph) -> Graph:
    """Return an equal graph; text carries small weights only, so larger ones go beside it."""
    store: dict[str, np.ndarray] = {}
    return parse(print_graph(graph, store), weights=store).main


def inputs(seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).normal(size=(SAMPLES, 3, 8, 8)).astype(np.float32)}


quick = settings(
    deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("pipeline", EXACT)
@quick
@given(graph=graphs())
def test_meaning_is_kept_to_rounding(pipeline: str, graph: Graph) -> None:
    x = inputs()
    before = interpret(graph, x)["y"]
    PassManager(pipeline).run(graph)
    after = interpret(graph, x)["y"]
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4 * np.abs(before).max())


@quick
@given(graph=graphs())
def test_canonicalise_is_idempotent(graph: Graph) -> None:
    manager = PassManager("canonicalise")
    manager.run(graph)
    text = print_graph(graph, {})
    assert not manager.run(graph)
    assert print_graph(graph, {}) == text


@quick
@given(graph=graphs())
def test_the_whole_road_stays_within_each_bound(graph: Graph) -> None:
    """Each pass is compared before and after by the manager itself."""
    ctx = PassContext(target=load("cim"), calibration=inputs(), verify_each=True)
    PassManager("canonicalise,calibrate{observer=min-max}").run(graph, ctx)
    PassManager("quantize,lower-units").run(graph, ctx)
    assert graph.level == "unit"
    assert not verify(graph)


@quick
@given(graph=graphs(), rows=st.integers(1, 40), neurons=st.integers(1, 6))
def test_splitting_changes_no_bit(graph: Graph, rows: int, neurons: int) -> None:
    ctx = PassContext(calibration=inputs())
    PassManager("canonicalise,calibrate,quantize,lower-units").run(graph, ctx)
    before = interpret(graph, inputs(1))["y"]
    PassManager(f"split-fan-in{{rows={rows} neurons={neurons}}}").run(graph, ctx)
    assert np.array_equal(interpret(graph, inputs(1))["y"], before)


@pytest.mark.parametrize("target", names())
@quick
@given(graph=graphs())
def test_lowered_graphs_obey_the_target_and_repeat(target: str, graph: Graph) -> None:
    again = copy_of(graph)
    ctx = PassContext(target=load(target), calibration=inputs())
    road = "canonicalise,calibrate,quantize,lower-units,split-fan-in,check-accumulators"
    for each in (graph, again):
        PassManager(road).run(each, ctx)
        assert not verify(each, ctx.target)
    first: dict[str, np.ndarray] = {}
    second: dict[str, np.ndarray] = {}
    assert print_graph(graph, first) == print_graph(again, second)
    assert all(np.array_equal(first[key], second[key]) for key in first)
