"""Moves transposes and reshapes of dequantised weights onto their integers."""

from __future__ import annotations

from collections.abc import Callable

from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.tensors import Reshape, Transpose


def moved_before(op: Op, add: Callable[[Op], Value]) -> Dequantize | None:
    """Return what equals ``op`` and dequantises last, or ``None`` where there is no such thing.

    A transposed dequantised weight becomes a dequantised transposed weight, so that what is
    stored, folded and mapped stays integer.

    Args:
        op: an op not yet in the graph.
        add: puts the op on the integers into the graph.
    """
    if not isinstance(op, Transpose | Reshape):
        return None
    source = op.x.op
    if not isinstance(source, Dequantize) or not isinstance(source.x, Weight):
        return None
    scale, zero = source.scale, source.zero
    if isinstance(op, Reshape):
        if scale.type.rank:
            return None
        return Dequantize(add(Reshape(source.x, shape=op.shape)), scale, zero, axis=0)
    rank = source.x.type.rank
    axis = op.permutation.index(source.axis % rank) if scale.type.rank else 0
    moved = add(Transpose(source.x, permutation=op.permutation))
    return Dequantize(moved, scale, zero, axis=axis)
