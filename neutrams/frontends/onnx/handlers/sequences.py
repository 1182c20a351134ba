"""Operators that reorder or crop along axes, and lists of tensors cut from one.

Such a list is known by its first piece: the op that makes it makes the others too.
"""

from __future__ import annotations

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import ints, positive
from neutrams.frontends.onnx.handlers.geometry import whole
from neutrams.frontends.onnx.handlers.tensors import pieces, reshaped
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.tensors import Pad, Reshape, ReverseSequence, Split


@handles("ReverseSequence")
def reverse_sequence(node: Node, build: Builder) -> Value:
    batch, time = node.attr("batch_axis", 1), node.attr("time_axis", 0)
    return build.add(ReverseSequence(node[0], node[1], batch_axis=batch, time_axis=time))


@handles("CenterCropPad")
def center_crop_pad(node: Node, build: Builder) -> Value:
    """Cut, or pad with zeros, evenly on both sides; the end gets the odd one."""
    x = node[0]
    rank = x.type.rank
    axes = [positive(a, rank, node) for a in node.attr("axes", range(rank))]
    pads = [0] * (2 * rank)
    for axis, size in zip(axes, ints(node.const(1)), strict=True):
        have = whole(node, x.type.shape[axis])
        begin = (max(size, have) - min(size, have)) // 2
        end = max(size, have) - min(size, have) - begin
        sign = 1 if size >= have else -1
        pads[axis], pads[axis + rank] = sign * begin, sign * end
    return build.add(Pad(x, pads=tuple(pads))) if any(pads) else x


@handles("SplitToSequence")
def split_to_sequence(node: Node, build: Builder) -> Value:
    """Cut a tensor; without stated sizes into slices, of which ``keepdims=0`` drops the axis."""
    x = node[0]
    axis = positive(node.attr("axis", 0), x.type.rank, node)
    size = whole(node, x.type.shape[axis])
    given = node.const_or(1, None)
    sizes = (1,) * size if given is None else pieces(size, given)
    cut = Split(x, axis=axis, sizes=sizes)
    first = build.add_all(cut)[0]
    if given is None and not node.attr("keepdims", 1):
        dims = [dim for place, dim in enumerate(x.type.shape) if place != axis]
        return reshaped(first, dims, build)
    return first


@handles("SequenceAt")
def sequence_at(node: Node, build: Builder) -> Value:
    """Return a piece, of a list that is cut while compiling."""
    first, place = node[0], int(node.const(1))
    flat = isinstance(first.op, Reshape)
    piece = first.op.x if isinstance(first.op, Reshape) else first
    if not isinstance(piece.op, Split) or piece.index:
        raise node.fault("NT0610", "only lists that `SplitToSequence` makes of inputs are known")
    found = piece.op.results
    if not -len(found) <= place < len(found):
        raise node.fault("NT0610", f"there is no piece {place} among {len(found)}")
    return reshaped(found[place], first.type.shape, build) if flat else found[place]
