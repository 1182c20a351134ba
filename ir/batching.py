"""Proves that a graph treats every sample of a batch by itself.

A value *carries* a batch ``N`` if one of its axes has size ``outer × N × inner`` and the element at
index ``i`` of that axis belongs to sample ``(i // inner) % N``. An op is independent if each result
element of a sample is computed from elements of that sample, and of values that carry no batch,
just as it would be with ``N = 1``. By induction over the ops the graph then computes, for each
sample, what it computes for a batch of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.time import SAME, Next, Run, State
from neutrams.ir.types import Dim, Shape, Symbol, product, quotient, symbol, times


@dataclass(frozen=True, slots=True)
class BatchAxis:
    """Where a value keeps its samples."""

    axis: int
    inner: Dim = 1
    """Neighbours along the axis that belong to one sample."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why independence cannot be shown."""

    value: Value
    reason: str

    def __str__(self) -> str:
        made = f" (`{self.value.op.name}`)" if self.value.op is not None else ""
        return f"`{self.value.origin or self.value.name}`{made} {self.reason}"


Axes = dict[Value, BatchAxis]
"""The values that carry the batch, and where; all others are the same for every sample."""

Placed = Sequence[BatchAxis | None]


def batch_axes(graph: Graph, name: str) -> Axes | Obstacle:
    """Return where every value keeps the samples of the batch ``name``, or what prevents that.

    The batch starts at the inputs whose types have the symbol as a size.
    """
    axes: Axes = {}
    for value in graph.inputs:
        found = _places(value.type.shape, name)
        if len(found) > 1 or (found and value.type.shape[found[0]] != symbol(name)):
            return Obstacle(value, f"has no single axis of size `{name}`")
        if found:
            axes[value] = BatchAxis(found[0])
    for op in graph.ops:
        made = spread(op, axes, name)
        if isinstance(made, Obstacle):
            return made
        axes |= made
    return axes


def spread(op: Op, axes: Axes, name: str) -> Axes | Obstacle:
    """Return where the results of one op keep samples, given where its operands do."""
    placed = [None if v is None else axes.get(v) for v in op.operands]
    made = _RULES.get(op.name, _independent)(op, placed, name)
    if isinstance(made, str):
        return Obstacle(op.results[0], made)
    return {v: place for v, place in zip(op.results, made, strict=True) if place}


def _places(shape: Shape, name: str) -> list[int]:
    """Return the axes whose size the symbol is part of."""
    return [i for i, d in enumerate(shape) if isinstance(d, Symbol) and name in d.names]


def _independent(op: Op, placed: Placed, name: str) -> Sequence[BatchAxis | None] | str:
    """Judge an op that keeps the order of elements along every axis it does not mix."""
    carried = [(i, place) for i, place in enumerate(placed) if place is not None]
    if not carried:
        grows = any(_places(value.type.shape, name) for value in op.results)
        return f"depends on the size of `{name}`" if grows else [None] * len(op.results)
    mixes = op.mixes()
    if mixes is None:
        return "may mix samples"
    for index, place in carried:
        if place.axis in _mixed(op, mixes, index):
            return f"mixes samples: they lie along axis {place.axis} of operand {index}"
    if len({place.inner for _, place in carried}) > 1:
        return "meets samples in different orders"
    return _kept(op, carried, name)


def _kept(
    op: Op, carried: Sequence[tuple[int, BatchAxis]], name: str
) -> Sequence[BatchAxis | None] | str:
    """Place the results of an op whose operands' batch axes go through it as they are."""
    sizes = {_size(op.operands[index], place) for index, place in carried}
    made: list[BatchAxis | None] = []
    for value in op.results:
        axes = _places(value.type.shape, name)
        if len(axes) != 1 or {value.type.shape[axes[0]]} != sizes:
            return "does not keep samples along one axis"
        made.append(BatchAxis(axes[0], carried[0][1].inner))
    return made


def _size(value: Value | None, place: BatchAxis) -> Dim:
    assert value is not None
    return value.type.shape[place.axis]


def _mixed(op: Op, mixes: Sequence[frozenset[int]], index: int) -> frozenset[int]:
    """Return the axes an operand mixes, counted from the front."""
    value = op.operands[index]
    assert value is not None
    axes = mixes[index] if index < len(mixes) else frozenset(range(value.type.rank))
    return frozenset(axis % max(value.type.rank, 1) for axis in axes)


