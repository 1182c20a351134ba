"""From numbers to integers on a grid, and back, as ONNX defines it."""

from __future__ import annotations

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import NONE, Mixes, axis_of, digital, want, want_float, want_same
from neutrams.ir.types import Array, DType, TensorType


@digital("nn.quantize")
class Quantize(Op):
    """``clip(rint(x / scale) + zero, low, high)``, halves to the even number.

    ``scale`` and ``zero`` are scalars, or vectors along ``axis``.
    """

    x: Value = operand()
    scale: Value = operand()
    zero: Value = operand()
    axis: int = attr(default=1)
    low: int = attr(default=-128)
    high: int = attr(default=127)
    dtype: DType = attr(default=DType.I8)

    def infer(self) -> TensorType:
        want_float(self, self.scale)
        check_grid(self, self.x, self.scale, self.zero, self.axis)
        want(self, not self.dtype.is_float, f"`{self.dtype.value}` is no integer type")
        limits = np.iinfo(self.dtype.numpy)
        fits = limits.min <= self.low <= self.high <= limits.max
        want(self, fits, f"[{self.low}, {self.high}] is no range of `{self.dtype.value}`")
        return self.x.type.with_dtype(self.dtype)

    def evaluate(self, x: Array, scale: Array, zero: Array) -> Array:
        scale = spread(scale, self.axis, x.ndim)
        with np.errstate(invalid="ignore", over="ignore"):
            steps = np.rint(x / scale).astype(np.float64) + spread(zero, self.axis, x.ndim)
        return np.clip(steps, self.low, self.high).astype(self.dtype.numpy)

    def mixes(self) -> Mixes:
        return (NONE, NONE, NONE)


@digital("nn.dequantize")
class Dequantize(Op):
    """``(x - zero) * scale``, in the type of ``scale``; both scalars, or vectors along ``axis``."""

    x: Value = operand()
    scale: Value = operand()
    zero: Value = operand()
    axis: int = attr(default=1)

    def infer(self) -> TensorType:
        want_float(self, self.scale)
        if self.x.type.dtype.is_float:
            raise self.fault("NT0105", f"expects integers, got `{self.x.type}`")
        check_grid(self, self.x, self.scale, self.zero, self.axis)
        return self.x.type.with_dtype(self.scale.type.dtype)

    def evaluate(self, x: Array, scale: Array, zero: Array) -> Array:
        wide = np.int32 if x.dtype.itemsize < 4 else np.int64
        steps = x.astype(wide) - spread(zero, self.axis, x.ndim).astype(wide)
        return np.asarray(steps.astype(scale.dtype) * spread(scale, self.axis, x.ndim))

    def mixes(self) -> Mixes:
        return (NONE, NONE, NONE)


def check_grid(op: Op, x: Value, scale: Value, zero: Value, axis: int) -> None:
    """Raise NT0106 or NT0107 where scale and zero point do not fit each other and ``x``."""
    want_same(op, scale.type.rank, zero.type.rank, "ranks of scale and zero point differ")
    if scale.type.rank > 1:
        raise op.fault("NT0106", f"a scale is a scalar or a vector, got `{scale.type}`")
    if scale.type.rank == 1:
        size = x.type.shape[axis_of(op, axis, x.type.rank)]
        want_same(op, scale.type.shape[0], size, "scales and places along the axis")
        want_same(op, zero.type.shape[0], size, "zero points and places along the axis")


def spread(vector: Array, axis: int, rank: int) -> Array:
    """Return a scalar as it is, and a vector shaped to broadcast along ``axis``."""
    if vector.ndim == 0:
        return vector
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)
