"""Digital ops in one pass over memory, where their NumPy meaning makes many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir import interpreter
from neutrams.ir.kernel import kernel
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.unit import Add, AveragePool, saturate
from neutrams.ir.types import Array
from neutrams.ir.windows import taps, windows

Ints = NDArray[np.integer[Any]]


def evaluate(op: Op, live: Mapping[Value, Array]) -> tuple[Array, ...]:
    """Return the results of one op, equal to those of the interpreter."""
    if isinstance(op, Add) and live[op.a].shape == live[op.b].shape:
        return (_added(op, live[op.a], live[op.b]),)
    if isinstance(op, AveragePool):
        return (_averaged(op, live[op.x]),)
    return interpreter.evaluate(op, live)


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
