"""Any network under any limits: units that obey, near the network, or a located refusal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from neutrams.ir.blocks import used
from neutrams.ir.diagnostics import Diagnostic, NeutramsError
from neutrams.ir.fan_out import fan_out
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import (
    Clip,
    Gelu,
    HardSwish,
    LeakyRelu,
    Prelu,
    Relu,
    Sigmoid,
    Tanh,
)
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add, Mul
from neutrams.ir.ops.pooling import AveragePool, MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.reductions import ReduceMean, Softmax
from neutrams.ir.ops.tensors import Concat, Reshape
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.text import parse, print_graph
from neutrams.ir.types import DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.targets import load

SAMPLES = {"x": np.random.default_rng(5).normal(size=(12, 4, 7, 7)).astype(np.float32)}


class Net:
    """A network under construction; ``value`` is its latest image of four channels or more."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("net")
        self.value = self.graph.input("x", tensor(DType.F32, symbol("N"), 4, 7, 7))

    @property
    def channels(self) -> int:
        return int(str(self.value.type.shape[1]))

    @property
    def size(self) -> int:
        return int(str(self.value.type.shape[2]))

    def const(self, *shape: int) -> Value:
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 4
        numbers = self.rng.normal(size=shape) / np.sqrt(max(fan_in, 1))
        return self.graph.weight("c", numbers.astype(np.float32))

    def put(self, op: Op) -> Value:
        self.value = self.graph.add(op)
        return self.value

    def conv(self, *, kernel: int = 3, groups: int = 1, stride: int = 1, dilation: int = 1) -> None:
        m, pad = 8 if groups == 1 else self.channels, dilation * (kernel // 2)
        w = self.const(m, self.channels // groups, kernel, kernel)
        self.put(
            Conv(
                self.value,
                w,
                self.const(m),
                pads=(pad,) * 4,
                groups=groups,
                strides=(stride,) * 2,
                dilations=(dilation,) * 2,
            )
        )

    def residual(self) -> None:
        kept = self.value
        w = self.const(self.channels, self.channels, 3, 3)
        self.put(Add(kept, self.graph.add(Conv(kept, w, pads=(1, 1, 1, 1)))))

    def joined(self) -> None:
        kept = self.value
        made = self.graph.add(Relu(self.graph.add(Conv(kept, self.const(4, self.channels, 1, 1)))))
        self.put(Concat((kept, made), axis=1))

    def squeeze(self) -> None:
        kept, c = self.value, self.channels
        mean = self.graph.add(ReduceMean(kept, axes=(2, 3)))
        small = self.graph.add(Relu(self.graph.add(Conv(mean, self.const(4, c, 1, 1)))))
        gate = self.graph.add(Sigmoid(self.graph.add(Conv(small, self.const(c, 4, 1, 1)))))
        self.put(Mul(kept, gate))

    def finish(self, *, softmax: bool) -> Graph:
        flat = self.graph.add(
            Reshape(self.value, shape=(symbol("N"), self.channels * self.size * self.size))
        )
        width = self.channels * self.size * self.size
        hidden = self.graph.add(Matmul(flat, self.const(width, 9)))
        self.put(Relu(self.graph.add(Add(hidden, self.const(9)))))
        self.put(Matmul(self.value, self.const(9, 5)))
        if softmax:
            self.put(Softmax(self.value, axis=-1))
        self.graph.output(self.value, "y")
        return self.graph


STEPS: dict[str, Callable[[Net], None]] = {
    "conv": Net.conv,
    "pointwise": lambda n: n.conv(kernel=1),
    "grouped": lambda n: n.conv(groups=2),
    "depthwise": lambda n: n.conv(groups=n.channels),
    "dilated": lambda n: n.conv(dilation=2),
    "strided": lambda n: n.conv(stride=2),
    "residual": Net.residual,
    "joined": Net.joined,
    "squeeze": Net.squeeze,
    "max_pool": lambda n: void(n.put(MaxPool(n.value, kernel=(2, 2), strides=(1, 1)))),
    "mean_pool": lambda n: void(n.put(AveragePool(n.value, kernel=(2, 2)))),
    "relu": lambda n: void(n.put(Relu(n.value))),
    "relu6": lambda n: void(n.put(Clip(n.value, low=0.0, high=6.0))),
    "leaky": lambda n: void(n.put(LeakyRelu(n.value, alpha=0.1))),
    "prelu": lambda n: void(n.put(Prelu(n.value, n.const(n.channels, 1, 1)))),
    "sigmoid": lambda n: void(n.put(Sigmoid(n.value))),
    "tanh": lambda n: void(n.put(Tanh(n.value))),
    "swish": lambda n: void(n.put(HardSwish(n.value))),
    "gelu": lambda n: void(n.put(Gelu(n.value))),
}


def void(_: object) -> None:
    pass


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    net = Net(draw(st.integers(0, 2**16)))
    for step in draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=5)):
        if net.size > 3:
            STEPS[step](net)
    return net.finish(softmax=draw(st.booleans()))


