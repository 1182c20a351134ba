"""What each window of an op sees, and waits for: how many windows of the op before, and how many
are done with.

Windows of a convolution come row by row, those of a matrix product in the order of its places, and
steps of a cell one after the other. An op that needs all of its input at once has one window.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.op import Op, Value
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import bind
from neutrams.ir.windows import filled
from neutrams.simulator.digital import Sizes

I64 = NDArray[np.int64]

STREAMED = ("unit.reduce", "unit.lut", "unit.digits", "unit.join", "tensor.reshape")


def windows_of(op: Op, sizes: Sizes, inputs: dict[Value, int]) -> int:
    """Return the windows that an op does in one step.

    Args:
        op: An op of a unit graph.
        sizes: Sizes of symbols.
        inputs: Windows in which each of its operands is made; those that are not made are absent.
            Without any, an image comes in place by place.
    """
    if isinstance(op, Mvm):
        return bind(op.windows, dict(sizes))
    kernel: tuple[int, ...] = getattr(op, "kernel", ())
    if kernel:
        return prod(_spatial(op.result, len(kernel), sizes))
    if inputs:
        return max(inputs.values()) if streams(op) else 1
    return places(op.result, sizes)


def places(value: Value, sizes: Sizes) -> int:
    """Return the places of an image; 1 for what has no place."""
    rank = value.type.rank
    return prod(_spatial(value, rank - 2, sizes)) if rank > 2 else 1


def streams(op: Op) -> bool:
    """Say whether an op works through its input place by place."""
    mixed = op.mixes()
    return op.name in STREAMED or (mixed is not None and not any(mixed))


def block(op: Op, x: Value, made: int, windows: int, sizes: Sizes) -> I64:
    """Return ``[windows, 2]``: windows of an operand that each needs, and that are done with.

    ``made`` windows make the operand.
    """
    kernel: tuple[int, ...] = getattr(op, "kernel", ())
    if kernel and x is op.operands[0]:
        height = _spatial(x, len(kernel), sizes)
        if prod(height) == made:
            return _raster(op, kernel, height, sizes)
    nth = np.arange(windows)
    if windows == 1:
        return np.array([[made, 0]], np.int64)
    return np.stack([-(-(nth + 1) * made // windows), nth * made // windows], axis=1)


def rectangles(op: Op, x: Value, made: int, sizes: Sizes) -> I64 | None:
    """Return ``[windows, 5]``: the rows and columns of an image that each window sees, the first
    and the last of each, and the image's width; ``None`` where windows see no image.

    ``made`` windows make the operand.
    """
    kernel: tuple[int, ...] = getattr(op, "kernel", ())
    if len(kernel) != 2 or x is not op.operands[0]:
        return None
    inside = _spatial(x, 2, sizes)
    if prod(inside) != made:
        return None
    (top, bottom), (left, right) = _ends(op, kernel, inside, sizes)
    return np.stack([top, bottom, left, right, np.full(len(top), inside[1])], axis=1)


def reached(table: I64, source: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of the network's input that has to be there before each window.

    Args:
        table: What each window needs of an operand.
        source: The same for the windows that make the operand.
    """
    before: NDArray[np.float64] = source[np.maximum(table[:, 0], 1) - 1]
    return before


def room(table: I64, source: NDArray[np.float64], reader: NDArray[np.float64]) -> I64:
    """Return ``[windows]`` up to which window an operand has to be held, so that no other operand
    starves.

    When a window starts, as much of the network's input has come as all of its operands need; by
    then this one may be further than the window needs it.
    """
    made = np.searchsorted(source, reader, side="right")
    return np.maximum(made, table[:, 0])


def _raster(op: Op, kernel: tuple[int, ...], inside: tuple[int, ...], sizes: Sizes) -> I64:
    """A window needs all up to its last element, and no row before its first."""
    last = first = np.zeros((), np.int64)
    for axis, (begin, end) in enumerate(_ends(op, kernel, inside, sizes)):
        last = last * inside[axis] + end
        first = first * inside[axis] + (begin if axis == 0 else 0)
    # Later windows of a row may need less of the rows behind; what is needed never shrinks.
    return np.stack([np.maximum.accumulate(last + 1), first], axis=1)


def _ends(
    op: Op, kernel: tuple[int, ...], inside: tuple[int, ...], sizes: Sizes
) -> list[tuple[I64, I64]]:
    """Return for each axis the first and the last place that each window sees."""
    strides, pads, dilations = filled(
        len(kernel),
        getattr(op, "strides", ()),
        getattr(op, "pads", ()),
        getattr(op, "dilations", ()),
    )
    outside = _spatial(op.result, len(kernel), sizes)
    places = np.indices(outside).reshape(len(kernel), -1)
    found = []
    for axis, size in enumerate(inside):
        begin = places[axis] * strides[axis] - pads[axis]
        end = begin + (kernel[axis] - 1) * dilations[axis]
        found.append((np.clip(begin, 0, size - 1), np.clip(end, 0, size - 1)))
    return found


def _spatial(value: Value, rank: int, sizes: Sizes) -> tuple[int, ...]:
    return tuple(bind(dim, dict(sizes)) for dim in value.type.shape[-rank:])
