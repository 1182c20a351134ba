"""``spell-max-pool``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neutrams.ir.functions import has
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.tensors import Slice
from neutrams.ir.ops.unit import Reduce, Rescale, saturation
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.ranges import proved_range
from neutrams.ir.target import Target
from neutrams.ir.types import Array, DType
from neutrams.passes.affine import Codes, narrowest
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.counterparts import Known
from neutrams.passes.lowering.crossbar import Encoding
from neutrams.passes.match import located


@dataclass(frozen=True)
class SpellMaxPool(Pass):
    """Spell max pools as units: ``max(a, b) = a + relu(b - a)``, exact on integers.

    A window is pooled axis by axis. Along one axis twice as many places are pooled at each step,
    so a window of ``k`` takes ``⌈log2 k⌉`` steps of two small units: one makes ``relu(b - a)`` and
    hands on ``a``, the other adds them. Done only where the chip has no `max_pool`.
    """

    name: ClassVar[str] = "spell-max-pool"
    takes: ClassVar = ("unit",)
    descends: ClassVar[bool] = True
    rms_bound: ClassVar[float] = 0.0

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if ctx.target is None or has(ctx.target, "max_pool"):
            return False
        pools = [op for op in graph.ops if isinstance(op, MaxPool)]
        changed = [self._spell(graph, op, ctx.target, ctx) for op in pools]
        return any(changed)

    def _spell(self, graph: Graph, op: MaxPool, target: Target, ctx: PassContext) -> bool:
        if reason := _obstacle(op, target):
            ctx.remark(op, f"stays: {reason}", kind="missed")
            return False
        pool = _Pool(graph, op, target, ctx.counterparts)
        value = op.x
        for axis in range(len(op.kernel)):
            value = pool.along(axis, value)
        graph.replace_value(op.result, value)
        name = op.result.name
        graph.erase(op)
        graph.rename(value, name)
        ctx.remark(value.op or op, f"a max pool in {pool.units} units, exactly")
        return True


def _obstacle(op: MaxPool, target: Target) -> str:
    if op.x.type.dtype.is_float:
        return "its operand is not rounded to integers"
    if any(not isinstance(size, int) for size in op.x.type.shape[1:]):
        return "its sizes are not numbers"
    low, high = proved_range(op.x)
    least, most = target.activation_codes
    ends = saturation(target, op.x.type.dtype)
    if low < ends[0] or high > ends[1] or high - low > most - least:
        return "units do not read or make so many bits"
    if target.chosen_weights[1] < 1 or target.limits.fan_in < 2:
        return "units hold no difference of two"
    return ""


class _Pool:
    """The units of one pool, under construction."""

    def __init__(self, graph: Graph, op: MaxPool, target: Target, known: Known) -> None:
        self.graph, self.op, self.target, self.known = graph, op, target, known
        self.ends = target.activation_codes
        self.low = proved_range(op.x)[0]
        self.units = 0

    def along(self, axis: int, x: Value) -> Value:
        """Return the pool along one axis of windows."""
        op, rank = self.op, len(self.op.kernel)
        size, stride = op.kernel[axis], (op.strides or (1,) * rank)[axis]
        apart = (op.dilations or (1,) * rank)[axis]
        begin, end = self._pads(axis, x, size, stride, apart)
        if size == 1:
            return x if stride == 1 else self._every(axis, x, stride)
        pooled = 1
        while pooled < size:
            more = min(pooled, size - pooled)
            pooled += more
            step = stride if pooled == size else 1
            x = self._larger(axis, x, more * apart, step, begin, end)
            begin = end = 0
        return x

    def _pads(self, axis: int, x: Value, size: int, stride: int, apart: int) -> tuple[int, int]:
        """Return pads that give the pool's own number of results."""
        begin = self.op.pads[axis] if self.op.pads else 0
        length, results = x.type.shape[2 + axis], self.op.result.type.shape[2 + axis]
        assert isinstance(length, int)
        assert isinstance(results, int)
        end = (results - 1) * stride + (size - 1) * apart + 1 - length - begin
        return begin, max(0, end)

    def _every(self, axis: int, x: Value, stride: int) -> Value:
        length = x.type.shape[2 + axis]
        assert isinstance(length, int)
        op = Slice(x, starts=(0,), ends=(length,), axes=(2 + axis,), steps=(stride,))
        return self._put(op, f"{self.op.result.name}.some")

    def _larger(self, axis: int, x: Value, apart: int, stride: int, begin: int, end: int) -> Value:
        """Return ``max(x[i], x[i + apart])`` along an axis, of pads as small as can be.

        Both terms lie from the lower end of what units give out on: it saturates, so that is the
        ReLU, and takes no function.
        """
        channels, least = x.type.shape[1], self.ends[0]
        assert isinstance(channels, int)
        rank = len(self.op.kernel)

        def on_axis(number: int, other: int) -> tuple[int, ...]:
            return tuple(number if place == axis else other for place in range(rank))

        offset = -min(self.low, 0)
        pair = np.tile(np.array([[1, 0], [-1, 1]], np.int8), (channels, 1))
        shift = np.tile(np.array([-offset - self.low, 0], np.int32), channels)
        both = self._unit(
            x,
            pair,
            shift,
            offset=offset,
            zero=least,
            ends=self.ends,
            dtype=narrowest(*self.ends),
            kernel=on_axis(2, 1),
            strides=on_axis(stride, 1),
            pads=on_axis(begin, 0) + on_axis(end, 0),
            dilations=on_axis(apart, 1),
            groups=channels,
            pad_value=self.low,
        )
        ones = (1,) * rank
        return self._unit(
            both,
            np.ones((channels, 2), np.int8),
            np.zeros(channels, np.int32),
            offset=-least,
            zero=self.low,
            ends=saturation(self.target, self.op.x.type.dtype),
            dtype=self.op.x.type.dtype,
            kernel=ones,
            strides=ones,
            pads=(0,) * (2 * rank),
            dilations=ones,
            groups=channels,
        )

    def _unit(
        self,
        x: Value,
        weights: Array,
        bias: Array,
        *,
        offset: int,
        zero: int,
        ends: Codes,
        dtype: DType,
        **geometry: Any,
    ) -> Value:
        """Return exact sums of a few integers, moved by ``zero`` and saturating at ``ends``."""
        self.units += 1
        graph, target, name = self.graph, self.target, f"{self.op.result.name}.max{self.units}"
        w, b = graph.weight(f"{name}.weights", weights), graph.weight(f"{name}.bias", bias)
        one = graph.weight(f"{name}.scale", np.array(1.0, np.float32))
        self.known[w] = "take a maximum"
        product = Mvm(
            x,
            w,
            input_offset=offset,
            input_bits=max(1, (proved_range(x)[1] + offset).bit_length()),
            weight_bits=min(2, target.limits.weight_bits),
            **geometry,
            **Encoding.of(target).crossbar,
        )
        sums = self._put(Reduce(self._put(product, f"{name}.mvm"), b, axis=1), f"{name}.sum")
        low, high = ends
        last = Rescale(sums, one, zero=zero, low=low, high=high, dtype=dtype)
        made = self._put(last, name)
        made.type = made.type.with_range(low, high)
        return made

    def _put(self, op: Op, name: str) -> Value:
        value = self.graph.add(located(op, self.op), before=self.op, name=name)
        value.origin = self.op.result.origin or self.op.result.name
        return value
