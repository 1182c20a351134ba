"""Which integers every value of a unit graph can hold, proved from how it is made.

Bounds follow from the weights, tables and clips of the ops, never from calibration data. They are
kept for each channel where that is known, so that a neuron's sum is bounded with what its own
inputs can be. States of cells are bounded by what is written into them, to a fixed point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.crossbar import Encoding, lossless
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.digits import Digits, Join
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.quantization import Quantize
from neutrams.ir.ops.tensors import Concat, Pad
from neutrams.ir.ops.time import Next, Run, State
from neutrams.ir.ops.unit import Add, AveragePool, Lut, Reduce, Rescale, saturate
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.ranges import MOVES
from neutrams.ir.types import Array, DType
from neutrams.passes.match import constant

Ints = NDArray[np.int64]
ENDLESS = 2**62
"""Beyond any sum."""
PATIENCE = 8
"""Times that the bounds of a cell's states may grow before they are taken to be unbounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Least and largest integer: one pair, or one for each place along ``axis``."""

    low: Ints
    high: Ints
    axis: int = 0

    @staticmethod
    def of(low: int, high: int) -> Interval:
        return Interval(np.array(low, np.int64), np.array(high, np.int64))

    @property
    def whole(self) -> tuple[int, int]:
        return int(self.low.min()), int(self.high.max())

    def along(self, axis: int) -> tuple[Ints, Ints]:
        """Return the bounds for each place along an axis, or one pair where they are not known."""
        if self.low.ndim and self.axis == axis:
            return self.low, self.high
        low, high = self.whole
        return np.array(low), np.array(high)

    def joined(self, other: Interval) -> Interval:
        if self.low.ndim == other.low.ndim and self.axis == other.axis:
            return Interval(
                np.minimum(self.low, other.low), np.maximum(self.high, other.high), self.axis
            )
        pairs = (self.whole, other.whole)
        return Interval.of(min(low for low, _ in pairs), max(high for _, high in pairs))

    def same(self, other: Interval) -> bool:
        return np.array_equal(self.low, other.low) and np.array_equal(self.high, other.high)


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Bounds of a product's partial sums, ``[splits, neurons]``."""

    low: Ints
    high: Ints
    exact: bool
    """Whether no converter errs, so that some inputs reach every bound."""


class Intervals:
    """The bounds of all integer values of a graph and the cells that it runs."""

    def __init__(self, graph: Graph) -> None:
        self.of: dict[Value, Interval] = {}
        self.sums: dict[Mvm, Sums] = {}
        self._go_through(graph, {})

    def _go_through(self, graph: Graph, given: Mapping[Value, Interval]) -> None:
        for value in (*graph.inputs, *graph.weights.values()):
            self._note(value, given.get(value, _unknown(value)))
        slots: dict[str, Interval] = {}
        for patience in range(PATIENCE, -1, -1):
            for op in graph.ops:
                self._step(op, slots)
            written = {op.slot: self.of[op.value] for op in _of(graph, Next) if op.value in self.of}
            wider = {s: found.joined(slots.get(s, found)) for s, found in written.items()}
            if all(s in slots and found.same(slots[s]) for s, found in wider.items()):
                return
            slots = wider if patience > 1 else {s: _endless() for s in wider}

    def _step(self, op: Op, slots: Mapping[str, Interval]) -> None:
        if isinstance(op, Run):
            inner = {v: self._source(s) for v, s in zip(op.cell.inputs, op.sources, strict=True)}
            before = {v: self.of[v] for v in inner if v in self.of}
            joined = {v: i.joined(before[v]) if v in before else i for v, i in inner.items()}
            self._go_through(op.cell, joined)
            for result, made in zip(op.results, op.cell.outputs, strict=True):
                if not made.type.dtype.is_float:
                    self._note(result, Interval.of(*self.of[made].whole))
            return
        for value in op.results:
            if not value.type.dtype.is_float:
                self._note(value, self._made(op, value, slots))

    def _note(self, value: Value, found: Interval) -> None:
        """Keep bounds; no value exceeds its type."""
        if not value.type.dtype.is_float:
            limits = _limits(value)
            low, high = (np.clip(end, *limits) for end in (found.low, found.high))
            self.of[value] = Interval(low, high, found.axis)

    def _source(self, value: Value) -> Interval:
        if value not in self.of:
            self._note(value, _unknown(value))
        return self.of.get(value, _endless())

    def _made(self, op: Op, value: Value, slots: Mapping[str, Interval]) -> Interval:
        match op:
            case Quantize(low=low, high=high):
                return Interval.of(low, high)
            case Mvm():
                self.sums[op] = found = sums_of(op, self._source(op.x))
                axis = value.type.rank - 1 if not op.kernel else 2
                return Interval(found.low.min(axis=0), found.high.max(axis=0), axis)
            case Reduce():
                return self._reduced(op)
            case Rescale():
                return _rescaled(op, self._source(op.x))
            case Add():
                return _added(op, self._source(op.a), self._source(op.b))
            case Digits(bits=bits):
                return Interval.of(0, 2**bits - 1)
            case Join():
                return joined(op, self._source(op.x))
            case Lut():
                return _looked_up(op, self._source(op.x))
            case AveragePool():
                return _averaged(op, self._source(op.x))
            case MaxPool():
                return self._source(op.x)
            case State():
                first = self._source(op.initial)
                return first.joined(slots[op.slot]) if op.slot in slots else first
        if isinstance(op, (Concat, Pad, *MOVES)):
            return _moved(op, [self._source(v) for v in op.present if not v.type.dtype.is_float])
        return _unknown(value)

    def _reduced(self, op: Reduce) -> Interval:
        rank = op.result.type.rank
        if not isinstance(op.partials.op, Mvm):
            count = op.partials.type.shape[0]
            low, high = self._source(op.partials).whole
            times = count if isinstance(count, int) else 1
            found = Interval.of(times * min(low, 0), times * max(high, 0))
            bias = constant(op.bias)
            shift = (0, 0) if bias is None else (int(bias.min()), int(bias.max()))
            return Interval.of(found.whole[0] + shift[0], found.whole[1] + shift[1])
        sums = self.sums[op.partials.op]
        return Interval(
            sums.low.sum(axis=0) + bias_of(op), sums.high.sum(axis=0) + bias_of(op), op.axis % rank
        )


