"""Arithmetic, comparison and logic of two operands, element by element."""

from __future__ import annotations

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import NONE, Binary, Compare, Mixes, digital, keep, same_dtype, want
from neutrams.ir.types import Array, DType, TensorType, broadcast


@digital("nn.add")
class Add(Binary):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.add(a, b)


@digital("nn.sub")
class Sub(Binary):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.subtract(a, b)


@digital("nn.mul")
class Mul(Binary):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.multiply(a, b)


@digital("nn.div")
class Div(Binary):
    """Quotients; those of integers are truncated towards zero."""

    def evaluate(self, a: Array, b: Array) -> Array:
        if self.a.type.dtype.is_float:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.divide(a, b)
        whole = np.floor_divide(a, b)
        inexact = (whole * b != a) & ((a < 0) != (b < 0))
        return keep(whole + inexact, a)


@digital("nn.pow")
class Pow(Binary):
    """``a`` to the power ``b``, in the element type of ``a``; ``b`` may have another."""

    def infer(self) -> TensorType:
        return TensorType(self.a.type.dtype, broadcast(self.a.type.shape, self.b.type.shape))

    def evaluate(self, a: Array, b: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if self.a.type.dtype.is_float:
                return np.power(a, keep(b, a))
            if b.dtype.kind in "iu" and not (b < 0).any():
                return keep(np.power(a, b), a)
            return keep(np.power(a.astype(np.float64), b), a)


@digital("nn.mod")
class Mod(Binary):
    """Remainders, with the sign of ``b``, or of ``a`` where ``truncated`` (as C's fmod)."""

    truncated: bool = attr(default=False)

    def evaluate(self, a: Array, b: Array) -> Array:
        return np.fmod(a, b) if self.truncated else np.mod(a, b)


@digital("nn.minimum")
class Minimum(Binary):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.minimum(a, b)


@digital("nn.maximum")
class Maximum(Binary):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.maximum(a, b)


@digital("nn.equal")
class Equal(Compare):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.equal(a, b)


@digital("nn.less")
class Less(Compare):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.less(a, b)


@digital("nn.less_equal")
class LessEqual(Compare):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.less_equal(a, b)


@digital("nn.greater")
class Greater(Compare):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.greater(a, b)


@digital("nn.greater_equal")
class GreaterEqual(Compare):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.greater_equal(a, b)


@digital("nn.logical_and")
class LogicalAnd(Compare):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.logical_and(a, b)


@digital("nn.logical_or")
class LogicalOr(Compare):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.logical_or(a, b)


@digital("nn.logical_xor")
class LogicalXor(Compare):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.logical_xor(a, b)


@digital("nn.bitwise_and")
class BitwiseAnd(Binary):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.bitwise_and(a, b)


@digital("nn.bitwise_or")
class BitwiseOr(Binary):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.bitwise_or(a, b)


@digital("nn.bitwise_xor")
class BitwiseXor(Binary):
    def evaluate(self, a: Array, b: Array) -> Array:
        return np.bitwise_xor(a, b)


@digital("nn.bit_shift")
class BitShift(Binary):
    """``a`` shifted by ``b`` bits ``left`` or ``right``."""

    direction: str = attr(default="left")

    def infer(self) -> TensorType:
        want(self, self.direction in ("left", "right"), f"no direction `{self.direction}`")
        return super().infer()

    def evaluate(self, a: Array, b: Array) -> Array:
        return np.left_shift(a, b) if self.direction == "left" else np.right_shift(a, b)


@digital("tensor.where")
class Where(Op):
    """Elements of ``a`` where the condition holds, of ``b`` elsewhere."""

    condition: Value = operand()
    a: Value = operand()
    b: Value = operand()

    def infer(self) -> TensorType:
        if self.condition.type.dtype is not DType.BOOL:
            raise self.fault("NT0105", f"expects truth values, got `{self.condition.type}`")
        dtype = same_dtype(self, self.a, self.b)
        shapes = (v.type.shape for v in (self.condition, self.a, self.b))
        return TensorType(dtype, broadcast(*shapes))

    def evaluate(self, condition: Array, a: Array, b: Array) -> Array:
        return np.where(condition, a, b)

    def mixes(self) -> Mixes:
        return (NONE, NONE, NONE)
