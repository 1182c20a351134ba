"""Exact products of bytes: inputs joined in fours of channels, which windows see where they lie.

A convolution needs no unfolded windows so: an element of a joined input holds four channels of
one place, and each tap of the kernel meets a run of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.ir.windows import filled, out_sizes
from neutrams.simulator.exact.collect import I64
from neutrams.simulator.exact.dots import FOUR, NEURONS, PLACES, Fours, Signed, Sums, dot
from neutrams.simulator.exact.layout import aligned, samples_last

Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Taps:
    """Weights of a matrix as :func:`dot` reads them."""

    weights: Signed
    """``[groups, blocks, taps, NEURONS, FOUR]``."""

    @staticmethod
    def of(weights: Array, kernel: tuple[int, ...]) -> Taps:
        """Pack ``[groups, neurons, channels × kernel]``; what is missing to whole fours is 0."""
        groups, neurons, rows = weights.shape
        places = prod(kernel)
        blocks, fours = -(-neurons // NEURONS), -(-rows // places // FOUR)
        held = np.zeros((groups, blocks * NEURONS, fours * FOUR, places), np.int8)
        held[:, :neurons, : rows // places] = weights.reshape(groups, neurons, -1, places)
        apart = held.reshape(groups, blocks, NEURONS, fours, FOUR, places)
        order = apart.transpose(0, 1, 3, 5, 2, 4)
        return Taps(np.ascontiguousarray(order).reshape(groups, blocks, -1, NEURONS, FOUR))


@dataclass(frozen=True, slots=True)
class Seen:
    """A joined input, and where windows find what they see."""

    drive: Fours
    """``[groups, elements]``."""
    taps: I64
    """``[taps]`` elements from a window's first one to that of each tap."""
    starts: I64
    """``[runs]`` where the windows of a run start; they lie one behind the other."""
    run: int
    """Windows of a run."""


