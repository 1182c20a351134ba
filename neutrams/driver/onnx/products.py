"""``unit.mvm``, ``unit.reduce`` and ``unit.average_pool``: sums of integers over windows."""

from __future__ import annotations

from math import prod

import numpy as np

from neutrams.driver.onnx.byte_products import Drive, Geometry, digits, product
from neutrams.driver.onnx.emitter import Emitter, rule
from neutrams.driver.onnx.saturation import saturated
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.base import size_of
from neutrams.ir.ops.unit import AveragePool, Reduce, along
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType
from neutrams.ir.windows import filled, out_sizes, taps


@rule(Mvm)
def mvm(op: Mvm, emit: Emitter) -> str:
    if merges(emit, op):
        return ""
    weights, x = _matrix(op), _drive(op, emit)
    dtype, rows = op.result.type.dtype, op.rows or op.fan_in
    parts = []
    for low in range(0, op.fan_in, rows):
        held = slice(low, min(low + rows, op.fan_in))
        total = product(emit, x, weights, _geometry(op), held, dtype)
        bias = _beyond(x, weights[:, held], _geometry(op))
        shifted = _plus(emit, total, bias, op.result.type.rank - 1, _neuron_axis(op), dtype)
        parts.append(emit.add("Unsqueeze", shifted, emit.ints([0])))
    return parts[0] if len(parts) == 1 else emit.add("Concat", *parts, axis=0)


@rule(Reduce)
def reduce(op: Reduce, emit: Emitter) -> str:
    dtype, rank = op.result.type.dtype, op.result.type.rank
    made = op.partials.op
    if isinstance(made, Mvm) and merges(emit, made):
        weights, x = _matrix(made), _drive(made, emit)
        geometry = _geometry(made)
        total = product(emit, x, weights, geometry, slice(0, made.fan_in), dtype)
        bias = _beyond(x, weights, geometry) + _vector(op.bias)
        return _plus(emit, total, bias, rank, op.axis, dtype)
    total = emit.add("ReduceSum", emit[op.partials], emit.ints([0]), keepdims=0)
    if op.bias is None:
        return total
    if isinstance(op.bias, Weight):
        return _plus(emit, total, _vector(op.bias), rank, op.axis, dtype)
    shape = [-1 if axis == op.axis % rank else 1 for axis in range(rank)]
    shaped = emit.add("Reshape", emit[op.bias], emit.ints(shape))
    return emit.add("Add", total, emit.cast(shaped, op.bias.type.dtype, dtype))


@rule(AveragePool)
def average_pool(op: AveragePool, emit: Emitter) -> str:
    sizes = tuple(int(dim) for dim in op.x.type.shape[2:] if isinstance(dim, int))
    windows = (op.kernel, op.strides, op.pads, op.dilations)
    channels = size_of(op, op.x.type.shape[1], "the number of channels")
    pads = covering_pads(sizes, *windows, ceil_mode=op.ceil_mode)
    geometry = Geometry(op.kernel, op.strides, pads, op.dilations, channels)
    limits = np.iinfo(op.x.type.dtype.numpy)
    offset = -int(limits.min)
    drive = digits(emit, op.x, offset, op.x.type.dtype.bits)
    x = Drive(drive, op.input_zero + offset)
    ones = np.ones((channels, prod(op.kernel)), np.int64)
    wide = DType.I32 if op.x.type.dtype.bits <= 16 else DType.I64
    total = product(emit, x, ones, geometry, slice(0, prod(op.kernel)), wide)
    if not geometry.padded and x.beyond:
        total = emit.add("Sub", total, emit.scalar(x.beyond * prod(op.kernel), wide))
    count = taps(sizes, *windows, ceil_mode=op.ceil_mode, include_pad=op.count_include_pad)
    share = np.float32(op.scale) / count.astype(np.float32)
    share = share.reshape(-1)[0] if (share == share.reshape(-1)[0]).all() else share
    mean = emit.add("Mul", emit.cast(total, wide, DType.F32), emit.constant(np.asarray(share)))
    return saturated(emit, mean, zero=op.zero, low=op.low, high=op.high, dtype=op.dtype)


def merges(emit: Emitter, op: Mvm) -> bool:
    """Whether only a ``unit.reduce`` reads the partial sums, so that none need be kept apart."""
    value = op.result
    if value in emit.outputs or len(value.users) != 1:
        return False
    reader = value.users[0]
    if not isinstance(reader, Reduce) or not isinstance(reader.bias, Weight | None):
        return False
    rank = value.type.rank - 1
    return reader.axis % rank == _neuron_axis(op) % rank


def covering_pads(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    *,
    ceil_mode: bool,
) -> tuple[int, ...]:
    """Return pads with which windows that hang over the end fit in, and no more windows do."""
    if not ceil_mode:
        return pads
    rank = len(kernel)
    out = out_sizes(sizes, kernel, strides, pads, dilations, ceil_mode=True)
    steps, around, spread = filled(rank, strides, pads, dilations)
    ends = (
        (out[i] - 1) * steps[i] + (kernel[i] - 1) * spread[i] + 1 - sizes[i] - around[i]
        for i in range(rank)
    )
    return (*around[:rank], *(max(0, end) for end in ends))


def _drive(op: Mvm, emit: Emitter) -> Drive:
    drive = digits(emit, op.x, op.input_offset, op.input_bits)
    return Drive(drive, op.pad_value + op.input_offset)


def _beyond(x: Drive, weights: Array, where: Geometry) -> Array:
    """Return what a padded product lacks: ``beyond`` times each neuron's weights."""
    found: Array = weights.sum(axis=1) * (x.beyond if where.padded else 0)
    return found


def _plus(emit: Emitter, x: str, vector: Array, rank: int, axis: int, dtype: DType) -> str:
    if not vector.any():
        return x
    return emit.add("Add", x, emit.constant(along(vector, axis, rank).astype(dtype.numpy)))


def _vector(bias: Value | None) -> Array:
    if not isinstance(bias, Weight):
        assert bias is None, "the bias of merged sums is constant"
        return np.zeros(1, np.int64)
    assert bias.data is not None
    return bias.data.astype(np.int64)


def _matrix(op: Mvm) -> Array:
    if not isinstance(op.w, Weight) or op.w.data is None:
        raise op.fault("NT0550", "its weights are no numbers known when exporting")
    return op.w.data.astype(np.int64)


def _geometry(op: Mvm) -> Geometry:
    return Geometry(op.kernel, op.strides, op.pads, op.dilations, op.groups)


def _neuron_axis(op: Mvm) -> int:
    return 1 if op.kernel else -1
