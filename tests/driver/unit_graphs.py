"""Random unit graphs: a product on crossbars, and what may follow it."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops import unit
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.tensors import Concat, Pad, Slice
from neutrams.ir.ops.time import Next, Run, State
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.passes import PassManager

N = symbol("N")


@st.composite
def unit_graphs(draw: st.DrawFn) -> tuple[Graph, Array]:
    """A chain of units over a small image or matrix, and samples for it."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    graph = Graph("main", "unit")
    rank = draw(st.integers(0, 3))
    dtype = draw(st.sampled_from([DType.U8, DType.I8, DType.I16]))
    bits = draw(st.sampled_from([4, 8] if dtype.bits == 8 else [12, 16]))
    offset = 0 if dtype is DType.U8 else 2 ** (bits - 1)
    groups = draw(st.sampled_from([1, 2, 4]))
    channels, size = 4, draw(st.integers(5, 7))
    x = graph.input("x", tensor(dtype, N, channels, *[size] * rank))
    samples = random.integers(0, 2**bits, (3, channels, *[size] * rank)) - offset
    weight_bits = draw(st.sampled_from([2, 4, 8, 12]))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    fan_in = channels // groups * int(np.prod(kernel, dtype=int))
    held = "int8" if weight_bits <= 8 else "int16"
    top = 2 ** (weight_bits - 1)
    weights = random.integers(-top, top, (8, fan_in)).astype(held)
    geometry: dict[str, Any] = {}
    if rank:
        geometry = {
            "kernel": kernel,
            "strides": tuple(draw(st.integers(1, 2)) for _ in range(rank)),
            "dilations": tuple(draw(st.integers(1, 2)) for _ in range(rank)),
            "pads": tuple(draw(st.integers(0, 1)) for _ in range(2 * rank)),
            "pad_value": draw(st.integers(0, 7)),
        }
    partials = graph.add(
        Mvm(
            x, graph.weight("w", weights), groups=groups, input_offset=offset, input_bits=bits,
            weight_bits=weight_bits, rows=draw(st.sampled_from([0, 1, 3, 7])), **geometry,
        ),
        name="partials",
    )  # fmt: skip
    if draw(st.booleans()):
        graph.output(partials)
    bias = graph.weight("b", random.integers(-5000, 5000, 8).astype(partials.type.dtype.numpy))
    axis = 1 if rank else -1
    total = graph.add(
        unit.Reduce(partials, bias if draw(st.booleans()) else None, axis=axis), name="sum"
    )
    scale = graph.weight("s", random.uniform(1e-5, 1e-2, 8).astype(np.float32))
    out = draw(st.sampled_from([DType.I8, DType.U8, DType.I16]))
    limits = np.iinfo(out.numpy)
    zero = draw(st.integers(max(-5, int(limits.min)), 5))
    low, high = draw(st.sampled_from([(int(limits.min), int(limits.max)), (zero, 15 + zero)]))
    span: dict[str, Any] = {"low": low, "high": high, "dtype": out}
    y = graph.add(unit.Rescale(total, scale, axis=axis, zero=zero, **span), name="y")
    for _ in range(draw(st.integers(0, 3))):
        y = graph.add(draw(followers(y, random)))
    for value in [v for op in graph.ops for v in op.present if isinstance(v, Weight)]:
        if not value.name:
            value.name = graph.fresh("constant")
            graph.weights[value.name] = value
    graph.output(y, "scores")
    if draw(st.booleans()):
        PassManager(f"split-digits{{bits={draw(st.integers(1, 5))}}}").run(graph)
    return graph, samples.astype(dtype.numpy)


