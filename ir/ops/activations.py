"""Activation functions, element by element; formulas as in the ONNX operator reference."""

from __future__ import annotations

import math

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import NONE, FloatUnary, Mixes, Unary, digital, keep, same_dtype, want
from neutrams.ir.ops.unary import erf
from neutrams.ir.types import Array, TensorType, broadcast


@digital("nn.relu")
class Relu(Unary):
    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.maximum(x, x.dtype.type(0)))


@digital("nn.leaky_relu")
class LeakyRelu(FloatUnary):
    alpha: float = attr(default=0.01)

    def evaluate(self, x: Array) -> Array:
        return keep(np.where(x < 0, x * self.alpha, x), x)


@digital("nn.prelu")
class Prelu(Op):
    """``x``, or ``slope * x`` where that is negative; ``slope`` broadcasts to ``x``."""

    x: Value = operand()
    slope: Value = operand()

    def infer(self) -> TensorType:
        same_dtype(self, self.x, self.slope)
        if broadcast(self.x.type.shape, self.slope.type.shape) != self.x.type.shape:
            raise self.fault("NT0107", f"slope `{self.slope.type}` is wider than `{self.x.type}`")
        return self.x.type

    def evaluate(self, x: Array, slope: Array) -> Array:
        return np.where(x < 0, x * slope, x)

    def mixes(self) -> Mixes:
        return (NONE, NONE)


@digital("nn.elu")
class Elu(FloatUnary):
    alpha: float = attr(default=1.0)

    def evaluate(self, x: Array) -> Array:
        return keep(np.where(x < 0, self.alpha * np.expm1(np.minimum(x, 0)), x), x)


@digital("nn.selu")
class Selu(FloatUnary):
    alpha: float = attr(default=1.6732632423543772)
    gamma: float = attr(default=1.0507009873554805)

    def evaluate(self, x: Array) -> Array:
        below = self.alpha * np.expm1(np.minimum(x, 0))
        return keep(self.gamma * np.where(x > 0, x, below), x)


@digital("nn.celu")
class Celu(FloatUnary):
    alpha: float = attr(default=1.0)

    def evaluate(self, x: Array) -> Array:
        below = self.alpha * np.expm1(np.minimum(x, 0) / self.alpha)
        return keep(np.maximum(x, 0) + below, x)


@digital("nn.gelu")
class Gelu(FloatUnary):
    """``x`` times the normal distribution function, or its ``approximate="tanh"``."""

    approximate: str = attr(default="none")

    def infer(self) -> TensorType:
        want(self, self.approximate in ("none", "tanh"), f"no approximation `{self.approximate}`")
        return super().infer()

    def evaluate(self, x: Array) -> Array:
        if self.approximate == "tanh":
            inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
            return keep(0.5 * x * (1 + np.tanh(inner)), x)
        return keep(0.5 * x * (1 + erf(x / math.sqrt(2))), x)


@digital("nn.sigmoid")
class Sigmoid(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return sigmoid(x)


@digital("nn.hard_sigmoid")
class HardSigmoid(FloatUnary):
    alpha: float = attr(default=0.2)
    beta: float = attr(default=0.5)

    def evaluate(self, x: Array) -> Array:
        return keep(np.clip(self.alpha * x + self.beta, 0, 1), x)


@digital("nn.hard_swish")
class HardSwish(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return keep(x * np.clip(x / 6 + 0.5, 0, 1), x)


@digital("nn.swish")
class Swish(FloatUnary):
    """``x * sigmoid(alpha * x)``; SiLU where ``alpha`` is 1."""

    alpha: float = attr(default=1.0)

    def evaluate(self, x: Array) -> Array:
        return keep(x * sigmoid(keep(self.alpha * x, x)), x)


@digital("nn.tanh")
class Tanh(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.tanh(x)


@digital("nn.softplus")
class Softplus(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.logaddexp(x, x.dtype.type(0)))


@digital("nn.softsign")
class Softsign(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return keep(x / (1 + np.abs(x)), x)


@digital("nn.mish")
class Mish(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.asarray(x * np.tanh(np.logaddexp(x, x.dtype.type(0))))


@digital("nn.thresholded_relu")
class ThresholdedRelu(FloatUnary):
    alpha: float = attr(default=1.0)

    def evaluate(self, x: Array) -> Array:
        return keep(np.where(x > self.alpha, x, 0), x)


@digital("nn.shrink")
class Shrink(Unary):
    """Zero within ``[-lambd, lambd]``; outside, ``x`` moved by ``bias`` towards zero."""

    lambd: float = attr(default=0.5)
    bias: float = attr(default=0.0)

    def evaluate(self, x: Array) -> Array:
        above = np.where(x > self.lambd, x - self.bias, 0)
        return keep(np.where(x < -self.lambd, x + self.bias, above), x)


@digital("nn.clip")
class Clip(Unary):
    """Hold every element within ``[low, high]``; ``high`` wins where they cross."""

    low: float = attr(default=-math.inf)
    high: float = attr(default=math.inf)

    def evaluate(self, x: Array) -> Array:
        low, high = self.low, self.high
        if x.dtype.kind in "iu":
            limits = np.iinfo(x.dtype)
            low, high = max(low, limits.min), min(high, limits.max)
        kind = x.dtype.type
        return np.asarray(np.minimum(np.maximum(x, kind(low)), kind(high)))


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) without overflow, in the type of ``x``."""
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e))
