"""Gathering, scattering and marking elements by index. Negative indices count from the end."""

from __future__ import annotations

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import (
    NONE,
    Mixes,
    Unary,
    axis_of,
    digital,
    same_dtype,
    size_of,
    want,
    want_rank,
    want_same,
)  # fmt: skip
from neutrams.ir.types import Array, DType, TensorType

_REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


@digital("tensor.gather")
class Gather(Op):
    """Slices of ``x`` along ``axis``; the axes of ``indices`` take that axis' place."""

    x: Value = operand()
    indices: Value = operand()
    axis: int = attr(default=0)

    def infer(self) -> TensorType:
        shape = want_rank(self, self.x, 1)
        _want_indices(self, self.indices)
        axis = axis_of(self, self.axis, len(shape))
        return self.x.type.with_shape((*shape[:axis], *self.indices.type.shape, *shape[axis + 1 :]))

    def evaluate(self, x: Array, indices: Array) -> Array:
        return np.take(x, indices.astype(np.int64), axis=self.axis)

    def mixes(self) -> Mixes:
        return (frozenset({self.axis % self.x.type.rank}), NONE)


@digital("tensor.gather_elements")
class GatherElements(Op):
    """``x`` at each position of ``indices``, but for ``axis``, where the index says."""

    x: Value = operand()
    indices: Value = operand()
    axis: int = attr(default=0)

    def infer(self) -> TensorType:
        shape = want_rank(self, self.x, 1)
        _want_indices(self, self.indices)
        want_same(self, self.indices.type.rank, len(shape), "ranks of data and indices differ")
        axis_of(self, self.axis, len(shape))
        return self.x.type.with_shape(self.indices.type.shape)

    def evaluate(self, x: Array, indices: Array) -> Array:
        axis = self.axis % x.ndim
        cut = (slice(None) if i == axis else slice(d) for i, d in enumerate(indices.shape))
        return np.take_along_axis(x[tuple(cut)], _wrapped(indices, x.shape[axis]), axis)

    def mixes(self) -> Mixes:
        shape, picked = self.x.type.shape, self.indices.type.shape
        cut = {i for i, (d, p) in enumerate(zip(shape, picked, strict=True)) if d != p}
        return (frozenset(cut | {self.axis % len(shape)}), NONE)


@digital("tensor.gather_nd")
class GatherNd(Op):
    """Elements or slices of ``x`` at index tuples along the last axis of ``indices``.

    The first ``batch_dims`` axes are shared by both.
    """

    x: Value = operand()
    indices: Value = operand()
    batch_dims: int = attr(default=0)

    def infer(self) -> TensorType:
        shape, places = want_rank(self, self.x, 1), want_rank(self, self.indices, 1)
        _want_indices(self, self.indices)
        depth = self.batch_dims + size_of(self, places[-1], "the length of an index")
        want(self, depth <= len(shape), f"indices reach {depth} dimensions deep")
        for i in range(self.batch_dims):
            want_same(self, places[i], shape[i], "batch sizes of data and indices differ")
        return self.x.type.with_shape((*places[:-1], *shape[depth:]))

    def evaluate(self, x: Array, indices: Array) -> Array:
        shared = self.batch_dims
        sizes = indices.shape[shared:-1]
        grid = np.ogrid[tuple(slice(d) for d in x.shape[:shared])]
        batch = [g.reshape(g.shape + (1,) * len(sizes)) for g in grid]
        index = [indices[..., i].astype(np.int64) for i in range(indices.shape[-1])]
        return np.asarray(x[(*batch, *index)])

    def mixes(self) -> Mixes:
        rank = self.indices.type.rank
        return (frozenset(range(self.batch_dims, self.x.type.rank)), frozenset({rank - 1}))


@digital("tensor.scatter_elements")
class ScatterElements(Op):
    """``x`` with ``updates`` put, or merged, where ``indices`` say along ``axis``."""

    x: Value = operand()
    indices: Value = operand()
    updates: Value = operand()
    axis: int = attr(default=0)
    reduction: str = attr(default="none")

    def infer(self) -> TensorType:
        shape = want_rank(self, self.x, 1)
        _check_scatter(self, self.x, self.indices, self.updates, self.reduction)
        want_same(self, self.indices.type.rank, len(shape), "ranks of data and indices differ")
        axis_of(self, self.axis, len(shape))
        return self.x.type

    def evaluate(self, x: Array, indices: Array, updates: Array) -> Array:
        axis = self.axis % x.ndim
        index: list[Array] = [np.asarray(places) for places in np.indices(indices.shape)]
        index[axis] = _wrapped(indices, x.shape[axis])
        return _scattered(x, tuple(index), updates, self.reduction)

    def mixes(self) -> Mixes | None:
        return None