@st.composite
def followers(draw: st.DrawFn, value: Value, random: np.random.Generator) -> Op:
    """An integer op that can follow a value."""
    kinds = ["add", "relu", "rescale", "concat", "slice", "pad"]
    sizes = [dim for dim in value.type.shape[2:] if isinstance(dim, int)]
    if value.type.dtype.bits == 8:
        kinds += ["lut"]
    if sizes and min(sizes) >= 2:
        kinds += ["max", "average"]
    kind, bits = draw(st.sampled_from(kinds)), value.type.dtype.bits
    window: dict[str, Any] = {"kernel": (2,) * len(sizes), "ceil_mode": draw(st.booleans())}
    if kind == "max":
        return MaxPool(value, strides=(draw(st.integers(1, 2)),) * len(sizes), **window)
    if kind == "average":
        zero, scale = draw(st.integers(-9, 9)), draw(st.floats(0.125, 3, width=32))
        return unit.AveragePool(value, input_zero=zero, scale=scale, **window)
    if kind == "lut":
        table = Weight("", random.integers(-128, 128, 256).astype(np.int8))
        low = int(np.iinfo(value.type.dtype.numpy).min)
        return unit.Lut(value, table, low=low)
    if kind == "relu":
        return Relu(value)
    if kind == "concat":
        return Concat((value, value), axis=1)
    if kind == "slice":
        return Slice(value, starts=(1,), ends=(4,), axes=(1,), steps=(draw(st.integers(1, 2)),))
    if kind == "pad":
        return Pad(value, pads=(0, 1, *[0] * (2 * value.type.rank - 2)))
    scales = [draw(st.floats(-2, 2, width=32)) for _ in range(2)]
    if kind == "rescale":
        factor = Weight("", np.array(scales[0] / 2**bits, np.float32))
        return unit.Rescale(value, factor, zero=draw(st.integers(-9, 9)))
    zeros = draw(st.integers(-128, 127)), draw(st.integers(-128, 127))
    return unit.Add(
        value, value, a_scale=scales[0], b_scale=scales[1], a_zero=zeros[0], b_zero=zeros[1]
    )


@st.composite
def recurrent_graphs(draw: st.DrawFn) -> tuple[Graph, Array]:
    """A run of a cell that keeps its state in integers, and samples ``[N, T, 3]`` for it."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cell, graph = Graph("main/cell", "unit"), Graph("main", "unit")
    x = cell.input("x_t", tensor(DType.I8, N, 3))
    first = cell.weight("first", random.integers(-128, 128, (1, 4)).astype(np.int8))
    slots = {"slot": "h", "shape": (N, 4), "delay": draw(st.integers(1, 2))}
    state = cell.add(State(first, **slots), name="state")  # type: ignore[arg-type]
    sums = []
    for index, value in enumerate((x, state)):
        inputs = 3 if value is x else 4
        held = random.integers(-128, 128, (4, inputs)).astype(np.int8)
        weights = cell.weight(f"w{index}", held)
        rows = draw(st.sampled_from([0, 2]))
        made = cell.add(Mvm(value, weights, input_offset=128, rows=rows), name=f"mvm{index}")
        bias = cell.weight(f"b{index}", random.integers(-9999, 9999, 4).astype(np.int32))
        scale = cell.weight(f"s{index}", random.uniform(1e-4, 1e-2, 4).astype(np.float32))
        total = cell.add(unit.Reduce(made, bias), name=f"sum{index}")
        sums.append(cell.add(unit.Rescale(total, scale), name=f"part{index}"))
    both = cell.add(unit.Add(sums[0], sums[1], a_scale=0.7, b_scale=0.9, zero=3), name="both")
    table = cell.weight("table", random.integers(-128, 128, 256).astype(np.int8))
    after = cell.add(unit.Lut(both, table, low=-128), name="after")
    cell.insert(Next(after, slot="h"))
    cell.output(after, "h")
    cell.output(both, "both")
    sequence = graph.input("x", tensor(DType.I8, N, 5, 3))
    stack = draw(st.sampled_from([1, -1]))
    run = Run((sequence,), cell=cell, over=(1,), stack=(1, stack), reverse=draw(st.booleans()))
    graph.insert(run, name=["all", "last"])
    for value, name in zip(run.results, ("all", "last"), strict=True):
        graph.output(value, name)
    return graph, random.integers(-128, 128, (3, 5, 3)).astype(np.int8)