FUNCTIONS = [
    ("all",),
    ("float", "relu", "clip", "add", "sub", "mul", "softmax", "lut", "max_pool", "average_pool"),
    ("relu", "clip", "add", "lut"),
    ("relu", "add"),
    ("relu",),
]


@st.composite
def limits(draw: st.DrawFn) -> dict[str, object]:
    found: dict[str, object] = {
        "fan-in": draw(st.integers(8, 64)),
        "neurons": draw(st.integers(2, 16)),
        "weight-bits": draw(st.integers(2, 8)),
        "input-bits": draw(st.integers(2, 8)),
        "functions": draw(st.sampled_from(FUNCTIONS)),
    }
    if draw(st.booleans()):
        found["fan-out"] = draw(st.integers(2, 6))
    if draw(st.booleans()):
        found["lut-entries"] = draw(st.integers(8, 256))
    if draw(st.integers(0, 3)) == 0:
        found["weight-range"] = draw(st.sampled_from([(-7, 7), (-2, 5), (0, 15)]))
    if draw(st.integers(0, 3)) == 0:
        found["input-range"] = draw(st.sampled_from([(-7, 7), (0, 100), (-128, 127)]))
    return found


def bound(limits: dict[str, object]) -> float:
    """Outputs move by some steps of the narrowest width; the more is spelled, the more."""
    bits = min(int(str(limits["weight-bits"])), int(str(limits["input-bits"])))
    if limits.get("input-range") == (-7, 7):
        bits = min(bits, 4)
    if "weight-range" in limits:
        bits = min(bits, 2 if limits["weight-range"] == (-2, 5) else 4)
    spelled = 1 + 3 * ("all" not in str(limits["functions"]))
    return 8 * spelled * 2.0**-bits


def copy_of(graph: Graph) -> Graph:
    store: dict[str, np.ndarray] = {}
    return parse(print_graph(graph, store), weights=store).main


def text_of(graph: Graph) -> tuple[str, list[bytes]]:
    store: dict[str, np.ndarray] = {}
    text = print_graph(graph, store)
    return text, [store[key].tobytes() for key in sorted(store)]


REFUSALS = {"NT0145", "NT0149", "NT0150", "NT0210"}
"""Unsigned weights on a chip that takes no differences, a function that nothing spells, a fan-out
that nothing serves, a sum that overflows."""


def refusal(graph: Graph, ctx: PassContext, digits: str = "none") -> tuple[Diagnostic, ...]:
    """Compile a network and return what refuses it, if anything does."""
    try:
        PassManager(default_pipeline(digits=digits)).run(graph, ctx)
    except NeutramsError as refused:
        return refused.diagnostics
    return ()


@given(networks(), limits())
@settings(
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_a_compile_obeys_and_stays_near_or_is_refused(
    graph: Graph, limits: dict[str, object]
) -> None:
    chip = load("cim", limits=limits)
    wanted = interpret(graph, SAMPLES)["y"]
    ctx = PassContext(target=chip, calibration=SAMPLES)
    twin = copy_of(graph)
    faults = refusal(graph, ctx)
    event("compiled" if not faults else f"refused: {sorted({fault.code for fault in faults})}")
    if limits["functions"] == ("all",) and "fan-out" not in limits:
        assert not faults
    if faults:
        assert {fault.code for fault in faults} <= REFUSALS
        assert all(fault.notes and fault.helps for fault in faults)
        return
    assert verify(graph, chip) == []
    for op in graph.ops:
        if isinstance(op, Mvm):
            rows, neurons = used(op.table())
            assert rows.max() <= chip.limits.fan_in
            assert neurons.max() <= chip.limits.neurons
    if chip.limits.fan_out:
        reads = fan_out(graph).values()
        assert max((each.most for each in reads), default=0) <= chip.limits.fan_out
    refusal(twin, PassContext(target=chip, calibration=SAMPLES))
    assert text_of(twin) == text_of(graph)
    found = interpret(graph, SAMPLES)["y"]
    moved = float(np.sqrt(np.mean((found - wanted) ** 2)) / max(np.std(wanted), 1e-6))
    assert moved < bound(limits)


@given(networks(), limits(), st.sampled_from(["inputs", "all"]))
@settings(
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_digits_obey_any_limits_too(graph: Graph, limits: dict[str, object], digits: str) -> None:
    """Units of few bits, and outputs within the bound of numbers of so few bits."""
    chip = load("cim", limits=limits)
    wanted = interpret(graph, SAMPLES)["y"]
    faults = refusal(graph, PassContext(target=chip, calibration=SAMPLES), digits)
    event("compiled" if not faults else f"refused: {sorted({fault.code for fault in faults})}")
    if faults:
        plain = limits["functions"] == ("all",) and not {"fan-out", "input-range"} & set(limits)
        assert not plain
        assert {fault.code for fault in faults} <= REFUSALS
        return
    assert verify(graph, chip) == []
    found = interpret(graph, SAMPLES)["y"]
    moved = float(np.sqrt(np.mean((found - wanted) ** 2)) / max(np.std(wanted), 1e-6))
    assert moved < bound(limits)