@digital("tensor.scatter_nd")
class ScatterNd(Op):
    """``x`` with ``updates`` put, or merged, at index tuples along the last axis of ``indices``."""

    x: Value = operand()
    indices: Value = operand()
    updates: Value = operand()
    reduction: str = attr(default="none")

    def infer(self) -> TensorType:
        places = want_rank(self, self.indices, 1)
        _check_scatter(self, self.x, self.indices, self.updates, self.reduction)
        depth = size_of(self, places[-1], "the length of an index")
        want(self, depth <= self.x.type.rank, f"indices reach {depth} dimensions deep")
        rest = self.x.type.shape[depth:]
        if self.updates.type.shape != (*places[:-1], *rest):
            raise self.fault("NT0107", f"updates `{self.updates.type}` do not fit the indices")
        return self.x.type

    def evaluate(self, x: Array, indices: Array, updates: Array) -> Array:
        index = tuple(_wrapped(indices[..., i], x.shape[i]) for i in range(indices.shape[-1]))
        return _scattered(x, index, updates, self.reduction)

    def mixes(self) -> Mixes | None:
        return None


@digital("tensor.update")
class Update(Op):
    """``cache`` with ``x`` written along ``axis``, from the start given for each sample.

    With ``circular`` what goes beyond the end goes on at the start.
    """

    cache: Value = operand()
    x: Value = operand()
    starts: Value | None = operand(default=None)
    axis: int = attr(default=-2)
    circular: bool = attr(default=False)

    def infer(self) -> TensorType:
        same_dtype(self, self.cache, self.x)
        rank = len(want_rank(self, self.cache, 2))
        axis = axis_of(self, self.axis, rank)
        want(self, axis != 0, "the samples' axis cannot be written along")
        for i, (a, b) in enumerate(zip(self.cache.type.shape, self.x.type.shape, strict=True)):
            if i != axis:
                want_same(self, a, b, f"sizes of axis {i} differ")
        return self.cache.type

    def evaluate(self, cache: Array, x: Array, starts: Array | None = None) -> Array:
        y = np.array(cache)
        moved, new = np.moveaxis(y, self.axis, 1), np.moveaxis(x, self.axis, 1)
        first = np.zeros(len(x), np.int64) if starts is None else starts.astype(np.int64)
        places = first[:, None] + np.arange(new.shape[1])
        if self.circular:
            places = places % moved.shape[1]
        moved[np.arange(len(x))[:, None], places] = new
        return y

    def mixes(self) -> Mixes:
        axes = frozenset({self.axis % self.cache.type.rank})
        return (axes, axes, NONE)


@digital("tensor.one_hot")
class OneHot(Op):
    """``values[1]`` where the new ``axis``' position is the index, ``values[0]`` elsewhere."""

    indices: Value = operand()
    values: Value = operand()
    depth: int = attr()
    axis: int = attr(default=-1)

    def infer(self) -> TensorType:
        shape = self.indices.type.shape
        axis = axis_of(self, self.axis, len(shape) + 1)
        return self.values.type.with_shape((*shape[:axis], self.depth, *shape[axis:]))

    def evaluate(self, indices: Array, values: Array) -> Array:
        axis = self.axis % (indices.ndim + 1)
        places = np.arange(self.depth).reshape(-1, *(1,) * (indices.ndim - axis))
        known = (indices >= -self.depth) & (indices < self.depth)
        hit = np.expand_dims(np.where(known, np.mod(indices, self.depth), -1), axis) == places
        return np.asarray(np.where(hit, values[1], values[0]))

    def mixes(self) -> Mixes:
        return (NONE, frozenset({0}))


@digital("tensor.trilu")
class Trilu(Unary):
    """The last two axes with zeros below (``upper``) or above the ``k``-th diagonal."""

    upper: bool = attr(default=True)
    k: int = attr(default=0)

    def infer(self) -> TensorType:
        want_rank(self, self.x, 2)
        return self.x.type

    def evaluate(self, x: Array) -> Array:
        return np.triu(x, self.k) if self.upper else np.tril(x, self.k)

    def mixes(self) -> Mixes:
        rank = self.x.type.rank
        return (frozenset({rank - 2, rank - 1}),)


def _want_indices(op: Op, value: Value) -> None:
    if value.type.dtype.is_float or value.type.dtype is DType.BOOL:
        raise op.fault("NT0105", f"indices must be integers, got `{value.type}`")


def _check_scatter(op: Op, x: Value, indices: Value, updates: Value, reduction: str) -> None:
    _want_indices(op, indices)
    same_dtype(op, x, updates)
    want(op, reduction == "none" or reduction in _REDUCTIONS, f"no reduction `{reduction}`")


def _wrapped(indices: Array, size: int) -> Array:
    wide = indices.astype(np.int64)
    return np.where(wide < 0, wide + size, wide)


def _scattered(x: Array, index: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    y = np.array(x)
    if reduction == "none":
        y[index] = updates
    else:
        _REDUCTIONS[reduction].at(y, index, updates)
    return y
