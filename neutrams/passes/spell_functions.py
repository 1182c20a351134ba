"""``spell-functions``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from neutrams.ir.functions import has, lacks
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import Clip, Prelu, Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add, Div, Maximum, Minimum, Mul, Sub
from neutrams.ir.ops.normalization import LayerNorm
from neutrams.ir.ops.pooling import AveragePool, MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.reductions import LogSoftmax, ReduceMean, ReduceSum, Softmax
from neutrams.ir.ops.tensors import Concat, Reshape, Transpose
from neutrams.ir.ops.unary import Exp, Log, Neg, Reciprocal
from neutrams.ir.target import Target
from neutrams.ir.types import Array, Dim, DType
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import channel_vector, constant, located
from neutrams.passes.pooled import pools_all

NEGLIGIBLE = 6.0
"""What is by so many nats below a softmax's largest input, all together, counts one part in 400."""
LEAST_RATIO = -5.0
"""The logarithm of what a layer norm makes in place of numbers nearer to 0: 1/150."""


@dataclass(frozen=True)
class SpellFunctions(Pass):
    """Spell what a chip lacks, of several elements each, in products and element-wise functions.

    Softmax and layer norm become sums by matrices of ones, and functions of one number; maxima
    become ReLUs of differences, averages convolutions. What a function of one number becomes is
    decided once its integers are known. Exact but for float rounding, and for what hardly counts in
    a softmax or a layer norm; nothing is done for a chip that has the function.
    """

    name: ClassVar[str] = "spell-functions"
    takes: ClassVar = ("nn",)
    descends: ClassVar[bool] = True
    rms_bound: ClassVar[float] = 0.02

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        target, changed = ctx.target, False
        if target is None:
            return False
        while any(self._spell(graph, op, target, ctx) for op in list(graph.ops)):
            changed = True
        if changed:
            graph.prune()
        return changed

    def _spell(self, graph: Graph, op: Op, target: Target, ctx: PassContext) -> bool:
        spell = _rule(op, target)
        if spell is None:
            return False
        made = Speller(graph, op)
        name = op.result.name
        value = spell(made)
        ctx.remark(op, f"spelled in {made.count} ops that the chip has")
        graph.replace_value(op.result, value)
        graph.erase(op)
        graph.rename(value, name)
        return True


def _rule(op: Op, target: Target) -> Callable[[Speller], Value] | None:
    """Return how to spell an op, if the chip lacks it and there is a way."""
    match op:
        case AveragePool() if not has(target, "average_pool") and _plain(op):
            return lambda made: made.averaged(op)
        case ReduceMean(x=x) if not has(target, "average_pool") and pools_all(op):
            return lambda made: made.shaped(made.mean_of_all(x), op.result.type.shape)
    if not lacks(target, op):
        return None
    match op:
        case Div(a=a, b=b) if _two_tensors(a, b):
            return lambda made: made.put(Mul(a, made.put(Reciprocal(b))))
        case Maximum(a=a, b=b) if _two_tensors(a, b):
            return lambda made: made.put(Add(b, made.put(Relu(made.put(Sub(a, b))))))
        case Minimum(a=a, b=b) if _two_tensors(a, b):
            return lambda made: made.put(Sub(a, made.put(Relu(made.put(Sub(a, b))))))
        case Prelu(x=x, slope=slope) if (slopes := _by_channel(slope, x)) is not None:
            return lambda made: made.two_sided(x, slopes)
        case Softmax(x=x) | LogSoftmax(x=x):
            return lambda made: made.softmax(x, op.axis, log=isinstance(op, LogSoftmax))
        case LayerNorm() if op.axis % op.x.type.rank == op.x.type.rank - 1:
            scale, bias = constant(op.scale), constant(op.bias)
            if scale is not None and (op.bias is None or bias is not None):
                return lambda made: made.normed(op, scale, bias)
        case ReduceSum(x=x) | ReduceMean(x=x) if [a % x.type.rank for a in op.axes] == [
            x.type.rank - 1
        ]:
            mean = isinstance(op, ReduceMean)
            return lambda made: made.shaped(made.total(x, mean=mean), op.result.type.shape)
    return None


