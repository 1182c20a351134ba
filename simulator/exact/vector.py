"""Digital ops in one pass over memory, where their NumPy meaning makes many."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir import interpreter
from neutrams.ir.kernel import kernel
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.unit import Add, AveragePool, Lut, saturate
from neutrams.ir.types import Array
from neutrams.ir.windows import taps, windows
from neutrams.simulator.exact.layout import samples_first

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float32]


def evaluate(op: Op, live: Mapping[Value, Array]) -> tuple[Array, ...]:
    """Return the results of one op, equal to those of the interpreter."""
    if isinstance(op, Add) and live[op.a].shape == live[op.b].shape:
        return (_added(op, live[op.a], live[op.b]),)
    if isinstance(op, AveragePool):
        return (_averaged(op, live[op.x]),)
    if isinstance(op, Lut):
        return (_looked_up(op, live[op.x], live[op.table]),)
    if isinstance(op, Dequantize) and live[op.scale].dtype == np.float32:
        return (_floats(op, live[op.x], live[op.scale], live[op.zero]),)
    if isinstance(op, Quantize) and live[op.scale].size == 1 and live[op.x].dtype == np.float32:
        return (_rounded(op, live[op.x], live[op.scale], live[op.zero]),)
    return interpreter.evaluate(op, live)


def _looked_up(op: Lut, x: Array, table: Array) -> Array:
    """Look up in the order in which the input lies in memory."""
    order = np.argsort(x.strides, kind="stable")[::-1]
    x = np.asarray(x.transpose(order), order="C")
    out = np.empty(x.shape, table.dtype)
    look_up(x.reshape(-1), np.ascontiguousarray(table), op.low, out.reshape(-1))
    return out.transpose(np.argsort(order))


def _floats(op: Dequantize, x: Array, scale: Array, zero: Array) -> Array:
    """Return floats in C order, in which digital units read them."""
    x = samples_first(x)
    out = np.empty(x.shape, np.float32)
    inner = prod(x.shape[op.axis % x.ndim + 1 :]) if scale.size > 1 else x.size
    apart = (-1, scale.size, max(inner, 1))
    zeros = np.asarray(zero, np.int64).reshape(-1)
    dequantize(x.reshape(apart), zeros, np.array(scale).reshape(-1), out.reshape(apart))
    return out


def _rounded(op: Quantize, x: Array, scale: Array, zero: Array) -> Array:
    x = samples_first(x)
    out = np.empty(x.shape, op.dtype.numpy)
    quantize(
        x.reshape(-1), scale.reshape(-1)[0], np.float64(zero.reshape(-1)[0]),
        np.float64(op.low), np.float64(op.high), out.reshape(-1),
    )  # fmt: skip
    return out


def _added(op: Add, a: Array, b: Array) -> Array:
    order = np.argsort(a.strides, kind="stable")[::-1]
    a, b = (np.ascontiguousarray(x.transpose(order)) for x in (a, b))
    out = np.empty(a.shape, op.dtype.numpy)
    add(
        a.reshape(-1), b.reshape(-1),
        np.int64(op.a_zero), np.int64(op.b_zero),
        np.float32(op.a_scale), np.float32(op.b_scale),
        np.float32(op.zero), np.float32(op.low), np.float32(op.high), out.reshape(-1),
    )  # fmt: skip
    return out.transpose(np.argsort(order))


def _averaged(op: AveragePool, x: Array) -> Array:
    """Add window by window, in the order in which the input lies in memory."""
    geometry = (op.kernel, op.strides, op.pads, op.dilations)
    seen = windows(x.astype(np.int64) - op.input_zero, *geometry, ceil_mode=op.ceil_mode)
    places = [(slice(None), slice(None), *place) for place in np.ndindex(*op.kernel)]
    total = np.zeros_like(seen[places[0]])
    for place in places:
        total += seen[place]
    count = taps(x.shape[2:], *geometry, ceil_mode=op.ceil_mode, include_pad=op.count_include_pad)
    share = np.float32(op.scale) / count.astype(np.float32)
    return saturate(total.astype(np.float32) * share, op.zero, op.low, op.high, op.dtype)


@kernel
def add(
    a: Ints,
    b: Ints,
    a_zero: np.int64,
    b_zero: np.int64,
    a_scale: np.float32,
    b_scale: np.float32,
    zero: np.float32,
    low: np.float32,
    high: np.float32,
    out: Ints,
) -> None:
    """Write what ``unit.add`` means, element by element; see :class:`Add`."""
    for n in range(a.shape[0]):
        left = np.float32(np.float32(np.int64(a[n]) - a_zero) * a_scale)
        right = np.float32(np.float32(np.int64(b[n]) - b_zero) * b_scale)
        value = np.float32(np.rint(np.float32(left + right)) + zero)
        out[n] = np.int64(min(max(value, low), high))


@kernel
def look_up(x: Ints, table: NDArray[Any], low: int, out: NDArray[Any]) -> None:
    """Write what ``unit.lut`` means; ``np.take`` would make an index of 8 bytes of each element."""
    for n in range(x.shape[0]):
        out[n] = table[np.int64(x[n]) - low]


@kernel
def dequantize(x: Ints, zero: NDArray[np.int64], scale: Floats, out: Floats) -> None:
    """Write what ``nn.dequantize`` means for ``[outer, scales, inner]``."""
    for outer in range(x.shape[0]):
        for channel in range(x.shape[1]):
            for n in range(x.shape[2]):
                steps = np.int64(x[outer, channel, n]) - zero[channel]
                out[outer, channel, n] = np.float32(np.float32(steps) * scale[channel])


@kernel
def quantize(
    x: Floats, scale: np.float32, zero: np.float64, low: np.float64, high: np.float64, out: Ints
) -> None:
    """Write what ``nn.quantize`` means for one scale; see :class:`Quantize`."""
    for n in range(x.shape[0]):
        value = np.float64(np.rint(np.float32(x[n] / scale))) + zero
        out[n] = np.int64(min(max(value, low), high))