def rows_seen(drive: Array) -> Seen:
    """Join unsigned ``drive`` ``[groups, rows, places]``, at least ``PLACES`` of them."""
    groups, rows, places = drive.shape
    fours, alone = -(-rows // FOUR), np.zeros(1, np.int64)
    out = aligned((groups, fours, places), np.uint32)
    join(np.ascontiguousarray(drive)[:, :, None], 0, alone, out)
    return Seen(out.reshape(groups, -1), np.arange(fours) * places, alone, places)


def seen(op: Mvm, x: Array) -> Seen | None:
    """Join an input; ``None`` where too few windows lie one behind the other.

    The numbers of ``x + op.input_offset`` fit a byte.
    """
    if not op.kernel:
        x = x.reshape(-1, x.shape[-1])
    samples, rank = len(x), len(op.kernel)
    strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
    outside = out_sizes(x.shape[2:], op.kernel, op.strides, op.pads, op.dilations)
    ahead = rank - 1 if strides[-1:] == (1,) else rank  # axes along which windows lie apart
    run = samples * prod(outside[ahead:])
    if run < PLACES:
        return None
    inside = [size + pads[i] + pads[i + rank] for i, size in enumerate(x.shape[2:])]
    steps = [samples * prod(inside[i + 1 :]) for i in range(rank)]
    size, fours = samples * prod(inside), -(-x.shape[1] // op.groups // FOUR)
    drive = aligned((op.groups, fours, size), np.uint32)
    if any(pads):
        drive.fill((op.pad_value + op.input_offset) * 0x01010101)
    across = x.shape[2:-1]
    rows = _sums(across, steps, base=sum(p * s for p, s in zip(pads, steps, strict=False)))
    last = samples_last(x).reshape(op.groups, x.shape[1] // op.groups, len(rows), -1)
    join(last, op.input_offset, rows, drive)
    taps = _sums(op.kernel, [s * d for s, d in zip(steps, dilations, strict=True)])
    taps = (np.arange(fours)[:, None] * size + taps).reshape(-1)
    starts = _sums(outside[:ahead], [s * t for s, t in zip(steps, strides, strict=True)])
    return Seen(drive.reshape(op.groups, -1), taps, starts, run)


def _sums(sizes: tuple[int, ...], steps: list[int], base: int = 0) -> I64:
    """Return where each place of a grid lies, given the step along each axis."""
    places = np.array([base], np.int64)
    for size, step in zip(sizes, steps, strict=False):
        places = np.add.outer(places, np.arange(size) * step).reshape(-1)
    return places


@kernel
def join(x: Ints, plus: int, starts: I64, out: Fours) -> None:
    """Join four channels in each element of ``out`` ``[groups, fours, elements]``.

    Args:
        x: ``[groups, channels, rows, run]``.
        plus: added to every number, which then fits a byte.
        starts: ``[rows]`` where the run of a row starts in ``out``.
        out: result; channels that are missing in the last four are 0.
    """
    for group in range(x.shape[0]):
        for four in range(out.shape[1]):
            low = FOUR * four
            missing = max(low + FOUR - x.shape[1], 0)
            for row in range(x.shape[2]):
                into = out[group, four, starts[row] : starts[row] + x.shape[3]]
                if missing:
                    into[:] = 0
                    for channel in range(low, x.shape[1]):
                        up = 8 * (channel - low)
                        for n in range(into.shape[0]):
                            byte = np.int64(x[group, channel, row, n]) + plus
                            into[n] |= np.uint32(byte << up)
                    continue
                a, b = x[group, low, row], x[group, low + 1, row]
                c, d = x[group, low + 2, row], x[group, low + 3, row]
                for n in range(into.shape[0]):
                    first = np.uint32(np.int64(a[n]) + plus)
                    second = np.uint32(np.int64(b[n]) + plus)
                    third = np.uint32(np.int64(c[n]) + plus)
                    fourth = np.uint32(np.int64(d[n]) + plus)
                    into[n] = np.uint32(first | second << 8 | third << 16 | fourth << 24)


@kernel
def add_products(
    weights: Signed, drive: Fours, taps: I64, starts: I64, run: int, out: Ints
) -> None:
    """Add to ``out`` ``[groups, neurons, places]`` the products with what windows see.

    Args:
        weights: see :class:`Taps`.
        drive: see :class:`Seen`.
        taps: see there.
        starts: see there.
        run: see there.
        out: result.
    """
    sums = np.empty((NEURONS, PLACES), np.int32)
    wide = out.dtype.type
    tiles = (run + PLACES - 1) // PLACES
    for group in range(weights.shape[0]):
        held, given = weights[group], drive[group]
        for at in range(starts.shape[0] * tiles):
            tile = at % tiles
            first = min(tile * PLACES, run - PLACES)
            fresh = tile * PLACES - first  # windows before were those of the last tile, too
            place = at // tiles * run + first
            for block in range(weights.shape[1]):
                start = starts[at // tiles] + first
                dot(held, block, given, start, taps, sums)
                low = block * NEURONS
                for neuron in range(low, min(low + NEURONS, out.shape[1])):
                    into, seen = out[group, neuron], sums[neuron - low]
                    for n in range(fresh, PLACES):
                        into[place + n] += wide(seen[n])


@kernel
def rescaled_products(
    weights: Signed,
    drive: Fours,
    taps: I64,
    starts: I64,
    run: int,
    bias: Sums,
    scale: NDArray[np.float32],
    zero: np.float32,
    low: np.float32,
    high: np.float32,
    out: Ints,
) -> None:
    """Write what :func:`~neutrams.simulator.exact.rescale.rescale` makes of the products.

    Args:
        weights: see :class:`Taps`.
        drive: see :class:`Seen`.
        taps: see there.
        starts: see there.
        run: see there.
        bias: ``[groups, neurons]``; no sum passes 32 bits.
        scale: ``[groups, neurons]``.
        zero: added after rounding.
        low: smallest result.
        high: largest result, which 31 bits hold.
        out: ``[groups, neurons, places]`` result.
    """
    sums = np.empty((NEURONS, PLACES), np.int32)
    tiles = (run + PLACES - 1) // PLACES
    for group in range(weights.shape[0]):
        held, given = weights[group], drive[group]
        for at in range(starts.shape[0] * tiles):
            first = min(at % tiles * PLACES, run - PLACES)
            place = at // tiles * run + first
            for block in range(weights.shape[1]):
                start = starts[at // tiles] + first
                dot(held, block, given, start, taps, sums)
                base = block * NEURONS
                for neuron in range(base, min(base + NEURONS, out.shape[1])):
                    plus, factor = bias[group, neuron], scale[group, neuron]
                    into, seen = out[group, neuron, place : place + PLACES], sums[neuron - base]
                    for n in range(PLACES):
                        total = np.int32(seen[n] + plus)
                        value = np.float32(np.rint(np.float32(np.float32(total) * factor)) + zero)
                        into[n] = np.int32(min(max(value, low), high))
