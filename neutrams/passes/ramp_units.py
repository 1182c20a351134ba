"""Two units that make a function of one element out of ramps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit import Lut, Reduce, Rescale, saturation
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.ranges import proved_range
from neutrams.ir.target import Target
from neutrams.ir.types import Array, DType
from neutrams.passes.affine import narrowest
from neutrams.passes.lowering.crossbar import Encoding
from neutrams.passes.match import located
from neutrams.passes.piecewise import Ramps

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What lies between the integers that a function is given and those that it makes."""

    ops: tuple[Op, ...]
    x: Value
    """``[*, 1]``."""
    result: Value
    """``[*, 1]``."""
    zeros: dict[Value, int]
    """The integer that stands for nothing, of ``x``, the ramps and ``result``."""

    def evaluate(self, x: Ints) -> Ints:
        """Return what the units make of integers."""
        live: dict[Value, Array] = {self.x: x[:, None].astype(self.x.type.dtype.numpy)}
        for op in self.ops:
            live[op.result] = op.evaluate(*(_given(value, live) for value in op.present))
        return live[self.result][:, 0].astype(np.int64)


def _given(value: Value, live: dict[Value, Array]) -> Array:
    if not isinstance(value, Weight):
        return live[value]
    assert value.data is not None
    return value.data


def add_up(graph: Graph, op: Lut, ramps: Ramps, target: Target) -> Curve:
    """Insert, before a table, two units that make its results of its operand."""
    build = _Builder(graph, op, target)
    least, most = target.activation_codes
    held = op.x.type.range or proved_range(op.x)
    x = build.put(Reshape(op.x, shape=(*op.x.type.shape, 1)), "each", int(held[0]), int(held[1]))
    offset = -min(proved_range(x)[0], 0)
    ones = np.ones((len(ramps.starts), 1), np.int8)
    starts = (-ramps.starts - offset).astype(np.int32)
    codes = narrowest(least, most)
    hidden = build.unit(x, "ramps", ones, starts, ramps.slopes, least, (least, most), codes)
    weights = ramps.weights[None].astype(narrowest(-1, int(np.abs(ramps.weights).max())).numpy)
    dtype = op.result.type.dtype
    scale, nothing = np.array(ramps.scale, np.float32), np.zeros(1, np.int32)
    ends = saturation(target, dtype)
    total = build.unit(hidden, "curve", weights, nothing, scale, ramps.first, ends, dtype)
    return Curve(tuple(build.made[1:]), x, total, {x: 0, hidden: least, total: ramps.first})


class _Builder:
    """Ops put before a table."""

    def __init__(self, graph: Graph, op: Lut, target: Target) -> None:
        self.graph, self.op, self.target = graph, op, target
        self.made: list[Op] = []

    def put(self, new: Op, word: str, low: int | None = None, high: int | None = None) -> Value:
        name = f"{self.op.result.name}.{word}"
        self.made.append(located(new, self.op))
        value = self.graph.add(new, before=self.op, name=name)
        if low is not None and high is not None:
            value.type = value.type.with_range(low, high)
        return value

    def unit(
        self,
        x: Value,
        word: str,
        weights: Array,
        bias: Array,
        scale: Array,
        zero: int,
        ends: tuple[int, int],
        dtype: DType,
    ) -> Value:
        """Insert a product with its sum and what brings that to integers within ``ends``."""
        name, encoding = f"{self.op.result.name}.{word}", Encoding.of(self.target)
        offset = -min(proved_range(x)[0], 0)
        w = self.graph.weight(f"{name}.weights", weights)
        if encoding.weights is not None:
            w.type = w.type.with_range(*encoding.weights)
        widest = max(2, int(np.abs(weights).max(initial=0)).bit_length() + 1)
        product = Mvm(
            x,
            w,
            input_offset=offset,
            input_bits=max(1, (proved_range(x)[1] + offset).bit_length()),
            weight_bits=min(widest, self.target.limits.weight_bits),
            **encoding.crossbar,
        )
        partials = self.put(product, f"{word}.mvm")
        sums = self.put(Reduce(partials, self.graph.weight(f"{name}.bias", bias)), f"{word}.sum")
        factor = self.graph.weight(f"{name}.scale", scale)
        low, high = ends
        made = Rescale(sums, factor, zero=zero, low=low, high=high, dtype=dtype)
        return self.put(made, word, low, high)