def _transpose(op: Op, placed: Placed, name: str) -> Sequence[BatchAxis | None] | str:
    place = placed[0]
    if place is None:
        return _independent(op, placed, name)
    permutation: tuple[int, ...] = op.attributes()["permutation"]
    rank = len(permutation)
    return [BatchAxis([p % rank for p in permutation].index(place.axis), place.inner)]


def _reshape(op: Op, placed: Placed, name: str) -> Sequence[BatchAxis | None] | str:
    """Find the axis that holds the batch digit of an element's number in row-major order.

    The sample of the element numbered ``f`` is ``(f // stride) % N``.
    """
    place = placed[0]
    if place is None:
        return _independent(op, placed, name)
    old, new = next(op.present).type.shape, op.result.type.shape
    stride = times(place.inner, product(old[place.axis + 1 :]))
    for axis in _places(new, name):
        inner = quotient(stride, product(new[axis + 1 :]))
        if inner is not None and quotient(new[axis], times(inner, symbol(name))) is not None:
            return [BatchAxis(axis, inner)]
    return "tears samples apart"


def _expand(op: Op, placed: Placed, name: str) -> Sequence[BatchAxis | None] | str:
    """Copies along a new axis are the same for every sample, so that axis may be the batch."""
    source, result = next(op.present).type, op.result.type
    axes = _places(result.shape, name)
    place = placed[0]
    if place is not None:
        axis = place.axis + result.rank - source.rank
        return [BatchAxis(axis, place.inner)] if axes == [axis] else "repeats samples"
    if not axes:
        return [None]
    if len(axes) > 1 or result.shape[axes[0]] != symbol(name):
        return f"depends on the size of `{name}`"
    return [BatchAxis(axes[0])]


def _shape(op: Op, placed: Placed, name: str) -> Sequence[BatchAxis | None] | str:
    if _places(next(op.present).type.shape, name):
        return f"computes with the size of `{name}`"
    return [None]


def _run(op: Op, placed: Placed, name: str) -> Sequence[BatchAxis | None] | str:
    """Follow one step of a run; states hold samples where their shape says so."""
    assert isinstance(op, Run)
    axes: Axes = {}
    for value, place, over in zip(op.cell.inputs, placed, op.over, strict=True):
        if place is not None and place.axis == over:
            return f"mixes samples: it steps along axis {over}, where they lie"
        if place is not None:
            axes[value] = BatchAxis(place.axis - (SAME < over < place.axis), place.inner)
    for step in (each for each in op.cell.ops if not isinstance(each, Next)):
        found = _state(step, name) if isinstance(step, State) else spread(step, axes, name)
        if isinstance(found, Obstacle):
            return f"calls `@{op.cell.name}`, where {found}"
        axes |= found
    for step in op.cell.ops:
        if isinstance(step, Next) and axes.get(step.value) != _slot(op.cell, step.slot, axes):
            return f"keeps samples in another place from step to step, in slot `{step.slot}`"
    return [_stacked(axes.get(v), axis) for v, axis in zip(op.cell.outputs, op.stack, strict=True)]


def _state(op: State, name: str) -> Axes | Obstacle:
    found = _places(op.shape, name)
    if len(found) > 1 or (found and op.shape[found[0]] != symbol(name)):
        return Obstacle(op.result, f"has no single axis of size `{name}`")
    return {op.result: BatchAxis(found[0])} if found else {}


def _slot(cell: Graph, slot: str, axes: Axes) -> BatchAxis | None:
    reads = (op for op in cell.ops if isinstance(op, State) and op.slot == slot)
    return next((axes.get(op.result) for op in reads), None)


def _stacked(place: BatchAxis | None, axis: int) -> BatchAxis | None:
    if place is None or axis == SAME:
        return place
    return BatchAxis(place.axis + (axis <= place.axis), place.inner)


_RULES: dict[str, Callable[[Op, Placed, str], Sequence[BatchAxis | None] | str]] = {
    "tensor.transpose": _transpose,
    "tensor.reshape": _reshape,
    "tensor.expand": _expand,
    "tensor.shape": _shape,
    "time.run": _run,
}
"""Ops that move the batch axis; every other op is judged by its :meth:`Op.mixes`."""
