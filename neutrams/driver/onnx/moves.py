"""``tensor.*``: ops that give elements another place, type or number."""

from __future__ import annotations

import numpy as np

from neutrams.driver.onnx.emitter import ONNX_TYPES, Emitter, rule
from neutrams.driver.onnx.simple import node, same
from neutrams.driver.onnx.widths import computed_in
from neutrams.ir.ops import indexing as at
from neutrams.ir.ops import tensors as move
from neutrams.ir.ops.spatial import DepthToSpace, SpaceToDepth
from neutrams.ir.types import DType, Symbol

same(move.Transpose, "Transpose", lambda op: {"perm": op.permutation})
same(move.Concat, "Concat", lambda op: {"axis": op.axis})
same(move.Shape, "Shape")
same(at.Gather, "Gather", lambda op: {"axis": op.axis})
same(at.GatherElements, "GatherElements", lambda op: {"axis": op.axis})
same(at.GatherNd, "GatherND", lambda op: {"batch_dims": op.batch_dims})
same(
    at.ScatterElements,
    "ScatterElements",
    lambda op: {"axis": op.axis, "reduction": op.reduction},
)
same(at.ScatterNd, "ScatterND", lambda op: {"reduction": op.reduction})


@rule(move.Reshape)
def reshape(op: move.Reshape, emit: Emitter) -> str:
    x = emit[op.x]
    sizes = emit.sizes(op.shape, x, op.x.type.shape)
    return emit.add("Reshape", x, sizes, allowzero=int(0 in op.shape))


@rule(move.Expand)
def expand(op: move.Expand, emit: Emitter) -> str:
    """A size of 1 keeps what ``x`` has, so symbols need no number."""
    known = op.x.type.shape
    kept = (1,) * (len(op.shape) - len(known)) + known
    pairs = zip(op.shape, kept, strict=True)
    sizes = [1 if dim == own and isinstance(dim, Symbol) else dim for dim, own in pairs]
    if any(isinstance(dim, Symbol) and dim not in known for dim in sizes):
        raise op.fault("NT0550", "it grows to a size that its operand does not have")
    parts = emit.sizes(sizes, emit[op.x], known) if _unknown(sizes) else emit.ints(map(_int, sizes))
    return emit.add("Expand", emit[op.x], parts)


@rule(move.Split)
def split(op: move.Split, emit: Emitter) -> tuple[str, ...]:
    sizes = emit.ints(op.sizes)
    return tuple(emit.several("Split", emit[op.x], sizes, outputs=len(op.sizes), axis=op.axis))


@rule(move.Slice)
def slice_(op: move.Slice, emit: Emitter) -> str:
    steps = op.steps or (1,) * len(op.axes)
    cuts = (emit.ints(numbers) for numbers in (op.starts, op.ends, op.axes, steps))
    return emit.add("Slice", emit[op.x], *cuts)


@rule(move.Pad)
def pad(op: move.Pad, emit: Emitter) -> str:
    dtype = op.x.type.dtype
    work = computed_in("Pad", dtype)
    value = "" if op.value is None else emit.cast(emit[op.value], dtype, work)
    if value and op.value is not None and op.value.type.rank:
        value = emit.add("Reshape", value, emit.ints([]))
    x = emit.cast(emit[op.x], dtype, work)
    return emit.cast(emit.add("Pad", x, emit.ints(op.pads), value, mode=op.mode), work, dtype)


@rule(move.Tile)
def tile(op: move.Tile, emit: Emitter) -> str:
    return emit.add("Tile", emit[op.x], emit.ints(op.repeats))


@rule(move.Cast)
def cast(op: move.Cast, emit: Emitter) -> str:
    if op.bits:
        raise op.fault("NT0550", "bytes cannot be read as another type")
    return emit.add("Cast", emit[op.x], to=ONNX_TYPES[op.dtype])


