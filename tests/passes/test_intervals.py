"""Bounds of integers: no run leaves them, and the worst inputs there are reach those of sums."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.quantization import Quantize
from neutrams.ir.ops.recurrent import Gru, Lstm
from neutrams.ir.ops.tensors import Concat, Pad, Transpose
from neutrams.ir.ops.unit import Add, AveragePool, Lut, Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.passes.intervals import Interval, Intervals
from neutrams.targets import load

quick = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**16)


class Units:
    """A unit graph under construction; its float input stands for the integers themselves."""

    def __init__(self, seed: int, *shape: int, bits: int, low: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("net", "unit")
        x = self.graph.input("x", tensor(DType.F32, symbol("N"), *shape))
        self.bits, self.low = bits, low
        one, zero = self.const(np.float32(1)), self.const(np.int16(0))
        op = Quantize(x, one, zero, low=low, high=low + 2**bits - 1, dtype=DType.I16)
        self.value = self.graph.add(op)

    def const(self, data: object) -> Value:
        return self.graph.weight("c", np.asarray(data))

    def sums(self, neurons: int, inputs: int, *, adc_bits: int = 0, **options: object) -> None:
        w = self.const(self.rng.integers(-8, 8, (neurons, inputs)).astype(np.int8))
        mvm = Mvm(
            self.value,
            w,
            input_bits=self.bits,
            input_offset=-self.low,
            weight_bits=4,
            adc_bits=adc_bits,
            **options,  # type: ignore[arg-type]
        )
        bias = self.const(self.rng.integers(-50, 50, neurons).astype(np.int32))
        axis = 1 if mvm.kernel else -1
        self.value = self.graph.add(Reduce(self.graph.add(mvm), bias, axis=axis))

    def rescaled(self, neurons: int, axis: int = -1) -> None:
        scale = self.const(self.rng.uniform(-0.2, 0.2, neurons).astype(np.float32))
        self.low, high = -3, -4 + 2**self.bits
        op = Rescale(self.value, scale, axis=axis, zero=1, low=self.low, high=high)
        self.value = self.graph.add(op)

    def done(self) -> Intervals:
        self.graph.output(self.value, "y")
        return Intervals(self.graph)


def all_inputs(count: int, bits: int, low: int = 0) -> dict[str, Array]:
    every = product(range(low, low + 2**bits), repeat=count)
    return {"x": np.array(list(every), np.float32)}


def seen(graph: Graph, data: dict[str, Array]) -> dict[Value, list[Array]]:
    """Return all that every integer value is in a run."""
    found: dict[Value, list[Array]] = {}

    def note(value: Value, array: Array) -> None:
        if not value.type.dtype.is_float:
            found.setdefault(value, []).append(array)

    interpret(graph, data, watch=note)
    return found


def assert_contained(known: Intervals, graph: Graph, data: dict[str, Array]) -> int:
    """Check every integer value of a run, and return how many had bounds by channel."""
    narrow = 0
    for value, arrays in seen(graph, data).items():
        bounds = known.of[value]
        narrow += bounds.low.ndim
        shape = [1] * value.type.rank
        if bounds.low.ndim:
            shape[bounds.axis] = -1
        for array in arrays:
            assert (array >= bounds.low.reshape(shape)).all(), value.name
            assert (array <= bounds.high.reshape(shape)).all(), value.name
    return narrow


@quick
@given(seeds, st.integers(1, 5), st.integers(1, 2), st.sampled_from([0, 2]), st.integers(-2, 0))
def test_bounds_of_sums_are_what_the_worst_inputs_make(
    seed: int, inputs: int, bits: int, rows: int, low: int
) -> None:
    net = Units(seed, inputs, bits=bits, low=low)
    net.sums(3, inputs, rows=min(rows, inputs))
    bounds = net.done().of[net.value]
    y = interpret(net.graph, all_inputs(inputs, bits, low))["y"]
    np.testing.assert_array_equal(bounds.low, y.min(axis=0))
    np.testing.assert_array_equal(bounds.high, y.max(axis=0))


@quick
@given(seeds, st.integers(1, 4), st.sampled_from([0, 2, 3]))
def test_no_input_leaves_the_bounds_of_two_layers(seed: int, inputs: int, adc_bits: int) -> None:
    net = Units(seed, inputs, bits=2)
    net.sums(3, inputs, adc_bits=adc_bits)
    net.rescaled(3)
    first = net.value
    net.sums(2, 3, adc_bits=adc_bits)
    known = net.done()
    data = all_inputs(inputs, 2)
    assert assert_contained(known, net.graph, data) >= 4
    if not adc_bits:
        made = np.concatenate(seen(net.graph, data)[first])
        np.testing.assert_array_equal(known.of[first].low, made.min(axis=0))
        np.testing.assert_array_equal(known.of[first].high, made.max(axis=0))


@quick
@given(seeds, st.sampled_from([1, 2]), st.booleans(), st.sampled_from([0, 3]))
def test_no_image_leaves_its_bounds(seed: int, groups: int, padded: bool, adc_bits: int) -> None:
    net = Units(seed, 4, 5, 5, bits=3, low=-2)
    pads = (1, 1, 1, 1) if padded else (0, 0, 0, 0)
    net.sums(
        4, 4 // groups * 9, kernel=(3, 3), pads=pads, groups=groups, pad_value=-1, adc_bits=adc_bits
    )
    net.rescaled(4, axis=1)
    graph, rng = net.graph, net.rng
    a = graph.add(MaxPool(net.value, kernel=(2, 2), strides=(1, 1)))
    pool = AveragePool(
        net.value,
        kernel=(2, 2),
        strides=(1, 1),
        pads=pads,
        count_include_pad=groups == 1,
        input_zero=1,
        scale=0.7,
    )
    b = graph.add(AveragePool(graph.add(pool), kernel=(3, 3) if padded else (1, 1)))
    table = net.const(rng.integers(-9, 9, 8).astype(np.int8))
    c = graph.add(Lut(a, table, low=-3))
    d = graph.add(Add(b, c, a_scale=0.9, b_scale=-1.3, b_zero=2, zero=-1))
    e = graph.add(Pad(d, pads=(0, 0, 1, 0, 0, 0, 0, 1), value=net.const(np.int8(3))))
    f = graph.add(Transpose(graph.add(Concat((e, e), axis=1)), permutation=(0, 2, 3, 1)))
    net.value = f
    known = net.done()
    x = rng.integers(-2, 6, (20, 4, 5, 5))
    extremes = rng.choice([-2, 5], (20, 4, 5, 5))
    data = {"x": np.concatenate([x, extremes]).astype(np.float32)}
    assert assert_contained(known, graph, data) >= 5


@pytest.mark.parametrize("kind", [Gru, Lstm])
def test_no_step_leaves_the_bounds_of_a_recurrent_layer(kind: type[Gru | Lstm]) -> None:
    rng = np.random.default_rng(1)
    gates = 3 if kind is Gru else 4
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 6, 3))
    w, r = (
        graph.weight("w", rng.normal(size=(1, gates * 5, n)).astype(np.float32)) for n in (3, 5)
    )
    graph.output(graph.add(kind(x, w, r, batch_first=True)), "y")
    data = {"x": rng.normal(size=(32, 6, 3)).astype(np.float32)}
    ctx = PassContext(target=load("cim"), calibration=data)
    PassManager(default_pipeline()).run(graph, ctx)
    known = Intervals(graph)
    assert_contained(known, graph, {"x": 5 * data["x"]})
    told = [remark.text for remark in ctx.remarks if remark.by == "check-accumulators"]
    assert len(told) >= 2
    assert all(text.startswith("sums lie in [") for text in told)


def refused(graph: Graph, width: int) -> bool:
    """Whether accumulators of a width are too narrow for a unit graph."""
    chip = load("cim")
    target = replace(chip, limits=replace(chip.limits, accumulator_bits=width))
    try:
        PassManager("check-accumulators").run(graph, PassContext(target=target))
    except NeutramsError as fault:
        return fault.diagnostics[0].code == "NT0210"
    return False


@quick
@given(seeds, st.integers(1, 4), st.integers(1, 2), st.sampled_from([0, 2]))
def test_accumulators_are_refused_just_where_some_order_of_sums_overflows(
    seed: int, inputs: int, bits: int, rows: int
) -> None:
    net = Units(seed, inputs, bits=bits)
    net.sums(2, inputs, rows=min(rows, inputs))
    net.done()
    reduce = net.value.op
    assert isinstance(reduce, Reduce)
    assert reduce.bias is not None
    data = seen(net.graph, all_inputs(inputs, bits))[reduce.partials][0]
    bias = reduce.bias.data  # type: ignore[attr-defined]
    up = np.maximum(data.max(axis=1), 0).sum(axis=0) + np.maximum(bias, 0)
    down = np.minimum(data.min(axis=1), 0).sum(axis=0) + np.minimum(bias, 0)
    most = int(max(up.max(), -down.min()))
    for width in range(3, 12):
        assert refused(net.graph, width) == (most >= 2 ** (width - 1))


def test_bounds_of_equal_shape_join_by_channel() -> None:
    a = Interval(np.array([0, 1]), np.array([2, 3]), 1)
    b = Interval(np.array([-1, 2]), np.array([1, 9]), 1)
    joined = a.joined(b)
    np.testing.assert_array_equal(joined.low, [-1, 1])
    np.testing.assert_array_equal(joined.high, [2, 9])
    assert a.joined(Interval.of(5, 6)).whole == (0, 6)
