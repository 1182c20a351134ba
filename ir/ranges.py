"""Which integers a value can hold, proved from how it is made."""

from __future__ import annotations

import numpy as np

from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.digits import Digits
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.quantization import Quantize
from neutrams.ir.ops.spatial import DepthToSpace, SpaceToDepth
from neutrams.ir.ops.tensors import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from neutrams.ir.ops.unit import Add, AveragePool, Lut, Rescale

Bounds = tuple[int, int]

MOVES = (
    *(DepthToSpace, Expand, Gather, MaxPool, Reshape, Slice),
    *(SpaceToDepth, Split, Tile, Transpose),
)
"""Ops whose results are elements of their first operand."""


def proved_range(value: Value) -> Bounds:
    """Return bounds that the op which makes a value keeps to; else those that are stated of it."""
    match value.op:
        case Quantize(low=low, high=high) | Rescale(low=low, high=high):
            return low, high
        case Add(low=low, high=high) | AveragePool(low=low, high=high):
            return low, high
        case Digits(bits=bits):
            return 0, 2**bits - 1
        case Lut(table=Weight() as table):
            return held_numbers(table)
        case Concat(parts=parts):
            return _joined(*map(proved_range, parts))
        case Pad(x=x, value=Weight() as filler):
            return _joined(proved_range(x), held_numbers(filler))
        case op if isinstance(op, MOVES):
            first = op.operands[0]
            assert first is not None
            return proved_range(first)
    return stated_range(value)


def stated_range(value: Value) -> Bounds:
    """Return the range that is noted of an integer value, or that of its numbers or its type."""
    if value.type.range is not None:
        return int(value.type.range[0]), int(value.type.range[1])
    if isinstance(value, Weight) and value.data is not None and value.data.size:
        return int(value.data.min()), int(value.data.max())
    info = np.iinfo(value.type.dtype.numpy)
    return int(info.min), int(info.max)


def held_numbers(weight: Weight) -> Bounds:
    """Return the least and the largest number of a weight; where unknown, what is stated of it."""
    if weight.data is None or not weight.data.size:
        return stated_range(weight)
    return int(weight.data.min()), int(weight.data.max())


def _joined(*bounds: Bounds) -> Bounds:
    return min(low for low, _ in bounds), max(high for _, high in bounds)
