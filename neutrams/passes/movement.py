"""Ops that only move elements, or choose among them, and so do the same to integers."""

from __future__ import annotations

from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.reductions import ReduceMax
from neutrams.ir.ops.spatial import DepthToSpace, Resize, SpaceToDepth
from neutrams.ir.ops.tensors import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from neutrams.passes.match import constant, floats


def moved_operands(op: Op | None) -> list[Value]:
    """Return the operands whose elements an op moves; empty where it does anything else."""
    if op is None or not all(floats(value) for value in op.results):
        return []
    match op:
        case Concat(parts=parts) if not any(isinstance(part, Weight) for part in parts):
            return list(parts)
        case MaxPool(x=x) | ReduceMax(x=x) | DepthToSpace(x=x) | SpaceToDepth(x=x):
            return [x]
        case Gather(x=x, indices=indices) if isinstance(indices, Weight):
            return [x]
        case Resize(x=x, mode="nearest", coordinates=how) if how != "tf_crop_and_resize":
            return [x]
        case Reshape(x=x) | Transpose(x=x) | Slice(x=x) | Split(x=x) | Expand(x=x) | Tile(x=x):
            return [x]
        case Pad(x=x, value=value, mode=mode) if mode != "constant" or _pads_zero(value):
            return [x]
    return []


def _pads_zero(value: Value | None) -> bool:
    if value is None:
        return True
    data = constant(value)
    return data is not None and not data.any()