def joined(op: Join, x: Interval) -> Interval:
    """Return the bounds of the sums of whole numbers, given those of their digits."""
    axis = op.axis % op.x.type.rank
    size = op.x.type.shape[axis]
    assert isinstance(size, int)
    powers = 2 ** np.array(op.shifts, np.int64)[:, None]
    most = ENDLESS // int(powers.sum())
    low, high = (
        np.broadcast_to(np.clip(end, -most, most), (size,)).reshape(op.groups, op.count, -1)
        for end in x.along(axis)
    )
    least, greatest = ((end * powers).sum(axis=1).ravel() for end in (low, high))
    return Interval(least, greatest, axis)


def bias_of(op: Reduce) -> Ints:
    bias = constant(op.bias)
    return np.zeros((), np.int64) if bias is None else bias.astype(np.int64)


def sums_of(op: Mvm, x: Interval) -> Sums:
    """Return the bounds of partial sums, given those of the input.

    Where converters may err, no column gives more than all of its rows at the highest level.
    """
    w = constant(op.w)
    starts = np.arange(0, op.fan_in, op.rows or op.fan_in)
    if w is None or not _never_errs(op, w):
        most = np.array([most_of(op.encoding, int(n)) for n in _lengths(starts, op.fan_in)])
        shape = (len(starts), op.outputs)
        whole = np.broadcast_to(most[:, None], shape)
        return Sums(-whole, whole, exact=False)
    low, high = _drives(op, x)
    return Sums(*_extremes(w.reshape(op.groups, -1, op.fan_in), low, high, starts), exact=True)


def _extremes(w: Array, low: Ints, high: Ints, starts: Ints) -> tuple[Ints, Ints]:
    """Return bounds ``[pieces, outputs]`` of the products of ``w`` ``[groups, neurons, rows]``.

    Positive weights are largest with the largest drive, negative ones with the least. Floats of 64
    bits hold all sums of less than 2^22 weights and drives of 16 bits.
    """
    ends = np.stack([low, high], axis=2).astype(np.float64)
    down, up = [], []
    for start, length in zip(starts, _lengths(starts, w.shape[2]), strict=True):
        rows = slice(start, start + length)
        held = w[:, :, rows].astype(np.float64)
        above = np.maximum(held, 0) @ ends[:, rows]
        below = np.minimum(held, 0) @ ends[:, rows]
        down.append((above[..., 0] + below[..., 1]).reshape(-1))
        up.append((above[..., 1] + below[..., 0]).reshape(-1))
    return np.stack(down).astype(np.int64), np.stack(up).astype(np.int64)


def most_of(e: Encoding, rows: int) -> int:
    """Return the largest magnitude that converters make of a block of so many rows."""
    code = max(e.code_max, -e.code_min)
    column = code << e.shift if e.shift else rows * e.cell_max * e.digit_max
    unit = e.code_max << e.unit_shift if e.unit_shift else rows * e.digit_max
    levels = max(int(np.maximum(sign * e.worth, 0).sum()) for sign in (1, -1))
    each = max(column, e.cell_max * unit) * levels + e.bias * unit
    return int(each * sum(1 << p * e.dac_bits for p in range(e.phases)))


