"""Quantised ops, one at a time, equal the float interpreter of the same ops within one step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import Clip, Gelu, Relu, Sigmoid
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.elementwise import Add, Mul, Sub
from neutrams.ir.ops.pooling import AveragePool, MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.reductions import ReduceMean
from neutrams.ir.ops.tensors import Concat, Pad, Reshape, Transpose
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.text import parse_graph
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.passes import PassContext, PassManager
from neutrams.targets import load

RANGES = {DType.I8: (-128, 127), DType.U8: (0, 255)}
quick = settings(deadline=None, max_examples=40)


class Qdq:
    """A graph of one op between a dequantised input and a quantised output."""

    def __init__(self, seed: int, shape: tuple[int, ...], dtype: DType = DType.U8) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("net")
        self.dtype = dtype
        self.x = self.input("x", shape)

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        ints = self.graph.input(name, tensor(self.dtype, symbol("N"), *shape))
        return self.back(ints)

    def back(self, ints: Value) -> Value:
        return self.graph.add(Dequantize(ints, *self.grid()))

    def grid(self, low: float = 0.01, high: float = 0.05) -> tuple[Value, Value]:
        scale = np.float32(self.rng.uniform(low, high))
        zero = self.rng.integers(*RANGES[self.dtype], endpoint=True)
        return (
            self.graph.weight("s", np.array(scale)),
            self.graph.weight("z", np.array(zero, self.dtype.numpy)),
        )

    def weights(self, shape: tuple[int, ...], axis: int | None, low: int = -127) -> Value:
        ints = self.graph.weight("w", self.rng.integers(low, 128, shape).astype(np.int8))
        size = () if axis is None else (shape[axis],)
        scale = self.rng.uniform(0.005, 0.02, size).astype(np.float32)
        zero = self.graph.weight("wz", np.zeros(size, np.int8))
        return self.graph.add(
            Dequantize(ints, self.graph.weight("ws", scale), zero, axis=axis or 0)
        )

    def const(self, *shape: int) -> Value:
        return self.graph.weight("b", self.rng.normal(size=shape).astype(np.float32))

    def out(self, op: Op, low: float = 0.05, high: float = 0.5) -> Graph:
        value = self.graph.add(op)
        least, most = RANGES[self.dtype]
        grid = self.grid(low, high)
        ints = self.graph.add(Quantize(value, *grid, low=least, high=most, dtype=self.dtype))
        self.graph.output(ints, "y")
        return self.graph

    def sample(self) -> dict[str, Array]:
        least, most = RANGES[self.dtype]
        shapes = {
            v.name: (4, *v.type.with_shape(v.type.shape[1:]).static_shape())
            for v in self.graph.inputs
        }
        return {
            name: self.rng.integers(least, most, shape, endpoint=True).astype(self.dtype.numpy)
            for name, shape in shapes.items()
        }


def lowered_difference(net: Qdq, *, float_ops: tuple[str, ...] = ()) -> int:
    """Lower a graph and return by how many steps its output moves; only named ops stay float."""
    sample = net.sample()
    before = interpret(net.graph, sample)["y"].astype(np.int64)
    ctx = PassContext(target=load("cim", {"core.adc_bits": "0"}))
    PassManager("lower-units").run(net.graph, ctx)
    kept = {op.name for op in net.graph.ops if op.results[0].type.dtype.is_float}
    assert kept == set(float_ops)
    after = interpret(net.graph, sample)["y"].astype(np.int64)
    return int(np.abs(after - before).max())


dtypes = st.sampled_from([DType.I8, DType.U8])
seeds = st.integers(0, 2**16)


@quick
@given(seeds, dtypes, st.sampled_from([1, 2, 4]), st.integers(1, 2), st.integers(1, 2), st.data())
def test_convolutions(
    seed: int, dtype: DType, groups: int, stride: int, dilation: int, data: st.DataObject
) -> None:
    net = Qdq(seed, (4, 7, 6), dtype)
    pads = tuple(data.draw(st.lists(st.integers(0, 2), min_size=4, max_size=4)))
    w = net.weights((8, 4 // groups, 3, 2), data.draw(st.sampled_from([None, 0])))
    bias = data.draw(st.sampled_from([None, net.const(8)]))
    op = Conv(
        net.x, w, bias, pads=pads, strides=(stride, 1), dilations=(1, dilation), groups=groups
    )
    net.out(op)
    assert lowered_difference(net) <= 1


@quick
@given(seeds, dtypes, st.sampled_from([None, 1]), st.sampled_from([(5,), (3, 5), (2, 3, 5)]))
def test_matrix_products(seed: int, dtype: DType, axis: int | None, shape: tuple[int, ...]) -> None:
    net = Qdq(seed, shape, dtype)
    product = net.graph.add(Matmul(net.x, net.weights((5, 6), axis)))
    biased = net.graph.add(Add(net.const(6), product))
    net.out(Clip(biased, low=-1.0, high=6.0))
    assert lowered_difference(net) <= 1


def test_one_dimensional_signals_go_to_crossbars() -> None:
    net = Qdq(3, (4, 9))
    net.out(Conv(net.x, net.weights((5, 4, 3), 0), pads=(1, 1)))
    assert lowered_difference(net) <= 1
    assert any(isinstance(op, Mvm) for op in net.graph.ops)


@quick
@given(seeds, dtypes, st.sampled_from([Add, Sub]), st.booleans())
def test_sums(seed: int, dtype: DType, kind: type[Add] | type[Sub], relu: bool) -> None:
    net = Qdq(seed, (3, 4), dtype)
    total = kind(net.x, net.input("other", (3, 4)))
    net.out(Relu(net.graph.add(total)) if relu else total, low=0.02)
    assert lowered_difference(net) <= 1


@quick
@given(seeds, dtypes, st.booleans(), st.booleans(), st.booleans())
def test_average_pools(seed: int, dtype: DType, whole: bool, include: bool, ceil: bool) -> None:
    net = Qdq(seed, (3, 7, 5), dtype)
    if whole:
        net.out(ReduceMean(net.x, axes=(-1, 2), keepdims=include), low=0.01)
    else:
        net.out(
            AveragePool(
                net.x,
                kernel=(3, 2),
                strides=(2, 2),
                pads=(1, 0, 1, 1),
                count_include_pad=include,
                ceil_mode=ceil,
            ),
            low=0.01,
        )
    assert lowered_difference(net) <= 1


@quick
@given(seeds, dtypes)
def test_functions_become_tables_bit_for_bit(seed: int, dtype: DType) -> None:
    net = Qdq(seed, (3, 4), dtype)
    half = net.graph.weight("half", np.array(0.5, np.float32))
    gated = net.graph.add(Mul(net.x, net.graph.add(Sigmoid(net.x))))
    shifted = net.graph.add(Add(net.graph.add(Gelu(gated)), half))
    net.out(Sub(shifted, net.x), low=0.01)
    assert lowered_difference(net) == 0
    assert [op.name for op in net.graph.ops] == ["unit.lut"]


@quick
@given(seeds, dtypes, st.booleans())
def test_moves_are_made_on_integers_bit_for_bit(seed: int, dtype: DType, pool: bool) -> None:
    net = Qdq(seed, (3, 4, 4), dtype)
    value = net.graph.add(MaxPool(net.x, kernel=(2, 2), pads=(0, 0, 1, 1))) if pool else net.x
    value = net.graph.add(Pad(value, pads=(0, 0, 1, 0, 0, 0, 1, 0)))
    value = net.graph.add(Transpose(value, permutation=(0, 3, 1, 2)))
    other = net.input("other", (4, 3, 6))
    joined = net.graph.add(Concat((value, other), axis=1))
    net.out(Reshape(joined, shape=(symbol("N"), 8 * 18)), low=0.01)
    assert lowered_difference(net) == 0


@quick
@given(seeds, dtypes)
def test_a_product_read_twice_is_held_once(seed: int, dtype: DType) -> None:
    """A convolution whose sums go both to integers and to floats takes crossbars once."""
    net = Qdq(seed, (2, 5, 5), dtype)
    conv = net.graph.add(Conv(net.x, net.weights((3, 2, 3, 3), 0)))
    net.out(Relu(conv))
    net.graph.output(conv, "float")
    assert lowered_difference(net, float_ops=("nn.dequantize",)) <= 1
    assert sum(isinstance(op, Mvm) for op in net.graph.ops) == 1


def test_a_transposed_convolution_stays_float_and_says_why() -> None:
    net = Qdq(1, (2, 4, 4))
    net.out(ConvTranspose(net.x, net.weights((2, 3, 2, 2), None), strides=(2, 2)))
    ctx = PassContext()
    PassManager("lower-units").run(net.graph, ctx)
    said = [r.text for r in ctx.remarks if r.op == "nn.conv_transpose" and r.kind == "missed"]
    assert said == ["stays float: a transposed convolution scatters, and a crossbar only gathers"]


def test_unsigned_weights_with_a_zero_point_are_centred() -> None:
    graph = parse_graph(
        """graph @net(%x: u8[N, 2]) {
          weight @s : f32[] = [0.5]
          weight @z : u8[] = [3]
          weight @q : u8[2, 2] = [130, 120, 200, 128]
          weight @half : u8[] = [128]
          %d = nn.dequantize(%x, @s, @z) : f32[N, 2]
          %w = nn.dequantize(@q, @s, @half) : f32[2, 2]
          %y = nn.matmul(%d, %w) : f32[N, 2]
          return %y
        }"""
    )
    x = {"x": np.array([[0, 255], [7, 8]], np.uint8)}
    before = interpret(graph, x)["y"]
    PassManager("lower-units").run(graph)
    mvm = next(op for op in graph.ops if isinstance(op, Mvm))
    assert mvm.weight_bits == 8
    np.testing.assert_allclose(interpret(graph, x)["y"], before, rtol=1e-6)


def test_weights_too_wide_for_the_cells_stay_float() -> None:
    net = Qdq(1, (3,))
    net.out(Matmul(net.x, net.weights((3, 4), 1)))
    ctx = PassContext(target=load("cim", {"limits.weight_bits": "4"}))
    PassManager("lower-units").run(net.graph, ctx)
    assert not any(isinstance(op, Mvm) for op in net.graph.ops)
    assert any("cells hold -8 to 7" in remark.text for remark in ctx.remarks)


def test_narrow_numbers_take_few_bits() -> None:
    graph = parse_graph(
        """graph @net(%x: f32[N, 2]) {
          weight @s : f32[] = [1.0]
          weight @z : u8[] = [0]
          weight @wz : i8[] = [0]
          weight @q : i8[2, 2] = [1, -1, 1, 0]
          %q = nn.quantize(%x, @s, @z) {low = 0, high = 3, dtype = u8} : u8[N, 2]
          %d = nn.dequantize(%q, @s, @z) : f32[N, 2]
          %w = nn.dequantize(@q, @s, @wz) : f32[2, 2]
          %y = nn.matmul(%d, %w) : f32[N, 2]
          return %y
        }"""
    )
    PassManager("lower-units").run(graph, PassContext(target=load("cim")))
    mvm = next(op for op in graph.ops if isinstance(op, Mvm))
    assert (mvm.input_bits, mvm.weight_bits) == (2, 2)


def test_a_bias_between_coarse_steps_is_added_in_floating_point() -> None:
    """With sums of a few whole steps, rounding the bias would move the result visibly."""
    graph = parse_graph(
        """graph @net(%x: f32[N, 2]) {
          weight @s : f32[] = [1.0]
          weight @z : i8[] = [0]
          weight @q : i8[2, 1] = [1, -1]
          weight @b : f32[1] = [0.4]
          %q = nn.quantize(%x, @s, @z) {low = -1, high = 1} : i8[N, 2]
          %d = nn.dequantize(%q, @s, @z) : f32[N, 2]
          %w = nn.dequantize(@q, @s, @z) : f32[2, 1]
          %m = nn.matmul(%d, %w) : f32[N, 1]
          %y = nn.add(%m, @b) : f32[N, 1]
          return %y
        }"""
    )
    PassManager("lower-units").run(graph)
    y = interpret(graph, {"x": np.array([[1, 1], [1, -1]], np.float32)})["y"]
    np.testing.assert_allclose(y, [[0.4], [2.4]], rtol=1e-6)


def test_sums_beyond_the_accumulators_are_refused() -> None:
    net = Qdq(1, (4000,))
    net.graph.output(net.graph.add(Matmul(net.x, net.weights((4000, 2), 1))), "y")
    wide = load("cim")
    target = replace(wide, limits=replace(wide.limits, accumulator_bits=24))
    with pytest.raises(NeutramsError, match="NT0210"):
        PassManager("lower-units,check-accumulators").run(net.graph, PassContext(target=target))
