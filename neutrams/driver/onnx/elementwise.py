"""Arithmetic, comparisons and activations, element by element."""

from __future__ import annotations

import math

import numpy as np

from neutrams.driver.onnx.emitter import Emitter, rule
from neutrams.driver.onnx.simple import node, same
from neutrams.driver.onnx.widths import computed_in
from neutrams.ir.op import Op
from neutrams.ir.ops import activations as act
from neutrams.ir.ops import elementwise as two
from neutrams.ir.ops import unary as one
from neutrams.ir.types import DType

_PLAIN: dict[type[Op], str] = {
    one.Neg: "Neg",
    one.Abs: "Abs",
    one.Sign: "Sign",
    one.Reciprocal: "Reciprocal",
    one.Sqrt: "Sqrt",
    one.Exp: "Exp",
    one.Log: "Log",
    one.Floor: "Floor",
    one.Ceil: "Ceil",
    one.Round: "Round",
    one.Sin: "Sin",
    one.Cos: "Cos",
    one.Tan: "Tan",
    one.Asin: "Asin",
    one.Acos: "Acos",
    one.Atan: "Atan",
    one.Sinh: "Sinh",
    one.Cosh: "Cosh",
    one.Asinh: "Asinh",
    one.Acosh: "Acosh",
    one.Atanh: "Atanh",
    one.Erf: "Erf",
    one.LogicalNot: "Not",
    one.BitwiseNot: "BitwiseNot",
    one.IsNan: "IsNaN",
    act.Prelu: "PRelu",
    act.Sigmoid: "Sigmoid",
    act.HardSwish: "HardSwish",
    act.Tanh: "Tanh",
    act.Softplus: "Softplus",
    act.Softsign: "Softsign",
    act.Mish: "Mish",
    two.Add: "Add",
    two.Sub: "Sub",
    two.Mul: "Mul",
    two.Div: "Div",
    two.Pow: "Pow",
    two.Minimum: "Min",
    two.Maximum: "Max",
    two.Equal: "Equal",
    two.Less: "Less",
    two.LessEqual: "LessOrEqual",
    two.Greater: "Greater",
    two.GreaterEqual: "GreaterOrEqual",
    two.LogicalAnd: "And",
    two.LogicalOr: "Or",
    two.LogicalXor: "Xor",
    two.BitwiseAnd: "BitwiseAnd",
    two.BitwiseOr: "BitwiseOr",
    two.BitwiseXor: "BitwiseXor",
}
for _kind, _name in _PLAIN.items():
    same(_kind, _name)
for _kind, _name in {
    act.LeakyRelu: "LeakyRelu",
    act.Elu: "Elu",
    act.Selu: "Selu",
    act.Celu: "Celu",
    act.Gelu: "Gelu",
    act.HardSigmoid: "HardSigmoid",
    act.ThresholdedRelu: "ThresholdedRelu",
    act.Shrink: "Shrink",
}.items():
    same(_kind, _name, lambda op: op.attributes())
same(
    one.IsInf,
    "IsInf",
    lambda op: {"detect_positive": int(op.positive), "detect_negative": int(op.negative)},
)


@rule(act.Relu)
def relu(op: act.Relu, emit: Emitter) -> str:
    dtype = op.x.type.dtype
    if dtype.is_float:
        return emit.add("Relu", emit[op.x])
    work = computed_in("Max", dtype)
    x = emit.cast(emit[op.x], dtype, work)
    return emit.cast(emit.add("Max", x, emit.scalar(0, work)), work, dtype)


@rule(act.Clip)
def clip(op: act.Clip, emit: Emitter) -> str:
    dtype = op.x.type.dtype
    low, high = op.low, op.high
    if not dtype.is_float:
        limits = np.iinfo(dtype.numpy)
        low, high = max(low, limits.min), min(high, limits.max)
    bounds = ["" if math.isinf(bound) else emit.scalar(bound, dtype) for bound in (low, high)]
    return emit.add("Clip", emit[op.x], *bounds)


@rule(act.Swish)
def swish(op: act.Swish, emit: Emitter) -> str:
    x = emit[op.x]
    steep = x
    if op.alpha != 1:
        steep = emit.add("Mul", x, emit.scalar(op.alpha, op.x.type.dtype))
    return emit.add("Mul", x, emit.add("Sigmoid", steep))


@rule(two.Where)
def where(op: two.Where, emit: Emitter) -> str:
    dtype = op.a.type.dtype
    work = computed_in("Where", dtype)
    a, b = (emit.cast(emit[value], dtype, work) for value in (op.a, op.b))
    return emit.cast(emit.add("Where", emit[op.condition], a, b), work, dtype)


@rule(two.Mod)
def mod(op: two.Mod, emit: Emitter) -> str:
    """Integers have both kinds of remainder in ONNX, floats the truncated one only."""
    dtype = op.a.type.dtype
    if op.truncated or not dtype.is_float:
        return node(op, emit, "Mod", fmod=int(op.truncated))
    a, b = emit[op.a], emit[op.b]
    rest, zero = emit.add("Mod", a, b, fmod=1), emit.scalar(0, dtype)
    signs = emit.add("Xor", emit.add("Less", rest, zero), emit.add("Less", b, zero))
    moved = emit.add("And", signs, emit.add("Not", emit.add("Equal", rest, zero)))
    return emit.add("Where", moved, emit.add("Add", rest, b), rest)


@rule(two.BitShift)
def bit_shift(op: two.BitShift, emit: Emitter) -> str:
    """ONNX shifts unsigned integers; ``x >> b`` of a negative one is ``~(~x >> b)``."""
    dtype, direction = op.a.type.dtype, op.direction.upper()
    a, b = emit[op.a], emit[op.b]
    if dtype.value.startswith("u"):
        return emit.add("BitShift", a, b, direction=direction)
    plain = DType(f"u{dtype.bits}")

    def shifted(x: str) -> str:
        sides = (emit.cast(x, dtype, plain), emit.cast(b, dtype, plain))
        return emit.cast(emit.add("BitShift", *sides, direction=direction), plain, dtype)

    if direction == "LEFT":
        return shifted(a)
    below = emit.add("BitwiseNot", shifted(emit.add("BitwiseNot", a)))
    negative = emit.add("Less", a, emit.scalar(0, dtype))
    picked = (emit.cast(side, dtype, DType.I64) for side in (below, shifted(a)))
    return emit.cast(emit.add("Where", negative, *picked), DType.I64, dtype)
