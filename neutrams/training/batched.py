"""Run ops over all calibration samples, a part of them at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from neutrams.ir.batching import Axes, BatchAxis, Obstacle, spread
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.types import Array, Symbol, quotient, symbol
from neutrams.training.executor import execute
from neutrams.training.run import Run, to_tensor

PART = 64
"""Samples run at a time."""


class Samples:
    """Where the values of a graph keep the samples, and which ops look at several at once.

    Args:
        graph: one whose inputs have samples along their first axis.
        count: how many samples there are.
        extra: ops that go on from its values.
    """

    def __init__(self, graph: Graph, count: int, extra: Sequence[Op] = ()) -> None:
        self.count = count
        self.mixing: set[Op] = set()
        """Ops that mix samples, such as a run whose steps they are."""
        self._axes: Axes = {}
        firsts = [(v, v.type.shape[0]) for v in graph.inputs if v.type.rank]
        symbols = [(v, dim.names) for v, dim in firsts if isinstance(dim, Symbol)]
        if not symbols:
            return
        self._name = symbols[0][1][0]
        self._axes |= {v: BatchAxis(0) for v, names in symbols if names == (self._name,)}
        for op in (*graph.ops, *extra):
            self._follow(op)

    def _follow(self, op: Op) -> None:
        if not any(value in self._axes for value in op.present):
            return
        found = spread(op, self._axes, self._name)
        if isinstance(found, Obstacle):
            self.mixing.add(op)
            found = {v: BatchAxis(axis) for v in op.results for axis in self._named(v)[:1]}
        self._axes |= found

    def _named(self, value: Value) -> list[int]:
        wanted = symbol(self._name)
        return [axis for axis, dim in enumerate(value.type.shape) if dim == wanted]

    def axis(self, value: Value) -> int | None:
        """Return the axis along which a value has samples one after another, if it has them so."""
        place = self._axes.get(value)
        if place is None:
            return None
        each = quotient(value.type.shape[place.axis], symbol(self._name))
        return place.axis if each == place.inner else None

    def has(self, value: Value) -> bool:
        """Whether a value has samples, one after another or not."""
        return value in self._axes

    def pick(self, value: Value, tensor: Tensor, which: Tensor) -> Tensor:
        """Return the samples of given numbers of a value; all of it where it has none."""
        axis = self.axis(value)
        if axis is None:
            return tensor
        each = tensor.shape[axis] // self.count
        if each > 1:
            inner = torch.arange(each, device=which.device)
            which = (which[:, None] * each + inner).reshape(-1)
        return tensor.index_select(axis, which)

    def take(self, values: Mapping[Value, Tensor], which: Tensor) -> dict[Value, Tensor]:
        """Return the samples of given numbers of each value."""
        return {value: self.pick(value, tensor, which) for value, tensor in values.items()}

    def first(self, value: Value, tensor: Tensor) -> Tensor:
        """Return a value with its samples along the first axis; as it is where it has none."""
        axis = self.axis(value)
        if axis is None:
            return tensor
        moved = tensor.movedim(axis, 0)
        each = value.type.shape[axis]
        assert isinstance(each, Symbol)
        return moved if each.factor == 1 else moved.reshape(-1, each.factor, *moved.shape[1:])

    def part(self, value: Value, tensor: Tensor, begin: int, size: int) -> Tensor:
        """Return neighbouring samples of a value, without a copy."""
        axis = self.axis(value)
        if axis is None:
            return tensor
        each = tensor.shape[axis] // self.count
        return tensor.narrow(axis, begin * each, size * each)

    def apart(self, values: Iterable[Value]) -> bool:
        """Whether each value that has samples has them one after another."""
        return all(self.axis(value) is not None for value in values if value in self._axes)


def run_ops(
    ops: Sequence[Op],
    live: Mapping[Value, Tensor],
    wanted: Collection[Value],
    run: Run,
    samples: Samples,
) -> dict[Value, Tensor]:
    """Return the wanted values that ops make of ``live``, for all samples, without gradients."""
    needed = [v for v in dict.fromkeys(x for op in ops for x in op.present) if v in live]
    parts: dict[Value, list[Tensor]] = {value: [] for value in wanted if value not in live}
    whole = any(op in samples.mixing for op in ops) or not samples.apart((*needed, *parts))
    step = samples.count if whole else PART
    with torch.no_grad():
        for begin in range(0, samples.count, step):
            size = min(step, samples.count - begin)
            part = {v: samples.part(v, live[v], begin, size) for v in needed}
            _run_part(ops, part, parts, run)
    made = {
        v: found[0] if (axis := samples.axis(v)) is None or whole else torch.cat(found, dim=axis)
        for v, found in parts.items()
    }
    return {**made, **{v: live[v] for v in wanted if v in live}}


def _run_part(
    ops: Sequence[Op], part: dict[Value, Tensor], parts: dict[Value, list[Tensor]], run: Run
) -> None:
    reads = Counter(value for op in ops for value in op.present)
    for op in ops:
        execute([op], part, run)
        for value in op.results:
            if value in parts:
                parts[value].append(part[value].contiguous())
        for value in dict.fromkeys((*op.present, *op.results)):
            reads[value] -= op.operands.count(value)
            if not reads[value] and not isinstance(value, Weight):
                part.pop(value, None)


def graph_inputs(graph: Graph, data: Mapping[str, Array], device: str) -> dict[Value, Tensor]:
    """Return the graph's inputs as tensors."""
    return {
        v: to_tensor(data[v.name].astype(v.type.dtype.numpy, copy=False), device)
        for v in graph.inputs
    }
