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
        placed = [None if v is None else axes.get(v) for v in op.operands]
        made = _RULES.get(op.name, _independent)(op, placed, name)
        if isinstance(made, str):
            return Obstacle(op.results[0], made)
        axes.update((v, place) for v, place in zip(op.results, made, strict=True) if place)
    return axes


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


_RULES: dict[str, Callable[[Op, Placed, str], Sequence[BatchAxis | None] | str]] = {
    "tensor.transpose": _transpose,
    "tensor.reshape": _reshape,
    "tensor.expand": _expand,
    "tensor.shape": _shape,
}
"""Ops that move the batch axis; every other op is judged by its :meth:`Op.mixes`."""
