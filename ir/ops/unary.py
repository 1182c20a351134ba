"""Functions of one operand, element by element, that are not activations."""

from __future__ import annotations

import math

import numpy as np

from neutrams.ir.op import attr
from neutrams.ir.ops.base import FloatUnary, Predicate, Unary, digital, keep
from neutrams.ir.types import Array


@digital("nn.neg")
class Neg(Unary):
    def evaluate(self, x: Array) -> Array:
        return np.negative(x)


@digital("nn.abs")
class Abs(Unary):
    def evaluate(self, x: Array) -> Array:
        return np.abs(x)


@digital("nn.sign")
class Sign(Unary):
    def evaluate(self, x: Array) -> Array:
        return np.sign(x)


@digital("nn.reciprocal")
class Reciprocal(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.reciprocal(x)


@digital("nn.sqrt")
class Sqrt(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.sqrt(x)


@digital("nn.exp")
class Exp(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.exp(x)


@digital("nn.log")
class Log(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(x)


@digital("nn.floor")
class Floor(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.floor(x)


@digital("nn.ceil")
class Ceil(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.ceil(x)


@digital("nn.round")
class Round(FloatUnary):
    """The nearest whole number; halves go to the even one."""

    def evaluate(self, x: Array) -> Array:
        return np.rint(x)


@digital("nn.sin")
class Sin(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.sin(x)


@digital("nn.cos")
class Cos(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.cos(x)


@digital("nn.tan")
class Tan(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.tan(x)


@digital("nn.asin")
class Asin(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.arcsin(x)


@digital("nn.acos")
class Acos(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.arccos(x)


@digital("nn.atan")
class Atan(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.arctan(x)


@digital("nn.sinh")
class Sinh(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.sinh(x)


@digital("nn.cosh")
class Cosh(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.cosh(x)


@digital("nn.asinh")
class Asinh(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.arcsinh(x)


@digital("nn.acosh")
class Acosh(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.arccosh(x)


@digital("nn.atanh")
class Atanh(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return np.arctanh(x)


@digital("nn.erf")
class Erf(FloatUnary):
    def evaluate(self, x: Array) -> Array:
        return keep(erf(x), x)


@digital("nn.logical_not")
class LogicalNot(Predicate):
    def evaluate(self, x: Array) -> Array:
        return np.logical_not(x)


@digital("nn.bitwise_not")
class BitwiseNot(Unary):
    def evaluate(self, x: Array) -> Array:
        return np.bitwise_not(x)


@digital("nn.is_nan")
class IsNan(Predicate):
    def evaluate(self, x: Array) -> Array:
        return np.isnan(x)


@digital("nn.is_inf")
class IsInf(Predicate):
    """Whether an element is infinite, of the signs asked for."""

    positive: bool = attr(default=True)
    negative: bool = attr(default=True)

    def evaluate(self, x: Array) -> Array:
        found = (self.positive & np.isposinf(x)) | (self.negative & np.isneginf(x))
        return np.asarray(found)


def erf(x: Array) -> Array:
    """Return the error function in float64."""
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))
