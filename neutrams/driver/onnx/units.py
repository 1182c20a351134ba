"""The digital words of the unit level, and the borders to and from floats."""

from __future__ import annotations

import numpy as np

from neutrams.driver.onnx.emitter import Emitter, rule
from neutrams.driver.onnx.saturation import saturated
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.digits import Digits, Join
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.unit import Add, Lut, Rescale, along
from neutrams.ir.types import DType

_EXACT = 2**22
"""Bounds within which float32 rounds, adds and clips as float64 does."""


@rule(Rescale)
def rescale(op: Rescale, emit: Emitter) -> str:
    x = emit.cast(emit[op.x], op.x.type.dtype, DType.F32)
    scale = _spread(emit, op.scale, op.axis, op.x.type.rank, DType.F32)
    scaled = emit.add("Mul", x, scale)
    return saturated(emit, scaled, zero=op.zero, low=op.low, high=op.high, dtype=op.dtype)


@rule(Add)
def add(op: Add, emit: Emitter) -> str:
    left = emit.add("Mul", _centred(emit, op.a, op.a_zero), emit.scalar(op.a_scale, DType.F32))
    right = emit.add("Mul", _centred(emit, op.b, op.b_zero), emit.scalar(op.b_scale, DType.F32))
    total = emit.add("Add", left, right)
    return saturated(emit, total, zero=op.zero, low=op.low, high=op.high, dtype=op.dtype)


@rule(Lut)
def lut(op: Lut, emit: Emitter) -> str:
    place = emit.cast(emit[op.x], op.x.type.dtype, DType.I64)
    if op.low:
        place = emit.add("Sub", place, emit.scalar(op.low, DType.I64))
    return emit.add("Gather", emit[op.table], place, axis=0)


@rule(Digits)
def digits(op: Digits, emit: Emitter) -> str:
    made, wide = op.result.type.dtype, DType.I32 if op.x.type.dtype.bits < 32 else DType.I64
    rest = emit.cast(emit[op.x], op.x.type.dtype, wide)
    if op.offset:
        rest = emit.add("Add", rest, emit.scalar(op.offset, wide))
    base, parts = emit.scalar(2**op.bits, wide), list[str]()
    for _ in range(op.count):
        parts.insert(0, emit.cast(emit.add("Mod", rest, base), wide, made))
        rest = emit.add("Div", rest, base)
    return emit.add("Concat", *parts, axis=op.axis)


@rule(Join)
def join(op: Join, emit: Emitter) -> str:
    """Highest digits first: what has been added up is shifted once more for each digit."""
    axis, size = op.axis % op.x.type.rank, op.x.type.shape[op.axis]
    assert isinstance(size, int)
    wide = emit.cast(emit[op.x], op.x.type.dtype, op.dtype)
    places = np.arange(size).reshape(op.groups, op.count, -1)
    total = ""
    for digit in range(op.count):
        part = emit.add("Gather", wide, emit.ints(places[:, digit].ravel().tolist()), axis=axis)
        if total:
            part = emit.add("Add", emit.add("Mul", total, emit.scalar(2**op.bits, op.dtype)), part)
        total = part
    return total


@rule(Quantize)
def quantize(op: Quantize, emit: Emitter) -> str:
    """Spell the definition: QuantizeLinear saturates at the element type's own bounds only."""
    work = _wider(op.x.type.dtype, op.scale.type.dtype)
    x = emit.cast(emit[op.x], op.x.type.dtype, work)
    scale = _spread(emit, op.scale, op.axis, op.x.type.rank, work)
    rounded = emit.add("Round", emit.add("Div", x, scale))
    small = max(abs(op.low), abs(op.high)) < _EXACT and op.zero.type.dtype.bits <= 16
    wide = DType.F32 if small and work is DType.F32 else DType.F64
    steps = emit.cast(rounded, work, wide)
    if not _is_zero(op.zero):
        steps = emit.add("Add", steps, _spread(emit, op.zero, op.axis, op.x.type.rank, wide))
    held = emit.add("Clip", steps, emit.scalar(op.low, wide), emit.scalar(op.high, wide))
    return emit.cast(held, wide, op.dtype)


@rule(Dequantize)
def dequantize(op: Dequantize, emit: Emitter) -> str:
    real, rank, source = op.scale.type.dtype, op.x.type.rank, op.x.type.dtype
    wide = DType.I32 if source.bits < 32 else DType.I64
    if _is_zero(op.zero):
        steps = emit.cast(emit[op.x], source, real)
    else:
        zero = _spread(emit, op.zero, op.axis, rank, wide)
        moved = emit.add("Sub", emit.cast(emit[op.x], source, wide), zero)
        steps = emit.cast(moved, wide, real)
    return emit.add("Mul", steps, _spread(emit, op.scale, op.axis, rank, real))


def _centred(emit: Emitter, x: Value, zero: int) -> str:
    """Return ``f32(x - zero)``, the difference taken in integers."""
    source = x.type.dtype
    wide = DType.I32 if source.bits < 32 and abs(zero) < 2**30 else DType.I64
    if not zero:
        return emit.cast(emit[x], source, DType.F32)
    moved = emit.add("Sub", emit.cast(emit[x], source, wide), emit.scalar(zero, wide))
    return emit.cast(moved, wide, DType.F32)


def _spread(emit: Emitter, vector: Value, axis: int, rank: int, to: DType) -> str:
    """Return a scalar as it is, and a vector shaped to broadcast along an axis, in a type."""
    if isinstance(vector, Weight):
        assert vector.data is not None
        data = vector.data if not vector.type.rank else along(vector.data, axis, rank)
        return emit.constant(data.astype(to.numpy), vector.name)
    found = emit.cast(emit[vector], vector.type.dtype, to)
    if not vector.type.rank:
        return found
    shape = [-1 if place == axis % rank else 1 for place in range(rank)]
    return emit.add("Reshape", found, emit.ints(shape))


def _is_zero(value: Value) -> bool:
    return isinstance(value, Weight) and value.data is not None and not np.any(value.data)


def _wider(a: DType, b: DType) -> DType:
    return DType.of(np.promote_types(a.numpy, b.numpy))
