"""The torch executor gives the integers of the reference interpreter, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.unary import Sqrt
from neutrams.ir.ops.unit import Add, AveragePool, Lut, Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Coding
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.training.executor import execute, run_graph
from neutrams.training.rules import RULES, without_rule
from neutrams.training.run import Run, to_tensor

quick = settings(deadline=None, max_examples=60)
GEOMETRIES: list[dict[str, tuple[int, ...] | int]] = [
    {"kernel": (3, 3), "pads": (1, 1, 1, 1)},
    {"kernel": (3, 2), "strides": (2, 1), "pads": (0, 1, 2, 0), "pad_value": 3},
    {"kernel": (2, 2), "dilations": (2, 3)},
    {"kernel": (3, 3), "groups": 2},
    {"kernel": (1, 1), "groups": 4, "pad_value": 1},
]


def test_every_unit_op_has_a_rule() -> None:
    assert without_rule("unit.") == []


def test_ops_of_plain_networks_have_rules() -> None:
    plain = {"nn.conv", "nn.matmul", "nn.relu", "nn.add", "nn.max_pool", "nn.average_pool"}
    moves = {"tensor.reshape", "tensor.transpose", "tensor.concat", "tensor.split"}
    assert not (plain | moves) & set(without_rule())


def same(graph: Graph, inputs: dict[str, Array]) -> None:
    wanted = interpret(graph, inputs)
    for merging in (True, False):
        found = run_graph(graph, inputs, Run(merging=merging))
        for name, array in wanted.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def test_roots_are_rounded_once() -> None:
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N")))
    graph.output(graph.add(Sqrt(x)), "y")
    same(graph, {"x": np.random.default_rng(0).uniform(0, 9, 20_000).astype(np.float32)})


def product(seed: int, x: tuple[int, ...], **attributes: Any) -> tuple[Graph, dict[str, Array]]:
    """Return a product, its sum and a rescale, on random integers."""
    rng = np.random.default_rng(seed)
    graph = Graph("net", "unit")
    ints = graph.input("x", tensor(DType.U8, symbol("N"), *x))
    kernel = attributes.get("kernel", ())
    groups, bits = attributes.get("groups", 1), attributes.get("weight_bits", 8)
    fan_in = x[0] // groups * int(np.prod(kernel)) if kernel else x[-1]
    high = 2 ** (bits - 1) - 1
    w = graph.weight("w", rng.integers(-high, high + 1, (8, fan_in)).astype(np.int8))
    partials = graph.add(Mvm(ints, w, **attributes))
    axis = 1 if kernel else partials.type.rank - 2
    bias = graph.weight("b", rng.integers(-5000, 5000, 8).astype(np.int32))
    scale = graph.weight("s", rng.uniform(0.001, 0.01, 8).astype(np.float32))
    sums = graph.add(Reduce(partials, bias, axis=axis))
    graph.output(graph.add(Rescale(sums, scale, axis=axis, zero=3)), "y")
    input_bits = attributes.get("input_bits", 8)
    return graph, {"x": rng.integers(0, 2**input_bits, (3, *x)).astype(np.uint8)}


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("rows", [0, 5])
def test_convolutions(geometry: dict[str, Any], rows: int) -> None:
    same(*product(1, (4, 7, 6), rows=rows, neurons=3, **geometry))


@quick
@given(
    seed=st.integers(0, 99),
    coding=st.sampled_from(get_args(Coding)),
    mode=st.sampled_from(["clip", "scale"]),
    adc_bits=st.sampled_from([0, 3, 5, 8]),
    flip=st.booleans(),
    cell_bits=st.integers(1, 4),
    dac_bits=st.integers(1, 3),
    widths=st.tuples(st.integers(2, 8), st.integers(2, 8)),
)
def test_converters(
    seed: int,
    coding: str,
    mode: str,
    adc_bits: int,
    flip: bool,
    cell_bits: int,
    dac_bits: int,
    widths: tuple[int, int],
) -> None:
    graph, inputs = product(
        seed,
        (19,),
        rows=8,
        neurons=5,
        coding=coding,
        adc_mode=mode,
        adc_bits=adc_bits,
        column_flip=flip,
        cell_bits=cell_bits,
        dac_bits=dac_bits,
        weight_bits=widths[0],
        input_bits=widths[1],
    )
    same(graph, inputs)


def test_sums_beyond_float32() -> None:
    graph, inputs = product(5, (3000,), weight_bits=8)
    inputs["x"][:] = 255
    graph.weights["w"].data = np.full((8, 3000), 127, np.int8)
    graph.weights["s"].data = np.full(8, 1.3e-6, np.float32)
    same(graph, inputs)


def digital(op: Op, x: Value, graph: Graph) -> dict[str, Array]:
    graph.output(graph.add(op), "y")
    rng = np.random.default_rng(2)
    shape = [3 if not isinstance(dim, int) else dim for dim in x.type.shape]
    return {"x": rng.integers(0, 256, shape).astype(np.uint8)}


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("cls", [AveragePool, MaxPool])
def test_pools(cls: type[AveragePool] | type[MaxPool], ceil_mode: bool) -> None:
    graph = Graph("net", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 3, 9, 8))
    made = cls(x, kernel=(3, 2), strides=(2, 3), pads=(1, 0, 0, 1), ceil_mode=ceil_mode)
    if isinstance(made, AveragePool):
        made = replace(made, input_zero=7, scale=0.37, zero=-3)
    same(graph, digital(made, x, graph))


def test_sums_and_tables() -> None:
    graph = Graph("net", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 50))
    table = graph.weight("t", np.random.default_rng(0).integers(-128, 128, 256).astype(np.int8))
    looked = graph.add(Lut(x, table))
    op = Add(x, looked, a_scale=0.37, b_scale=-1.71, a_zero=100, b_zero=-4, zero=9)
    same(graph, digital(op, x, graph))


def test_gradient_passes_rounding_and_stops_at_bounds() -> None:
    graph, inputs = product(3, (6,))
    w, scale = graph.weights["w"], graph.weights["s"]
    assert w.data is not None
    held = to_tensor(w.data).requires_grad_(True)
    live = {graph.inputs[0]: to_tensor(inputs["x"])}
    scale.data = np.array([1e-4] * 4 + [10.0] * 4, np.float32)
    execute(graph.ops, live, Run(weights={w: held}, fast=True))
    live[graph.outputs[0]].sum().backward()  # type: ignore[no-untyped-call]
    drive = to_tensor(inputs["x"]).sum(dim=0)
    assert held.grad is not None
    torch.testing.assert_close(held.grad[0], drive * 1e-4)
    assert not held.grad[4:].any(), "saturated outputs have no slope"


def test_gradient_of_a_lossy_product_is_that_of_the_exact_one() -> None:
    graph, inputs = product(3, (20,), rows=10, adc_bits=4)
    w = graph.weights["w"]
    assert w.data is not None
    grads = []
    for op in (graph.ops[0], replace(graph.ops[0], adc_bits=0)):  # type: ignore[type-var]
        held = to_tensor(w.data).requires_grad_(True)
        live = {graph.inputs[0]: to_tensor(inputs["x"])}
        execute([op], live, Run(weights={w: held}, fast=True))
        live[op.results[0]].sum().backward()  # type: ignore[no-untyped-call]
        grads.append(held.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_rules_are_of_op_classes() -> None:
    assert all(issubclass(cls, Op) for cls in RULES)