class Speller:
    """Ops put before another one."""

    def __init__(self, graph: Graph, before: Op) -> None:
        self.graph, self.before, self.count = graph, before, 0

    def put(self, op: Op) -> Value:
        self.count += 1
        name = f"{self.before.result.name}.{op.name.partition('.')[2]}"
        return self.graph.add(located(op, self.before), before=self.before, name=name)

    def const(self, numbers: Array) -> Value:
        return self.graph.weight(f"{self.before.result.name}.held", numbers.astype(np.float32))

    def shaped(self, value: Value, shape: tuple[Dim, ...]) -> Value:
        return value if value.type.shape == shape else self.put(Reshape(value, shape=shape))

    def averaged(self, op: AveragePool) -> Value:
        channels = op.x.type.shape[1]
        assert isinstance(channels, int)
        w = np.full((channels, 1, *op.kernel), 1 / prod(op.kernel))
        made = Conv(
            op.x,
            self.const(w),
            strides=op.strides,
            pads=op.pads,
            dilations=op.dilations,
            groups=channels,
        )
        return self.put(made)

    def mean_of_all(self, x: Value) -> Value:
        channels, *sizes = (dim for dim in x.type.shape[1:] if isinstance(dim, int))
        w = np.full((channels, 1, *sizes), 1 / prod(sizes))
        return self.put(Conv(x, self.const(w), groups=channels))

    def total(self, x: Value, *, mean: bool = False) -> Value:
        """Return the sums, or means, along the last axis, which stays with size 1."""
        size = _size(x)
        return self.put(Matmul(x, self.const(np.full((size, 1), 1 / size if mean else 1.0))))

    def by_channel(self, x: Value, w: Array, b: Array | None = None) -> Value:
        """Return a convolution of windows of one place, each channel by itself."""
        bias = None if b is None else self.const(b)
        return self.put(Conv(x, self.const(w), bias, groups=len(w)))

    def two_sided(self, x: Value, slopes: Array) -> Value:
        """Return ``relu(x) - slope · relu(-x)``, channels along the second axis."""
        batch, channels, *sizes = shape = x.type.shape
        assert isinstance(channels, int)
        sizes = sizes or [1]
        above = self.put(Relu(x))
        below = self.put(Relu(self.put(Neg(x))))
        apart = tuple(
            self.put(Reshape(v, shape=(batch, channels, 1, *sizes))) for v in (above, below)
        )
        both = self.put(
            Reshape(self.put(Concat(apart, axis=2)), shape=(batch, 2 * channels, *sizes))
        )
        w = np.stack([np.ones(channels), -slopes], axis=1).reshape(channels, 2, *[1] * len(sizes))
        return self.shaped(self.by_channel(both, w), shape)

    def softmax(self, x: Value, axis: int, *, log: bool) -> Value:
        """Return ``exp(d - log Σ exp d)`` with ``d`` what lies below the maximum.

        What is so far below that all together hardly count is held to where that begins, for the
        sake of finer steps.
        """
        rank = x.type.rank
        order = [a for a in range(rank) if a != axis % rank] + [axis % rank]
        turned = order != list(range(rank))
        if turned:
            x = self.put(Transpose(x, permutation=tuple(order)))
        below = self.put(Sub(x, self._largest(x)))
        if not log:
            below = self.put(Clip(below, low=-NEGLIGIBLE - float(np.log(_size(x, axis=-1)))))
        size = self.put(Log(self.total(self.put(Exp(below)))))
        y = self.put(Sub(below, size))
        y = y if log else self.put(Exp(y))
        return (
            self.put(Transpose(y, permutation=tuple(np.argsort(order).tolist()))) if turned else y
        )

    def _largest(self, x: Value) -> Value:
        shape = x.type.shape
        batch, rest = shape[0], shape[1:-1]
        image = (batch, 1, shape[-1]) if not rest else (batch, *rest, shape[-1])
        kernel = (1,) * (len(image) - 3) + (_size(x),)
        largest = self.put(MaxPool(self.shaped(x, image), kernel=kernel))
        return self.shaped(largest, (*shape[:-1], 1))

    def _over_root(self, x: Value, square: Value, size: int, epsilon: float) -> Value:
        """Return ``x / sqrt(square)``, ``square`` the mean of ``size`` squares, by logarithms.

        Each sign by itself. That takes no product of two tensors, and steps of a logarithm are a
        part of the number, so that a small divisor is held as exactly as a large one.
        """
        root = self.put(Mul(self.put(Log(square)), self.const(np.array(0.5))))
        least, most = float(np.sqrt(epsilon)), float(np.log(size)) / 2
        sides = []
        for side in (x, self.put(Neg(x))):
            log = self.put(Log(self.put(Clip(side, low=least))))
            ratio = self.put(Clip(self.put(Sub(log, root)), low=LEAST_RATIO, high=most))
            sides.append(self.put(Exp(ratio)))
        return self.put(Sub(*sides))

    def normed(self, op: LayerNorm, scale: Array, bias: Array | None) -> Value:
        """Return a layer norm over the last axis."""
        x, size = op.x, _size(op.x)
        apart = self.put(Matmul(x, self.const(np.eye(size) - 1 / size)))
        variance = self.total(self.put(Mul(apart, apart)), mean=True)
        safe = self.put(Add(variance, self.const(np.array(op.epsilon))))
        y = self._over_root(apart, safe, size, op.epsilon)
        scale = np.broadcast_to(scale, (size,))
        shift = None if bias is None else np.broadcast_to(bias, (size,))
        if (scale == 1).all() and (shift is None or not shift.any()):
            return y
        rank = x.type.rank
        order = (0, rank - 1, *range(1, rank - 1))
        y = self.put(Transpose(y, permutation=order)) if rank > 2 else y
        kept = y.type.shape
        if rank == 2:
            y = self.put(Reshape(y, shape=(*kept, 1)))
        y = self.by_channel(y, scale.reshape(size, *[1] * (y.type.rank - 1)), shift)
        back = (0, *range(2, rank), 1)
        return self.put(Transpose(y, permutation=back)) if rank > 2 else self.shaped(y, kept)


def _two_tensors(a: Value, b: Value) -> bool:
    return constant(a) is None and constant(b) is None and a.type.dtype is DType.F32


def _plain(op: AveragePool) -> bool:
    """Whether every window counts as many places."""
    return not op.ceil_mode and (op.count_include_pad or not any(op.pads))


def _by_channel(slope: Value, x: Value) -> Array | None:
    """Return a slope for each place of the second axis, where there is more than one slope."""
    data = constant(slope)
    if data is None or data.size == 1 or x.type.rank < 2:
        return None
    return channel_vector(slope, x.type.rank, 1, _size(x, axis=1))


def _size(x: Value, axis: int = -1) -> int:
    size = x.type.shape[axis]
    assert isinstance(size, int)
    return size
