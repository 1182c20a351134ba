"""Sums, extremes and other summaries along axes; running sums; softmax and its kin."""

from __future__ import annotations

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import (
    FloatUnary,
    Mixes,
    Unary,
    axes_of,
    axis_of,
    base,
    digital,
    keep,
    size_of,
    want,
)  # fmt: skip
from neutrams.ir.types import Array, DType, TensorType


@base
class Reduction(Op):
    """One result for all elements of ``x`` along ``axes``; no axes, no change of shape."""

    x: Value = operand()
    axes: tuple[int, ...] = attr()
    keepdims: bool = attr(default=True)

    def infer(self) -> TensorType:
        shape = self.x.type.shape
        gone = axes_of(self, self.axes, len(shape))
        kept = [
            1 if i in gone else d for i, d in enumerate(shape) if self.keepdims or i not in gone
        ]
        return self.x.type.with_shape(kept)

    def mixes(self) -> Mixes:
        rank = self.x.type.rank
        return (frozenset(axis % rank for axis in self.axes),)


@digital("nn.reduce_sum")
class ReduceSum(Reduction):
    def evaluate(self, x: Array) -> Array:
        return keep(np.sum(x, self.axes, keepdims=self.keepdims), x)


@digital("nn.reduce_mean")
class ReduceMean(Reduction):
    def evaluate(self, x: Array) -> Array:
        return keep(np.mean(x, self.axes, keepdims=self.keepdims), x)


@digital("nn.reduce_prod")
class ReduceProd(Reduction):
    def evaluate(self, x: Array) -> Array:
        return keep(np.prod(x, self.axes, keepdims=self.keepdims), x)


@digital("nn.reduce_max")
class ReduceMax(Reduction):
    def evaluate(self, x: Array) -> Array:
        return keep(np.max(x, self.axes, keepdims=self.keepdims, initial=lowest(x.dtype)), x)


@digital("nn.reduce_min")
class ReduceMin(Reduction):
    def evaluate(self, x: Array) -> Array:
        return keep(np.min(x, self.axes, keepdims=self.keepdims, initial=highest(x.dtype)), x)


@digital("nn.reduce_l1")
class ReduceL1(Reduction):
    def evaluate(self, x: Array) -> Array:
        return keep(np.sum(np.abs(x), self.axes, keepdims=self.keepdims), x)


@digital("nn.reduce_l2")
class ReduceL2(Reduction):
    def evaluate(self, x: Array) -> Array:
        return keep(np.sqrt(np.sum(np.square(x), self.axes, keepdims=self.keepdims)), x)


@digital("nn.reduce_sum_square")
class ReduceSumSquare(Reduction):
    def evaluate(self, x: Array) -> Array:
        return keep(np.sum(np.square(x), self.axes, keepdims=self.keepdims), x)


