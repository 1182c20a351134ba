"""Averages over all places of an image, however they are written."""

from __future__ import annotations

from neutrams.ir.op import Op
from neutrams.ir.ops.reductions import ReduceMean


def pools_all(op: Op | None) -> bool:
    """Whether an op averages over all spatial dimensions of ``[N, C, *sizes]`` and no other."""
    if not isinstance(op, ReduceMean) or op.x.type.rank < 3:
        return False
    rank, spatial = op.x.type.rank, op.x.type.shape[2:]
    axes = sorted(axis % rank for axis in op.axes)
    return axes == list(range(2, rank)) and all(isinstance(dim, int) for dim in spatial)