@rule(move.ReverseSequence)
def reverse_sequence(op: move.ReverseSequence, emit: Emitter) -> str:
    lengths = emit.cast(emit[op.lengths], op.lengths.type.dtype, DType.I64)
    axes = {"batch_axis": op.batch_axis, "time_axis": op.time_axis}
    return emit.add("ReverseSequence", emit[op.x], lengths, **axes)


@rule(at.Update)
def update(op: at.Update, emit: Emitter) -> str:
    """Number the places of every sample, and scatter slices of the axis there."""
    rank = op.cache.type.rank
    order = [0, op.axis % rank, *(i for i in range(1, rank) if i != op.axis % rank)]
    cache = emit.add("Transpose", emit[op.cache], perm=order)
    x = emit.add("Transpose", emit[op.x], perm=order)
    length, steps = op.cache.type.shape[order[1]], op.x.type.shape[order[1]]
    if isinstance(length, Symbol) or isinstance(steps, Symbol):
        raise op.fault("NT0550", "it writes along an axis of unknown size")
    count = emit.add("Squeeze", emit.add("Shape", x, start=0, end=1))
    one, none = emit.scalar(1, DType.I64), emit.scalar(0, DType.I64)
    samples = emit.add("Unsqueeze", emit.add("Range", none, count, one), emit.ints([1]))
    places = emit.constant(np.arange(steps)[None])
    if op.starts is not None:
        first = emit.cast(emit[op.starts], op.starts.type.dtype, DType.I64)
        places = emit.add("Add", emit.add("Unsqueeze", first, emit.ints([1])), places)
    if op.circular:
        places = emit.add("Mod", places, emit.scalar(length, DType.I64))
    shape = emit.add("Concat", emit.add("Shape", x, start=0, end=1), emit.ints([steps]), axis=0)
    pairs = (emit.add("Expand", each, shape) for each in (samples, places))
    index = [emit.add("Unsqueeze", each, emit.ints([2])) for each in pairs]
    written = emit.add("ScatterND", cache, emit.add("Concat", *index, axis=2), x)
    return emit.add("Transpose", written, perm=[order.index(i) for i in range(rank)])


@rule(at.OneHot)
def one_hot(op: at.OneHot, emit: Emitter) -> str:
    dtype = op.values.type.dtype
    work = dtype if dtype in (DType.I64, DType.F32) else DType.F32
    if dtype in (DType.I32, DType.U32):
        work = DType.I64
    indices = emit.cast(emit[op.indices], op.indices.type.dtype, DType.I64)
    values = emit.cast(emit[op.values], dtype, work)
    depth = emit.scalar(op.depth, DType.I64)
    return emit.cast(emit.add("OneHot", indices, depth, values, axis=op.axis), work, dtype)


@rule(at.Trilu)
def trilu(op: at.Trilu, emit: Emitter) -> str:
    return node(op, emit, "Trilu", emit.scalar(op.k, DType.I64), upper=int(op.upper))


@rule(DepthToSpace)
def depth_to_space(op: DepthToSpace, emit: Emitter) -> str:
    return node(op, emit, "DepthToSpace", blocksize=op.block, mode=op.mode)


@rule(SpaceToDepth)
def space_to_depth(op: SpaceToDepth, emit: Emitter) -> str:
    n, c, h, w = op.x.type.shape
    s = op.block
    assert isinstance(c, int)
    assert isinstance(h, int)
    assert isinstance(w, int)
    order = (0, 3, 5, 1, 2, 4) if op.mode == "DCR" else (0, 1, 3, 5, 2, 4)
    x = emit[op.x]
    known = op.x.type.shape
    blocks = emit.add("Reshape", x, emit.sizes((n, c, h // s, s, w // s, s), x, known))
    moved = emit.add("Transpose", blocks, perm=order)
    return emit.add("Reshape", moved, emit.sizes(op.result.type.shape, x, known))


def _unknown(sizes: list[int | Symbol]) -> bool:
    return any(isinstance(dim, Symbol) for dim in sizes)


def _int(dim: int | Symbol) -> int:
    assert isinstance(dim, int)
    return dim
