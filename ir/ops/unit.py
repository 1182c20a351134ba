"""The digital words of the unit level: integers in, integers out, beside the crossbars."""

from __future__ import annotations

from math import prod

import numpy as np

from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.limits import (
    MERGE,
    ROUND,
    SPELL,
    missing_functions,
    more,
    no_powers,
    outside,
)
from neutrams.ir.op import Op, Value, Weight, attr, op, operand
from neutrams.ir.ops.base import NONE, Mixes, axis_of, size_of, want, want_rank, want_same
from neutrams.ir.ops.digits import Digits
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.tensors import Concat, Pad, Reshape, Slice, Transpose
from neutrams.ir.target import Target
from neutrams.ir.types import Array, DType, TensorType, broadcast
from neutrams.ir.windows import out_sizes, taps, windows

MOVES = (Concat, MaxPool, Pad, Reshape, Slice, Transpose)
"""Ops that move whole numbers or pick some, and so may work on digits of them."""


@op("unit.reduce")
class Reduce(Op):
    """Add the partial sums of all splits (axis 0), and a bias for each neuron."""

    partials: Value = operand()
    bias: Value | None = operand(default=None)
    """``[neurons]``; integers."""
    axis: int = attr(default=-1)
    """Axis of the result along which the neurons lie."""

    def infer(self) -> TensorType:
        shape = want_rank(self, self.partials, 2)[1:]
        axis = axis_of(self, self.axis, len(shape))
        if self.bias is not None:
            want_rank(self, self.bias, 1, 1)
            want_same(self, self.bias.type.shape[0], shape[axis], "biases and neurons")
        return TensorType(self.partials.type.dtype, shape)

    def evaluate(self, partials: Array, bias: Array | None = None) -> Array:
        total = partials.sum(axis=0, dtype=np.int64)
        if bias is not None:
            total = total + along(bias, self.axis, total.ndim)
        return np.asarray(total, partials.dtype)

    def violations(self, target: Target) -> list[Diagnostic]:
        """Return a fault where more partial sums meet than the chip adds up digitally."""
        given, allowed = self.partials.type.shape[0], target.limits.partial_sums
        if not allowed or not isinstance(given, int):
            return []
        what, remedy = "partial sums to add up", MERGE
        return more(self, target, "partial-sums", given, allowed, what, remedy)

    def mixes(self) -> Mixes:
        return (frozenset({0}), NONE)


@op("unit.rescale")
class Rescale(Op):
    """``clip(rint(f32(x) × scale) + zero, low, high)``: each step one float32 operation."""

    x: Value = operand()
    scale: Value = operand()
    """f32, one number or one for each place along ``axis``."""
    axis: int = attr(default=-1)
    zero: int = attr(default=0)
    low: int = attr(default=-128)
    high: int = attr(default=127)
    dtype: DType = attr(default=DType.I8)

    def infer(self) -> TensorType:
        axis = axis_of(self, self.axis, self.x.type.rank)
        want_rank(self, self.scale, 0, 1)
        if self.scale.type.rank:
            want_same(self, self.scale.type.shape[0], self.x.type.shape[axis], "scales and places")
        return self.x.type.with_dtype(self.dtype)

    def evaluate(self, x: Array, scale: Array) -> Array:
        scale = np.asarray(scale, np.float32)
        scaled = x.astype(np.float32) * (along(scale, self.axis, x.ndim) if scale.ndim else scale)
        return saturate(scaled, self.zero, self.low, self.high, self.dtype)

    def violations(self, target: Target) -> list[Diagnostic]:
        """Return what of its results, and of the activation in them, the target lacks."""
        limits, faults = target.limits, list[Diagnostic]()
        bits = widest_word(self.result, (self.high - self.low).bit_length())
        faults += more(
            self, target, "output-bits", bits, limits.output_bits, "bits of a result", ROUND
        )
        if limits.output_range is not None:
            given, allowed = (self.low, self.high), target.output_codes
            faults += outside(self, target, "output-range", given, allowed, "results", ROUND)
        if isinstance(self.scale, Weight) and self.scale.data is not None:
            faults += no_powers(self, target, self.scale.data)
        return [*faults, *missing_functions(self, target, self.activation(target))]

    def activation(self, target: Target) -> tuple[str, ...]:
        """Return the function that its bounds stand for, if any.

        Results saturate anyway at the ends of what a unit of the target gives out.
        """
        if self._reaches_no_end():
            return ()
        least, most = saturation(target, self.dtype)
        if self.high != most:
            return ("clip",)
        if self.low == least:
            return ()
        return ("relu",) if self.low == self.zero else ("clip",)

    def _reaches_no_end(self) -> bool:
        """Say whether what is known of its operand never passes its bounds."""
        held, scale = self.x.type.range, self.scale
        if held is None or not isinstance(scale, Weight) or scale.data is None or scale.data.ndim:
            return False
        ends = np.rint(np.array(held, np.float32) * scale.data) + self.zero
        return bool(ends.min() >= self.low and ends.max() <= self.high)

    def mixes(self) -> Mixes:
        return (NONE, NONE)


