"""The QDQ form: floats between DequantizeLinear and QuantizeLinear, which runtimes fuse.

Products, sums and averages of bytes are written as the float operator that they stand for, on the
grids of their values. All else (tables, moves, wider integers) is written as in the integer form,
on the same integers, so that the two forms mix freely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neutrams.driver.onnx.emitter import RULES, Emitter, Made, Rule
from neutrams.driver.onnx.grids import Grids
from neutrams.driver.onnx.products import merges
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.unit import Add, AveragePool, Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType

BYTES = (DType.I8, DType.U8)
LINEAR = (*BYTES, DType.I16, DType.U16)
"""What QuantizeLinear and DequantizeLinear of opset 21 take."""
CENTRE = 128
"""Zero point of weights: kernels of signed ones saturate on some processors."""


class QdqEmitter(Emitter):
    """Writes in the QDQ form what has one, and the rest in the integer form."""

    def __init__(self, graph: Graph, original: Graph | None) -> None:
        super().__init__(graph)
        self.grids = Grids(graph, original)
        self.rules: Mapping[type[Op], Rule] = {**RULES, **_QDQ}

    def real(self, x: Value, scale: float, zero: int) -> str:
        return self.add(
            "DequantizeLinear",
            self[x],
            self.scalar(scale, DType.F32),
            self.scalar(zero, x.type.dtype),
        )

    def whole(self, real: str, made: Rescale | Add | AveragePool) -> str:
        """Quantise a result, within its bounds where they are tighter than its type's."""
        step, limits = self.grids.steps[made.result], np.iinfo(made.dtype.numpy)
        ends = [
            self.scalar((bound - made.zero) * step, DType.F32) if bound != limit else ""
            for bound, limit in ((made.low, limits.min), (made.high, limits.max))
        ]
        if any(ends):
            real = self.add("Clip", real, *ends)
        zero = self.scalar(made.zero, made.dtype)
        return self.add("QuantizeLinear", real, self.scalar(step, DType.F32), zero)


@dataclass(frozen=True, slots=True)
class _Chain:
    """A product of bytes whose sums are only ever rescaled, or dequantised."""

    mvm: Mvm
    reduce: Reduce
    last: Rescale | Dequantize
    weights: Array
    """``[neurons, inputs]``."""
    factors: Array
    """``[neurons]`` float32: what the last op multiplies sums by."""
    bias: Array
    """``[neurons]``: what is added to sums, less the zero of the last op."""

    @staticmethod
    def ending(last: Op, emit: Emitter) -> _Chain | None:
        """Return the chain that an op ends, if it is one that has a QDQ form."""
        if not isinstance(last, Rescale | Dequantize) or not isinstance(last.scale, Weight):
            return None
        reduce = last.x.op
        mvm = reduce.partials.op if isinstance(reduce, Reduce) else None
        if not isinstance(reduce, Reduce) or not isinstance(mvm, Mvm) or not merges(emit, mvm):
            return None
        alone = reduce.result.users == [last] and reduce.result not in emit.outputs
        weights, factors = _data(mvm.w), _data(last.scale)
        if not alone or weights is None or factors is None or factors.dtype != np.float32:
            return None
        if not (_multiplies_bytes(mvm, weights) and _along(last, reduce) and factors.min() > 0):
            return None
        if isinstance(last, Rescale) and last.dtype not in LINEAR:
            return None
        zero = _data(last.zero) if isinstance(last, Dequantize) else np.zeros(())
        held = np.zeros(()) if reduce.bias is None else _data(reduce.bias)
        if zero is None or held is None:
            return None
        bias = held.astype(np.int64) - zero.astype(np.int64)
        spread = [np.broadcast_to(array.reshape(-1), mvm.outputs) for array in (factors, bias)]
        return _Chain(mvm, reduce, last, weights.astype(np.int64), *spread)


def _multiplies_bytes(op: Mvm, weights: Array) -> bool:
    fits = weights.size > 0 and weights.min() >= -128 and weights.max() <= 127
    plain = len(op.kernel) <= 3 if op.kernel else op.groups == 1
    return fits and plain and op.x.type.dtype in BYTES


def _along(last: Rescale | Dequantize, reduce: Reduce) -> bool:
    """Whether factors lie along the neurons."""
    rank = reduce.result.type.rank
    return last.scale.type.rank == 0 or last.axis % rank == reduce.axis % rank


def _data(value: Value | None) -> Array | None:
    return value.data if isinstance(value, Weight) else None


def _product(op: Rescale | Dequantize, emit: Emitter) -> Made:
    assert isinstance(emit, QdqEmitter)
    chain = _Chain.ending(op, emit)
    if chain is None:
        return _alone(op, emit)
    mvm = chain.mvm
    known = emit.grids.zeros.get(mvm.x, -mvm.input_offset)
    zero = mvm.pad_value if any(mvm.pads) else known
    step = np.float64(emit.grids.steps[mvm.x])
    made = emit.grids.steps[op.result] if isinstance(op, Rescale) else 1.0
    scales = (chain.factors * made / step).astype(np.float32)
    bias = chain.bias + (mvm.input_offset + zero) * chain.weights.sum(axis=1)
    x = emit.real(mvm.x, float(step), zero)
    real = _sums(emit, chain, x, scales, _real_bias(emit, bias, np.float32(step) * scales))
    return emit.whole(real, op) if isinstance(op, Rescale) else real


