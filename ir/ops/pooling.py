"""Pools: one number for each window and channel, as ONNX defines them."""

from __future__ import annotations

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import (
    Mixes,
    base,
    digital,
    keep,
    want,
    want_float,
    want_rank,
    want_same,
)  # fmt: skip
from neutrams.ir.ops.normalization import wide
from neutrams.ir.ops.reductions import lowest
from neutrams.ir.types import Array, DType, TensorType
from neutrams.ir.windows import out_sizes, taps, windows


@base
class Pool(Op):
    """``x`` is ``[N, C, *sizes]``; ``pads`` holds all begins, then all ends."""

    x: Value = operand()
    kernel: tuple[int, ...] = attr()
    strides: tuple[int, ...] = attr(default=())
    pads: tuple[int, ...] = attr(default=())
    dilations: tuple[int, ...] = attr(default=())
    ceil_mode: bool = attr(default=False)

    def infer(self) -> TensorType:
        rank = 2 + len(self.kernel)
        shape = want_rank(self, self.x, rank, rank)
        geometry = (self.kernel, self.strides, self.pads, self.dilations)
        out = out_sizes(shape[2:], *geometry, ceil_mode=self.ceil_mode)
        return self.x.type.with_shape((*shape[:2], *out))

    def seen(self, x: Array, value: float = 0) -> Array:
        """Return ``[N, C, *kernel, *out]``; places outside hold ``value``."""
        geometry = (self.kernel, self.strides, self.pads, self.dilations)
        return windows(x, *geometry, value, ceil_mode=self.ceil_mode)

    def folded(self, x: Array, function: np.ufunc, value: float = 0) -> Array:
        """Return the elements of each window joined by a function, outside ones as ``value``."""
        seen = self.seen(x, value)
        places = [(slice(None), slice(None), *place) for place in np.ndindex(*self.kernel)]
        # In the order in which the input lies in memory: samples may lie innermost.
        y: Array = np.full_like(seen[places[0]], value)
        for place in places:
            function(y, seen[place], out=y)
        return y

    def mixes(self) -> Mixes:
        return (frozenset(range(2, self.x.type.rank)),)


@digital("nn.max_pool")
class MaxPool(Pool):
    """The largest element of each window; places outside the input never count."""

    def evaluate(self, x: Array) -> Array:
        return self.folded(x, np.maximum, lowest(x.dtype))


@digital("nn.max_pool_indices")
class MaxPoolIndices(Pool):
    """Where the largest element of each window lies, as its number in the whole input.

    ``column_major`` numbers the elements of one channel along the first spatial axis first.
    """

    column_major: bool = attr(default=False)

    def infer(self) -> TensorType:
        return super().infer().with_dtype(DType.I64)

    def evaluate(self, x: Array) -> Array:
        order = "F" if self.column_major else "C"
        each = np.arange(int(np.prod(x.shape[2:]))).reshape(x.shape[2:], order=order)  # type: ignore[call-overload]
        starts = np.arange(x.shape[0] * x.shape[1]) * each.size
        numbers = starts.reshape(*x.shape[:2], *(1,) * each.ndim) + each
        seen = self.seen(x, lowest(x.dtype))
        out = seen.shape[2 + len(self.kernel) :]
        flat = (*x.shape[:2], -1, *out)
        best = np.argmax(seen.reshape(flat), axis=2, keepdims=True)
        return np.take_along_axis(self.seen(numbers).reshape(flat), best, axis=2)[:, :, 0]

    def mixes(self) -> Mixes:
        return (frozenset(range(self.x.type.rank)),)


@digital("nn.average_pool")
class AveragePool(Pool):
    """The mean of each window, over places inside the input, or also over the padding."""

    count_include_pad: bool = attr(default=False)

    def infer(self) -> TensorType:
        want_float(self, self.x)
        return super().infer()

    def evaluate(self, x: Array) -> Array:
        geometry = (self.kernel, self.strides, self.pads, self.dilations)
        count = taps(x.shape[2:], *geometry, ceil_mode=self.ceil_mode,
                     include_pad=self.count_include_pad)  # fmt: skip
        with np.errstate(invalid="ignore"):
            return keep(self.folded(wide(x), np.add) / count, x)


@digital("nn.lp_pool")
class LpPool(Pool):
    """The ``p``-norm of each window."""

    p: int = attr(default=2)

    def infer(self) -> TensorType:
        want_float(self, self.x)
        want(self, self.p >= 1, f"no norm of order {self.p}")
        return super().infer()

    def evaluate(self, x: Array) -> Array:
        total = self.folded(np.power(np.abs(wide(x)), self.p), np.add)
        return keep(np.power(total, 1 / self.p), x)


@digital("nn.max_unpool")
class MaxUnpool(Op):
    """Zeros of the given sizes, with the elements of ``x`` where ``indices`` say.

    ``indices`` number the elements of a tensor of shape ``[N, C, *numbered]``.
    """

    x: Value = operand()
    indices: Value = operand()
    sizes: tuple[int, ...] = attr()
    numbered: tuple[int, ...] = attr(default=())

    def infer(self) -> TensorType:
        shape = want_rank(self, self.x, 3)
        for a, b in zip(shape, self.indices.type.shape, strict=True):
            want_same(self, a, b, "sizes of the values and of their places differ")
        want_same(self, len(self.sizes), len(shape) - 2, "sizes and spatial dimensions")
        return self.x.type.with_shape((*shape[:2], *self.sizes))

    def evaluate(self, x: Array, indices: Array) -> Array:
        sizes = (*x.shape[:2], *(self.numbered or self.sizes))
        y = np.zeros((*x.shape[:2], *self.sizes), x.dtype)
        y[np.unravel_index(indices, sizes)] = x
        return y