@op("unit.add")
class Add(Op):
    """Add two quantised tensors, which broadcast, and quantise the sum.

    ``clip(rint(f32(a - a_zero) × a_scale + f32(b - b_zero) × b_scale) + zero, low, high)``, each
    step one float32 operation; the scales are relative to the result's.
    """

    a: Value = operand()
    b: Value = operand()
    a_scale: float = attr()
    b_scale: float = attr()
    a_zero: int = attr(default=0)
    b_zero: int = attr(default=0)
    zero: int = attr(default=0)
    low: int = attr(default=-128)
    high: int = attr(default=127)
    dtype: DType = attr(default=DType.I8)

    def infer(self) -> TensorType:
        return TensorType(self.dtype, broadcast(self.a.type.shape, self.b.type.shape))

    def violations(self, target: Target) -> list[Diagnostic]:
        """Return the fault of factors that the target does not have."""
        return no_powers(self, target, np.array([self.a_scale, self.b_scale]))

    def evaluate(self, a: Array, b: Array) -> Array:
        left = _centred(a, self.a_zero).astype(np.float32) * np.float32(self.a_scale)
        right = _centred(b, self.b_zero).astype(np.float32) * np.float32(self.b_scale)
        return saturate(left + right, self.zero, self.low, self.high, self.dtype)

    def mixes(self) -> Mixes:
        return (NONE, NONE)


@op("unit.lut")
class Lut(Op):
    """Replace each ``x`` by ``table[x - low]``; every value of ``x`` must have an entry."""

    x: Value = operand()
    table: Value = operand()
    """One number for each integer from ``low`` on."""
    low: int = attr(default=0)

    def infer(self) -> TensorType:
        want_rank(self, self.table, 1, 1)
        return self.x.type.with_dtype(self.table.type.dtype)

    def violations(self, target: Target) -> list[Diagnostic]:
        """Return the fault of a table with more entries than the target's hold."""
        allowed = target.limits.lut_entries
        if not allowed:
            return []
        given = size_of(self, self.table.type.shape[0], "entries")
        return more(self, target, "lut-entries", given, allowed, "entries of a table", SPELL)

    def evaluate(self, x: Array, table: Array) -> Array:
        return np.take(table, _centred(x, self.low))

    def mixes(self) -> Mixes:
        return (NONE, frozenset({0}))


@op("unit.average_pool")
class AveragePool(Op):
    """Average windows of a quantised ``[N, C, *sizes]`` tensor and quantise the result.

    ``clip(rint(f32(sum of x - input_zero) × (scale / count)) + zero, low, high)``: the sum in
    integers, the rest in float32.
    """

    x: Value = operand()
    kernel: tuple[int, ...] = attr()
    strides: tuple[int, ...] = attr(default=())
    pads: tuple[int, ...] = attr(default=())
    dilations: tuple[int, ...] = attr(default=())
    ceil_mode: bool = attr(default=False)
    count_include_pad: bool = attr(default=False)
    input_zero: int = attr(default=0)
    scale: float = attr(default=1.0)
    zero: int = attr(default=0)
    low: int = attr(default=-128)
    high: int = attr(default=127)
    dtype: DType = attr(default=DType.I8)

    def infer(self) -> TensorType:
        want(self, bool(self.kernel), "needs a kernel")
        rank = 2 + len(self.kernel)
        shape = want_rank(self, self.x, rank, rank)
        geometry = (self.kernel, self.strides, self.pads, self.dilations)
        out = out_sizes(shape[2:], *geometry, ceil_mode=self.ceil_mode)
        return TensorType(self.dtype, (*shape[:2], *out))

    def violations(self, target: Target) -> list[Diagnostic]:
        """Return the fault of factors that the target does not have."""
        return no_powers(self, target, self.shares())

    def shares(self) -> Array:
        """Return by what sums are multiplied, for every number of taps that a window may have."""
        taps = prod(self.kernel)
        inside = any(self.pads) or self.ceil_mode
        counts = np.arange(1, taps + 1) if inside and not self.count_include_pad else [taps]
        return np.float32(self.scale) / np.asarray(counts, np.float32)

    def evaluate(self, x: Array) -> Array:
        geometry = (self.kernel, self.strides, self.pads, self.dilations)
        seen = windows(_centred(x, self.input_zero), *geometry, ceil_mode=self.ceil_mode)
        total = seen.sum(axis=tuple(range(2, 2 + len(self.kernel))))
        count = taps(
            x.shape[2:],
            *geometry,
            ceil_mode=self.ceil_mode,
            include_pad=self.count_include_pad,
        )
        share = np.float32(self.scale) / count.astype(np.float32)
        return saturate(
            total.astype(np.float32) * share, self.zero, self.low, self.high, self.dtype
        )

    def mixes(self) -> Mixes:
        return (frozenset(range(2, self.x.type.rank)),)


def widest_word(value: Value, bits: int) -> int:
    """Return the bits in which a result leaves its unit: its own, or those of its digits.

    It leaves as digits if nothing else is made of it, by way of moves that digits allow as well.
    """
    if not value.users or not all(isinstance(op, (Digits, *MOVES)) for op in value.users):
        return bits
    return max(
        op.bits if isinstance(op, Digits) else widest_word(op.results[0], bits)
        for op in value.users
    )


def _centred(x: Array, zero: int) -> Array:
    return x.astype(np.int64) - zero


def saturation(target: Target, dtype: DType) -> tuple[int, int]:
    """Return the ends at which results of a type saturate without any function of the chip's."""
    limits = target.limits
    if limits.output_range is not None or limits.input_range is not None:
        return target.activation_codes
    low = -(2 ** (limits.output_bits - 1)) if np.iinfo(dtype.numpy).min < 0 else 0
    return low, low + 2**limits.output_bits - 1


def along(vector: Array, axis: int, rank: int) -> Array:
    """Shape a vector so that it broadcasts along one axis of a tensor."""
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)


def saturate(x: Array, zero: int, low: int, high: int, dtype: DType) -> Array:
    """Return ``clip(rint(x) + zero, low, high)`` of float32 ``x``, half to even."""
    held = np.clip(np.rint(x) + np.float32(zero), np.float32(low), np.float32(high))
    return held.astype(dtype.numpy)
