"""Float islands: products, pools, normalisation, summaries along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from neutrams.driver.onnx.emitter import Emitter, rule
from neutrams.driver.onnx.products import covering_pads
from neutrams.driver.onnx.simple import node, same
from neutrams.driver.onnx.widths import computed_in
from neutrams.ir.ops import normalization as norm
from neutrams.ir.ops import reductions as sums
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.pooling import AveragePool, LpPool, MaxPool, MaxPoolIndices, MaxUnpool, Pool
from neutrams.ir.ops.products import Det, Einsum, Matmul
from neutrams.ir.types import DType

same(Matmul, "MatMul")
same(Einsum, "Einsum", lambda op: {"equation": op.equation})
same(Det, "Det")
same(sums.Softmax, "Softmax", lambda op: {"axis": op.axis})
same(sums.LogSoftmax, "LogSoftmax", lambda op: {"axis": op.axis})
same(sums.Hardmax, "Hardmax", lambda op: {"axis": op.axis})
same(norm.BatchNorm, "BatchNormalization", lambda op: {"epsilon": op.epsilon})
same(norm.InstanceNorm, "InstanceNormalization", lambda op: {"epsilon": op.epsilon})
same(
    norm.GroupNorm,
    "GroupNormalization",
    lambda op: {"epsilon": op.epsilon, "num_groups": op.groups},
)
same(norm.LpNorm, "LpNormalization", lambda op: {"axis": op.axis, "p": op.p})
same(norm.Lrn, "LRN", lambda op: op.attributes())

_REDUCTIONS: dict[type[sums.Reduction], str] = {
    sums.ReduceSum: "ReduceSum",
    sums.ReduceMean: "ReduceMean",
    sums.ReduceProd: "ReduceProd",
    sums.ReduceMax: "ReduceMax",
    sums.ReduceMin: "ReduceMin",
    sums.ReduceL1: "ReduceL1",
    sums.ReduceL2: "ReduceL2",
    sums.ReduceSumSquare: "ReduceSumSquare",
    sums.ReduceLogSum: "ReduceLogSum",
    sums.ReduceLogSumExp: "ReduceLogSumExp",
}


@rule(*_REDUCTIONS)
def reduction(op: sums.Reduction, emit: Emitter) -> str:
    name, dtype = _REDUCTIONS[type(op)], op.x.type.dtype
    if op.axes:
        return node(op, emit, name, emit.ints(op.axes), keepdims=int(op.keepdims))
    work, first = computed_in(name, dtype), emit.ints([0])
    x = emit.add("Unsqueeze", emit.cast(emit[op.x], dtype, work), first)
    return emit.cast(emit.add(name, x, first, keepdims=0), work, dtype)


@rule(sums.Argmax, sums.Argmin)
def arg_extreme(op: sums.ArgExtreme, emit: Emitter) -> str:
    name = "ArgMax" if isinstance(op, sums.Argmax) else "ArgMin"
    flags = {"keepdims": int(op.keepdims), "select_last_index": int(op.last)}
    return node(op, emit, name, axis=op.axis, **flags)


@rule(sums.Topk)
def topk(op: sums.Topk, emit: Emitter) -> tuple[str, ...]:
    dtype = op.x.type.dtype
    work = computed_in("TopK", dtype)
    x = emit.cast(emit[op.x], dtype, work)
    flags = {"axis": op.axis, "largest": int(op.largest), "sorted": 1}
    values, places = emit.several("TopK", x, emit.ints([op.k]), outputs=2, **flags)
    return emit.cast(values, work, dtype), places


@rule(sums.Cumsum)
def cumsum(op: sums.Cumsum, emit: Emitter) -> str:
    flags = {"exclusive": int(op.exclusive), "reverse": int(op.reverse)}
    return node(op, emit, "CumSum", emit.scalar(op.axis, DType.I64), **flags)


@rule(sums.Cumprod)
def cumprod(op: sums.Cumprod, emit: Emitter) -> str:
    """ONNX has none in this version: multiply each element's predecessors, ones elsewhere."""
    dtype, rank = op.x.type.dtype, op.x.type.rank
    axis = op.axis % rank
    size = op.x.type.shape[axis]
    if not isinstance(size, int):
        raise op.fault("NT0550", "it runs along an axis of unknown size")
    work = computed_in("ReduceProd", dtype)
    seen = np.tri(size, k=-1 if op.exclusive else 0, dtype=bool)
    seen = seen[::-1, ::-1] if op.reverse else seen
    x = emit.add("Unsqueeze", emit.cast(emit[op.x], dtype, work), emit.ints([axis]))
    mask = emit.constant(seen.reshape(size, size, *(1,) * (rank - axis - 1)))
    held = emit.add("Where", mask, x, emit.scalar(1, work))
    made = emit.add("ReduceProd", held, emit.ints([axis + 1]), keepdims=0)
    return emit.cast(made, work, dtype)


@rule(Conv)
def conv(op: Conv, emit: Emitter) -> str:
    if not op.x.type.dtype.is_float:
        raise op.fault("NT0550", "a convolution of integers that is no `unit.mvm`")
    kernel = op.w.type.static_shape()[2:]
    return node(op, emit, "Conv", kernel_shape=kernel, group=op.groups, **_spacing(op))