def _sums(emit: Emitter, chain: _Chain, x: str, scales: Array, bias: str) -> str:
    op = chain.mvm
    if op.kernel:
        held = chain.weights.reshape(op.outputs, -1, *op.kernel)
        w = _weights(emit, held, scales, axis=0)
        named = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
        spacing = {name: numbers for name, numbers in named.items() if numbers}
        return emit.add("Conv", x, w, bias, group=op.groups, kernel_shape=op.kernel, **spacing)
    w = _weights(emit, chain.weights.T, scales, axis=1)
    if op.x.type.rank == 2:
        return emit.add("Gemm", x, w, bias)
    return emit.add("Add", emit.add("MatMul", x, w), bias)


def _weights(emit: Emitter, held: Array, scales: Array, *, axis: int) -> str:
    stored = emit.constant((held + CENTRE).astype(np.uint8), f"{emit.stem}.weights")
    zeros = emit.constant(np.full(len(scales), CENTRE, np.uint8))
    return emit.add("DequantizeLinear", stored, emit.constant(scales), zeros, axis=axis)


def _real_bias(emit: Emitter, bias: Array, scales: Array) -> str:
    if np.abs(bias).max(initial=0) >= 2**31:
        return emit.constant((bias * scales.astype(np.float64)).astype(np.float32))
    stored = emit.constant(bias.astype(np.int32), f"{emit.stem}.bias")
    return emit.add("DequantizeLinear", stored, emit.constant(scales), axis=0)


def _alone(op: Rescale | Dequantize, emit: Emitter) -> Made:
    scale, zero = _data(op.scale), _data(getattr(op, "zero", None))
    linear = isinstance(op, Dequantize) and op.x.type.dtype in LINEAR
    if not linear or scale is None or zero is None or scale.dtype != np.float32:
        return RULES[type(op)](op, emit)
    held = emit.constant(np.broadcast_to(zero, scale.shape).astype(op.x.type.dtype.numpy))
    return emit.add("DequantizeLinear", emit[op.x], emit[op.scale], held, axis=op.axis)


def _quantize(op: Quantize, emit: Emitter) -> Made:
    scale, zero, limits = _data(op.scale), _data(op.zero), np.iinfo(op.dtype.numpy)
    whole = (op.low, op.high) == (limits.min, limits.max)
    if op.dtype not in LINEAR or scale is None or zero is None or scale.dtype != np.float32:
        return RULES[Quantize](op, emit)
    if not whole or op.x.type.dtype is not DType.F32:
        return RULES[Quantize](op, emit)
    held = emit.constant(np.broadcast_to(zero, scale.shape).astype(op.dtype.numpy))
    return emit.add("QuantizeLinear", emit[op.x], emit[op.scale], held, axis=op.axis)


def _inside(op: Mvm | Reduce, emit: Emitter) -> Made:
    """Leave a product and its sum to the op that ends their chain."""
    end: Op = op
    while isinstance(end, Mvm | Reduce) and len(end.result.users) == 1:
        end = end.result.users[0]
    return RULES[type(op)](op, emit) if _Chain.ending(end, emit) is None else ""


def _add(op: Add, emit: Emitter) -> Made:
    assert isinstance(emit, QdqEmitter)
    sides = ((op.a, op.a_scale, op.a_zero), (op.b, op.b_scale, op.b_zero))
    if op.dtype not in LINEAR or not all(_grid_fits(*side) for side in sides):
        return RULES[Add](op, emit)
    step = emit.grids.steps[op.result]
    a, b = (emit.real(value, scale * step, zero) for value, scale, zero in sides)
    return emit.whole(emit.add("Add", a, b), op)


def _average(op: AveragePool, emit: Emitter) -> Made:
    assert isinstance(emit, QdqEmitter)
    if op.dtype not in LINEAR or not _grid_fits(op.x, op.scale, op.input_zero):
        return RULES[AveragePool](op, emit)
    x = emit.real(op.x, op.scale * emit.grids.steps[op.result], op.input_zero)
    named = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
    mean = emit.add(
        "AveragePool",
        x,
        kernel_shape=op.kernel,
        ceil_mode=int(op.ceil_mode),
        count_include_pad=int(op.count_include_pad),
        **{name: numbers for name, numbers in named.items() if numbers},
    )
    return emit.whole(mean, op)


def _grid_fits(value: Value, scale: float, zero: int) -> bool:
    dtype = value.type.dtype
    if dtype not in LINEAR or scale <= 0:
        return False
    limits = np.iinfo(dtype.numpy)
    return limits.min <= zero <= limits.max


_QDQ: dict[type[Op], Rule] = {
    Mvm: _inside,
    Reduce: _inside,
    Rescale: _product,
    Dequantize: _product,
    Quantize: _quantize,
    Add: _add,
    AveragePool: _average,
}