def _drives(op: Mvm, x: Interval) -> tuple[Ints, Ints]:
    """Return ``[groups, fan_in]`` bounds of what drives each row."""
    axis = 1 if op.kernel else op.x.type.rank - 1
    top = 2**op.input_bits - 1
    ends = []
    for end, pick in zip(x.along(axis), (np.minimum, np.maximum), strict=True):
        padded = pick(end, op.pad_value) if any(op.pads) else end
        drive = np.clip(padded + op.input_offset, 0, top)
        taps = prod(op.kernel)
        spread = np.repeat(np.broadcast_to(drive, (op.groups * op.fan_in // taps,)), taps)
        ends.append(spread.reshape(op.groups, op.fan_in))
    return ends[0], ends[1]


def _never_errs(op: Mvm, w: Array) -> bool:
    held = (op.block_weights(w, block) for block in op.table())
    return not op.adc_bits or all(bool(lossless(each, op.encoding).all()) for each in held)


def _lengths(starts: Ints, total: int) -> Ints:
    return np.diff(np.append(starts, total))


def _rescaled(op: Rescale, x: Interval) -> Interval:
    """One float32 step after another, each of which never swaps two numbers."""
    scale = constant(op.scale)
    if scale is None:
        return Interval.of(op.low, op.high)
    axis = op.axis % op.x.type.rank
    by = scale.astype(np.float32) if scale.size > 1 else np.float32(scale.reshape(-1)[0])
    ends = [
        saturate(end.astype(np.float32) * by, op.zero, op.low, op.high, DType.I64)
        for end in x.along(axis)
    ]
    return Interval(np.minimum(*ends), np.maximum(*ends), axis)


def _added(op: Add, a: Interval, b: Interval) -> Interval:
    """Both ends of the sum; where channels are known of both alike, by channel."""
    alike = op.a.type.shape == op.b.type.shape and a.low.ndim == b.low.ndim and a.axis == b.axis
    pairs = [(a.low, a.high), (b.low, b.high)] if alike else [_pair(a), _pair(b)]
    ends = []
    for rising in (False, True):
        picks = [
            pair[int(rising == (scale >= 0))]
            for pair, scale in zip(pairs, (op.a_scale, op.b_scale), strict=True)
        ]
        ends.append(np.asarray(op.evaluate(*picks), np.int64))
    return Interval(ends[0], ends[1], a.axis)


def _pair(x: Interval) -> tuple[Ints, Ints]:
    return tuple(np.array(end, np.int64) for end in x.whole)  # type: ignore[return-value]


def _looked_up(op: Lut, x: Interval) -> Interval:
    table = constant(op.table)
    if table is None:
        return _unknown(op.result)
    last = len(table) - 1
    lows, highs = (np.clip(np.atleast_1d(end) - op.low, 0, last) for end in (x.low, x.high))
    parts = [table[low : high + 1] for low, high in zip(lows, highs, strict=True)]
    ends = (np.array([int(f(part)) for part in parts], np.int64) for f in (np.min, np.max))
    low, high = (end.reshape(x.low.shape) for end in ends)
    return Interval(low, high, x.axis)


def _averaged(op: AveragePool, x: Interval) -> Interval:
    """Sums of every number of taps that a window at the edge may have, each in float32."""
    counts = np.arange(1, prod(op.kernel) + 1).reshape(-1, *(1,) * x.low.ndim)
    share = np.float32(op.scale) / counts.astype(np.float32)
    ends = []
    for end, pick in ((x.low, np.minimum), (x.high, np.maximum)):
        centred = end - op.input_zero
        total = counts * (pick(centred, 0) if op.count_include_pad else centred)
        made = saturate(total.astype(np.float32) * share, op.zero, op.low, op.high, DType.I64)
        ends += [made.min(axis=0), made.max(axis=0)]
    return Interval(np.minimum.reduce(ends), np.maximum.reduce(ends), x.axis)


def _moved(op: Op, sources: list[Interval]) -> Interval:
    """Return the bounds of what moves elements, filler of pads included."""
    pairs = [source.whole for source in sources]
    pairs += [(0, 0)] if isinstance(op, Pad) else []
    return Interval.of(min(low for low, _ in pairs), max(high for _, high in pairs))


def _unknown(value: Value) -> Interval:
    if isinstance(value, Weight) and value.data is not None and value.data.size:
        if value.data.dtype.kind in "iub":
            return Interval.of(int(value.data.min()), int(value.data.max()))
        return _endless()
    if value.type.dtype.is_float:
        return _endless()
    return Interval.of(*_limits(value))


def _limits(value: Value) -> tuple[int, int]:
    dtype = value.type.dtype.numpy
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _endless() -> Interval:
    info = np.iinfo(np.int64)
    return Interval.of(int(info.min), int(info.max))


def _of(graph: Graph, kind: type[Next]) -> Iterable[Next]:
    return (op for op in graph.ops if isinstance(op, kind))