@digital("nn.reduce_log_sum")
class ReduceLogSum(Reduction):
    def evaluate(self, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return keep(np.log(np.sum(x, self.axes, keepdims=self.keepdims)), x)


@digital("nn.reduce_log_sum_exp")
class ReduceLogSumExp(Reduction):
    def evaluate(self, x: Array) -> Array:
        top = np.max(x, self.axes, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0)
        with np.errstate(divide="ignore"):
            found = np.log(np.sum(np.exp(x - top), self.axes, keepdims=True)) + top
        return keep(found if self.keepdims else np.squeeze(found, self.axes), x)


@base
class ArgExtreme(Op):
    """The index of the first (or last) extreme element along ``axis``."""

    x: Value = operand()
    axis: int = attr()
    keepdims: bool = attr(default=True)
    last: bool = attr(default=False)

    def infer(self) -> TensorType:
        shape = list(self.x.type.shape)
        axis = axis_of(self, self.axis, len(shape))
        shape[axis : axis + 1] = [1] if self.keepdims else []
        return TensorType(DType.I64, tuple(shape))

    def mixes(self) -> Mixes:
        return (frozenset({self.axis % self.x.type.rank}),)


@digital("nn.argmax")
class Argmax(ArgExtreme):
    def evaluate(self, x: Array) -> Array:
        if not self.last:
            return np.asarray(np.argmax(x, self.axis, keepdims=self.keepdims))
        flipped = np.argmax(np.flip(x, self.axis), self.axis, keepdims=self.keepdims)
        return np.asarray(x.shape[self.axis] - 1 - flipped)


@digital("nn.argmin")
class Argmin(ArgExtreme):
    def evaluate(self, x: Array) -> Array:
        if not self.last:
            return np.asarray(np.argmin(x, self.axis, keepdims=self.keepdims))
        flipped = np.argmin(np.flip(x, self.axis), self.axis, keepdims=self.keepdims)
        return np.asarray(x.shape[self.axis] - 1 - flipped)


@digital("nn.topk")
class Topk(Op):
    """The ``k`` largest (or smallest) elements along ``axis`` in order, and where they were.

    Of equal elements the one with the lower index comes first.
    """

    x: Value = operand()
    k: int = attr()
    axis: int = attr(default=-1)
    largest: bool = attr(default=True)

    def infer(self) -> tuple[TensorType, TensorType]:
        shape = list(self.x.type.shape)
        axis = axis_of(self, self.axis, len(shape))
        size = size_of(self, shape[axis], "the size to choose from")
        want(self, 0 <= self.k <= size, f"cannot choose {self.k} of {size}")
        shape[axis] = self.k
        values = self.x.type.with_shape(shape)
        return values, values.with_dtype(DType.I64)

    def evaluate(self, x: Array) -> tuple[Array, Array]:
        if self.largest:
            order = np.flip(np.argsort(np.flip(x, self.axis), self.axis, kind="stable"), self.axis)
            order = x.shape[self.axis] - 1 - order
        else:
            order = np.argsort(x, self.axis, kind="stable")
        chosen = np.take(order, np.arange(self.k), self.axis)
        return np.take_along_axis(x, chosen, self.axis), chosen

    def mixes(self) -> Mixes:
        return (frozenset({self.axis % self.x.type.rank}),)


@base
class Running(Unary):
    """Element ``i`` summarises elements up to ``i`` (below ``i`` where ``exclusive``)."""

    axis: int = attr()
    exclusive: bool = attr(default=False)
    reverse: bool = attr(default=False)

    def infer(self) -> TensorType:
        axis_of(self, self.axis, self.x.type.rank)
        return self.x.type

    def run(self, x: Array, function: np.ufunc, neutral: int) -> Array:
        x = np.flip(x, self.axis) if self.reverse else x
        if self.exclusive:
            first = np.full_like(np.take(x, [0], self.axis), neutral)
            kept = np.take(x, np.arange(x.shape[self.axis] - 1), self.axis)
            x = np.concatenate([first, kept], self.axis)
        y = function.accumulate(x, self.axis)
        return keep(np.flip(y, self.axis) if self.reverse else y, x)

    def mixes(self) -> Mixes:
        return (frozenset({self.axis % self.x.type.rank}),)


@digital("nn.cumsum")
class Cumsum(Running):
    def evaluate(self, x: Array) -> Array:
        return self.run(x, np.add, 0)


@digital("nn.cumprod")
class Cumprod(Running):
    def evaluate(self, x: Array) -> Array:
        return self.run(x, np.multiply, 1)


@base
class AlongAxis(FloatUnary):
    """``x`` normalised along one axis, every other position by itself."""

    axis: int = attr(default=-1)

    def infer(self) -> TensorType:
        axis_of(self, self.axis, self.x.type.rank)
        return super().infer()

    def mixes(self) -> Mixes:
        return (frozenset({self.axis % max(self.x.type.rank, 1)}),)


@digital("nn.softmax")
class Softmax(AlongAxis):
    def evaluate(self, x: Array) -> Array:
        e = np.exp(x - np.max(x, self.axis, keepdims=True, initial=-np.inf))
        return keep(e / np.sum(e, self.axis, keepdims=True), x)


@digital("nn.log_softmax")
class LogSoftmax(AlongAxis):
    def evaluate(self, x: Array) -> Array:
        shifted = x - np.max(x, self.axis, keepdims=True, initial=-np.inf)
        return keep(shifted - np.log(np.sum(np.exp(shifted), self.axis, keepdims=True)), x)


@digital("nn.hardmax")
class Hardmax(AlongAxis):
    """One at the first largest element along the axis, zero elsewhere."""

    def evaluate(self, x: Array) -> Array:
        y = np.zeros_like(x)
        np.put_along_axis(y, np.argmax(x, self.axis, keepdims=True), 1, self.axis)
        return y


def lowest(dtype: np.dtype[np.generic]) -> float | bool:
    """Return the smallest number of a type."""
    if dtype.kind == "b":
        return False
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)  # type: ignore[type-var]


def highest(dtype: np.dtype[np.generic]) -> float | bool:
    """Return the largest number of a type."""
    if dtype.kind == "b":
        return True
    return np.inf if dtype.kind == "f" else int(np.iinfo(dtype).max)  # type: ignore[type-var]