@rule(ConvTranspose)
def conv_transpose(op: ConvTranspose, emit: Emitter) -> str:
    """A negative end pad of ours is more output padding in ONNX."""
    rank = op.x.type.rank - 2
    kernel, given = op.w.type.static_shape()[2:], _spacing(op)
    extra = op.output_pads or (0,) * rank
    if op.pads:
        ends = op.pads[rank:]
        given["pads"] = (*op.pads[:rank], *(max(end, 0) for end in ends))
        extra = tuple(e + max(-end, 0) for e, end in zip(extra, ends, strict=True))
    shape = {"kernel_shape": kernel, "output_padding": extra}
    return node(op, emit, "ConvTranspose", group=op.groups, **shape, **given)


@rule(MaxPool)
def max_pool(op: MaxPool, emit: Emitter) -> str:
    dtype = op.x.type.dtype
    work = _pooled_in(dtype)
    x = emit.cast(emit[op.x], dtype, work)
    return emit.cast(emit.add("MaxPool", x, **_window(op)), work, dtype)


@rule(MaxPoolIndices)
def max_pool_indices(op: MaxPoolIndices, emit: Emitter) -> str:
    dtype = op.x.type.dtype
    x = emit.cast(emit[op.x], dtype, _pooled_in(dtype))
    given = {"storage_order": int(op.column_major), **_window(op)}
    return emit.several("MaxPool", x, outputs=2, **given)[1]


@rule(MaxUnpool)
def max_unpool(op: MaxUnpool, emit: Emitter) -> str:
    if op.numbered not in ((), op.sizes):
        raise op.fault("NT0550", "its places are numbered in a tensor of other sizes")
    x, everything = emit[op.x], emit.ints([-1])
    shape = emit.sizes((*op.result.type.shape[:2], *op.sizes), x, op.x.type.shape)
    if op.result.type.is_static:
        zeros = emit.constant(np.zeros(op.result.type.static_shape(), op.x.type.dtype.numpy))
    else:
        front = emit.add("Shape", x, start=0, end=2)
        shape = emit.add("Concat", front, emit.ints(op.sizes), axis=0)
        blank = emit.add("ConstantOfShape", shape)
        zeros = emit.cast(blank, DType.F32, op.x.type.dtype)
    parts = (emit.add("Reshape", part, everything) for part in (zeros, emit[op.indices], x))
    return emit.add("Reshape", emit.add("ScatterElements", *parts, axis=0), shape)


@rule(AveragePool)
def average_pool(op: AveragePool, emit: Emitter) -> str:
    given = {"count_include_pad": int(op.count_include_pad), **_window(op)}
    return emit.add("AveragePool", emit[op.x], **given)


@rule(LpPool)
def lp_pool(op: LpPool, emit: Emitter) -> str:
    return emit.add("LpPool", emit[op.x], p=op.p, **_window(op))


@rule(norm.LayerNorm)
def layer_norm(op: norm.LayerNorm, emit: Emitter) -> str:
    """Scale and bias of another shape than what is normalised follow as a product and a sum."""
    rank, dtype = op.x.type.rank, op.x.type.dtype
    inner = op.x.type.shape[op.axis % rank :]
    given = {"axis": op.axis, "epsilon": op.epsilon}
    if op.scale.type.shape == inner and (op.bias is None or op.bias.type.shape == inner):
        return node(op, emit, "LayerNormalization", **given)
    sizes = op.x.type.with_shape(inner).static_shape()
    ones = emit.constant(np.ones(sizes, dtype.numpy))
    normal = emit.add("LayerNormalization", emit[op.x], ones, **given)
    scaled = emit.add("Mul", normal, emit[op.scale])
    return scaled if op.bias is None else emit.add("Add", scaled, emit[op.bias])


@rule(norm.RmsNorm)
def rms_norm(op: norm.RmsNorm, emit: Emitter) -> str:
    rank, dtype = op.x.type.rank, op.x.type.dtype
    x, axes = emit[op.x], emit.ints(range(op.axis % rank, rank))
    power = emit.add("ReduceMean", emit.add("Mul", x, x), axes, keepdims=1)
    root = emit.add("Sqrt", emit.add("Add", power, emit.scalar(op.epsilon, dtype)))
    return emit.add("Mul", emit.add("Div", x, root), emit[op.scale])


def _pooled_in(dtype: DType) -> DType:
    """Return the type in which maxima of a type can be taken exactly."""
    if dtype.is_float or dtype.bits == 8:
        return dtype
    return DType.F32 if dtype.bits == 16 else DType.F64


def _spacing(op: Any) -> dict[str, tuple[int, ...]]:
    named = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
    return {name: numbers for name, numbers in named.items() if numbers}


def _window(op: Pool) -> dict[str, Any]:
    """Return the attributes of a pool; windows that hang over the end become end padding.

    That is so for maxima only, where padding never counts, and where ONNX allows as much of it.
    """
    given: dict[str, Any] = {"kernel_shape": op.kernel, **_spacing(op)}
    if not op.ceil_mode:
        return given
    sizes = tuple(dim for dim in op.x.type.shape[2:] if isinstance(dim, int))
    pads = covering_pads(sizes, op.kernel, op.strides, op.pads, op.dilations, ceil_mode=True)
    fits = all(pad < size for pad, size in zip(pads, op.kernel * 2, strict=True))
    if fits and isinstance(op, MaxPool):
        return {**given, "pads": pads}
    return {**given, "ceil_mode": 1}
