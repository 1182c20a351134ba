"""Digital ops in one pass give what the interpreter gives, however operands lie in memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir import interpreter
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.unit import Lut
from neutrams.ir.types import Array, DType
from neutrams.simulator.exact import vector

seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 9), max_size=4)
orders = st.sampled_from(["samples first", "samples last", "reversed"])


class Case:
    """Arrays for an op, one of them lying in memory in some order."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.graph = Graph("net", "unit")
        self.live: dict[Value, Array] = {}

    def value(self, array: Array, order: str = "samples first") -> Value:
        axes = list(range(array.ndim))
        axes = {"samples last": axes[1:] + axes[:1], "reversed": axes[::-1]}.get(order, axes)
        laid = np.asarray(array.transpose(axes), order="C").transpose(np.argsort(axes))
        value = self.graph.weight("w", laid)
        self.live[value] = laid
        return value

    def integers(self, kind: DType, shape: list[int]) -> Array:
        info = np.iinfo(kind.numpy)
        return self.random.integers(info.min, info.max, shape, kind.numpy, endpoint=True)

    def check(self, op: Op) -> None:
        (found,) = vector.evaluate(op, self.live)
        (wanted,) = interpreter.evaluate(op, self.live)
        assert found.dtype == wanted.dtype
        assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(wanted).tobytes()


@settings(deadline=None, max_examples=60)
@given(seeds, shapes, orders, st.sampled_from([DType.U8, DType.I8, DType.I32]), st.booleans())
def test_dequantize(seed: int, shape: list[int], order: str, kind: DType, single: bool) -> None:
    case = Case(seed)
    axis = seed % max(len(shape), 1)
    grid = () if single or not shape else (shape[axis],)
    scale = case.random.uniform(1e-6, 3, grid).astype(np.float32)
    zero = case.integers(kind, list(grid))
    x = case.value(case.integers(kind, shape), order)
    case.check(Dequantize(x, case.value(scale), case.value(zero), axis=axis - len(shape)))


@settings(deadline=None, max_examples=60)
@given(seeds, shapes, orders, st.sampled_from([DType.U8, DType.I8, DType.U16]))
def test_quantize(seed: int, shape: list[int], order: str, kind: DType) -> None:
    case = Case(seed)
    x = case.random.standard_normal(shape).astype(np.float32)
    odd = np.array([np.inf, -np.inf, 0.5, 1.5, -0.5, 1e30, -0.0], np.float32)
    x.flat[: len(odd)] = odd[: x.size]
    scale = np.array(case.random.choice([1, 0.01, 1e-30]), np.float32)
    zero = np.array(case.random.integers(0, 100), kind.numpy)
    low, high = (-100, 100) if kind is DType.I8 else (3, 200)
    op = Quantize(
        case.value(x, order), case.value(scale), case.value(zero), low=low, high=high, dtype=kind
    )
    case.check(op)


@settings(deadline=None, max_examples=40)
@given(seeds, shapes, orders, st.sampled_from([DType.U8, DType.I8]))
def test_look_up(seed: int, shape: list[int], order: str, kind: DType) -> None:
    case = Case(seed)
    table = case.integers(DType.I16, [256])
    low = int(np.iinfo(kind.numpy).min)
    x = case.value(case.integers(kind, shape), order)
    case.check(Lut(x, case.value(table), low=low))
