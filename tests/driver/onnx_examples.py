"""One example, or several, of every op that a unit graph may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neutrams.ir.op import Op
from neutrams.ir.ops import activations as act
from neutrams.ir.ops import elementwise as two
from neutrams.ir.ops import indexing as at
from neutrams.ir.ops import normalization as norm
from neutrams.ir.ops import pooling as pool
from neutrams.ir.ops import reductions as sums
from neutrams.ir.ops import sampling, unit
from neutrams.ir.ops import tensors as move
from neutrams.ir.ops import unary as one
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.digits import Digits, Join
from neutrams.ir.ops.products import Det, Einsum, Matmul
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.recurrent import Gru, Lstm, Rnn
from neutrams.ir.ops.spatial import AffineGrid, DepthToSpace, Resize, SpaceToDepth
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType

RANDOM = np.random.default_rng(5)
Build = Callable[..., Op]
Example = tuple[Build, tuple[Array, ...]]


def floats(*shape: int, low: float = -2, high: float = 2) -> Array:
    return RANDOM.uniform(low, high, shape).astype(np.float32)


def ints(dtype: str, *shape: int, low: int = -100, high: int = 100) -> Array:
    least = 0 if dtype.startswith("u") else low
    return RANDOM.integers(least, high, shape).astype(dtype)


IMAGE = floats(2, 4, 6, 6)
BYTES = ints("int8", 2, 4, 6, 6)
UNSIGNED = ints("uint8", 2, 4, 6, 6)
INDEX = np.array([[0, 2, 1], [3, -1, 0]], np.int64)


def _unary() -> Iterator[Example]:
    kind: Build
    plain = (
        one.Neg, one.Abs, one.Sign, one.Exp, one.Floor, one.Ceil, one.Round, one.Sin, one.Cos,
        one.Tan, one.Atan, one.Sinh, one.Cosh, one.Asinh, one.Erf, act.Relu, act.LeakyRelu,
        act.Elu, act.Selu, act.Celu, act.Gelu, act.Sigmoid, act.HardSigmoid, act.HardSwish,
        act.Swish, act.Tanh, act.Softplus, act.Softsign, act.Mish, act.ThresholdedRelu, act.Shrink,
        sums.Softmax, sums.LogSoftmax, sums.Hardmax,
    )  # fmt: skip
    for kind in plain:
        yield kind, (IMAGE,)
    for kind in (one.Reciprocal, one.Sqrt, one.Log):
        yield kind, (floats(3, 4, low=0.1),)
    for kind in (one.Asin, one.Acos, one.Atanh):
        yield kind, (floats(3, 4, low=-0.9, high=0.9),)
    yield one.Acosh, (floats(3, 4, low=1.1),)
    yield one.LogicalNot, (IMAGE > 0,)
    yield one.BitwiseNot, (BYTES,)
    special = np.array([np.nan, np.inf, -np.inf, 1], np.float32)
    yield one.IsNan, (special,)
    yield one.IsInf, (special,)
    yield lambda x: one.IsInf(x, positive=False), (special,)
    for dtype in ("int8", "int16", "int32", "int64"):
        for kind in (one.Neg, one.Abs, act.Relu, one.Sign):
            yield kind, (ints(dtype, 3, 5),)
    yield act.Relu, (UNSIGNED,)
    yield lambda x: act.Swish(x, alpha=1.5), (IMAGE,)
    yield lambda x: act.Gelu(x, approximate="tanh"), (IMAGE,)
    yield lambda x: act.Clip(x, low=-1, high=1.5), (IMAGE,)
    yield lambda x: act.Clip(x, low=-5), (BYTES,)
    yield lambda x: act.Clip(x, high=50), (ints("int32", 3, 5),)
    yield act.Prelu, (IMAGE, floats(4, 1, 1))


def _binary() -> Iterator[Example]:
    kind: Build
    a, b = floats(3, 4), floats(4, low=0.5)
    for kind in (two.Add, two.Sub, two.Mul, two.Div, two.Minimum, two.Maximum, two.Equal,
                 two.Less, two.LessEqual, two.Greater, two.GreaterEqual, two.Mod):  # fmt: skip
        yield kind, (a, b)
    yield two.Pow, (floats(3, 4, low=0.1), b)
    yield lambda x, y: two.Mod(x, y, truncated=True), (a, b)
    yield two.Mod, (a, -b)
    for dtype in ("int8", "uint8", "int16", "int32", "int64"):
        x, y = ints(dtype, 3, 4), ints(dtype, 4, low=1, high=9) + 1
        for kind in (two.Add, two.Sub, two.Mul, two.Div, two.Minimum, two.Maximum, two.Less,
                     two.Equal, two.Mod):  # fmt: skip
            yield kind, (x, y.astype(dtype))
    for kind in (two.LogicalAnd, two.LogicalOr, two.LogicalXor):
        yield kind, (a > 0, b > 1)
    for kind in (two.BitwiseAnd, two.BitwiseOr, two.BitwiseXor):
        yield kind, (ints("int32", 3, 4), ints("int32", 4))
    for dtype in ("uint8", "int8", "int32"):
        for way in ("left", "right"):
            shift = ints(dtype, 4, low=0, high=5)
            yield (
                lambda x, y, way=way: two.BitShift(x, y, direction=way),
                (ints(dtype, 3, 4), shift),
            )
    for dtype in ("float32", "int8", "int16", "int64", "bool"):
        sides = (ints("int8", 3, 4).astype(dtype), ints("int8", 4).astype(dtype))
        yield two.Where, (a > 0, *sides)


def _summaries() -> Iterator[Example]:
    kind: Build
    positive = floats(2, 3, 4, low=0.2)
    for kind in (sums.ReduceSum, sums.ReduceMean, sums.ReduceProd, sums.ReduceMax, sums.ReduceMin,
                 sums.ReduceL1, sums.ReduceL2, sums.ReduceSumSquare, sums.ReduceLogSum,
                 sums.ReduceLogSumExp):  # fmt: skip
        for axes, keep in (((1,), True), ((-1, 1), False), ((), True)):
            yield (
                lambda x, kind=kind, axes=axes, keep=keep: kind(x, axes=axes, keepdims=keep),
                (positive,),
            )
    for kind in (sums.ReduceSum, sums.ReduceMax, sums.ReduceMin):
        for dtype in ("int8", "int16", "int32", "int64"):
            yield lambda x, kind=kind: kind(x, axes=(1,)), (ints(dtype, 3, 4),)
    for kind in (sums.Argmax, sums.Argmin):
        for last in (False, True):
            yield (
                lambda x, kind=kind, last=last: kind(x, axis=1, last=last),
                (ints("int8", 3, 9, high=3),),
            )
    yield lambda x: sums.Argmax(x, axis=-1, keepdims=False), (ints("int16", 3, 9, high=3),)
    for dtype in ("float32", "int8", "int16", "int64"):
        for largest in (True, False):
            yield (
                lambda x, largest=largest: sums.Topk(x, k=3, axis=1, largest=largest),
                (ints("int8", 3, 9, high=4).astype(dtype),),
            )
    for kind in (sums.Cumsum, sums.Cumprod):
        for flags in (
            {},
            {"exclusive": True},
            {"reverse": True},
            {"exclusive": True, "reverse": True},
        ):
            yield lambda x, kind=kind, flags=flags: kind(x, axis=1, **flags), (floats(2, 4, 3),)
    yield lambda x: sums.Cumsum(x, axis=0), (ints("int8", 5, 2),)


def _layers() -> Iterator[Example]:
    yield Matmul, (floats(2, 3, 4), floats(4, 5))
    yield Matmul, (ints("int8", 3, 4), ints("int8", 4, 5))
    yield lambda a, b: Einsum((a, b), equation="bij,kj->bki"), (floats(2, 3, 4), floats(5, 4))
    yield Det, (floats(2, 3, 3),)
    yield lambda x, w, b: Conv(x, w, b, pads=(1, 1, 1, 1), strides=(2, 1), groups=2), (
        IMAGE, floats(6, 2, 3, 3), floats(6))  # fmt: skip
    yield Conv, (floats(2, 3, 9), floats(4, 3, 3))
    yield lambda x, w: ConvTranspose(x, w, strides=(2, 2), pads=(1, 1, 1, 1), output_pads=(1, 1)), (
        IMAGE, floats(4, 3, 3, 3))  # fmt: skip
    window: dict[str, Any] = {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
    for kind in (pool.MaxPool, pool.MaxPoolIndices, pool.AveragePool, pool.LpPool):
        yield lambda x, kind=kind: kind(x, **window), (IMAGE,)
        yield lambda x, kind=kind: kind(x, kernel=(2, 2), strides=(2, 2)), (IMAGE,)
    for dtype in ("int8", "uint8", "int16", "int32"):
        yield lambda x: pool.MaxPool(x, **window), (ints(dtype, 2, 3, 7, 7),)
        yield (
            lambda x: pool.MaxPool(x, kernel=(3, 3), strides=(2, 2), ceil_mode=True),
            (ints(dtype, 2, 3, 8, 8),),
        )
    yield (
        lambda x: pool.MaxPool(x, kernel=(2, 2), strides=(3, 3), dilations=(2, 2), ceil_mode=True),
        (BYTES,),
    )
    yield lambda x: pool.AveragePool(x, count_include_pad=True, **window), (IMAGE,)
    yield lambda x: pool.MaxPoolIndices(x, kernel=(2, 2), column_major=True), (IMAGE,)
    places = np.arange(2 * 1 * 4, dtype=np.int64).reshape(2, 1, 2, 2) * 3
    yield lambda x, i: pool.MaxUnpool(x, i, sizes=(4, 4)), (floats(2, 1, 2, 2), places)
    channel = tuple(floats(4) for _ in range(3))
    yield norm.BatchNorm, (IMAGE, *channel, floats(4, low=0.5))
    yield norm.InstanceNorm, (IMAGE, *channel[:2])
    yield lambda x, s, b: norm.GroupNorm(x, s, b, groups=2), (IMAGE, *channel[:2])
    yield lambda x, s, b: norm.LayerNorm(x, s, b, axis=-1), (IMAGE, floats(6), floats(6))
    yield lambda x, s: norm.LayerNorm(x, s, axis=1), (IMAGE, floats(6))
    yield norm.RmsNorm, (IMAGE, floats(6))
    yield lambda x: norm.LpNorm(x, axis=1), (IMAGE,)
    yield lambda x: norm.LpNorm(x, axis=1, p=1), (IMAGE,)
    yield lambda x: norm.Lrn(x, size=3), (IMAGE,)


def _moves() -> Iterator[Example]:
    for x in (IMAGE, BYTES, ints("int16", 2, 4, 6, 6), ints("int32", 2, 4, 6, 6)):
        yield lambda v: move.Reshape(v, shape=(2, 24, 6)), (x,)
        yield lambda v: move.Transpose(v, permutation=(0, 2, 3, 1)), (x,)
        yield lambda v: move.Concat((v, v), axis=1), (x,)
        yield lambda v: move.Split(v, axis=1, sizes=(1, 3)), (x,)
        yield lambda v: move.Slice(v, starts=(1, 5), ends=(3, 0), axes=(1, 2), steps=(1, -2)), (x,)
        yield lambda v: move.Tile(v, repeats=(1, 2, 1, 1)), (x,)
        yield lambda v: DepthToSpace(v, block=2), (x,)
        yield lambda v: SpaceToDepth(v, block=2), (x,)
        yield lambda v: SpaceToDepth(v, block=2, mode="CRD"), (x,)
        yield at.Trilu, (x,)
        for mode in ("constant", "reflect", "edge", "wrap"):
            yield lambda v, mode=mode: move.Pad(v, pads=(0, 0, 1, 2, 0, 0, 2, 1), mode=mode), (x,)
    yield lambda v: DepthToSpace(v, block=2, mode="CRD"), (IMAGE,)
    yield lambda v, c: move.Pad(v, c, pads=(0, 0, 1, 0, 0, 0, 0, 1)), (BYTES, np.array(7, np.int8))
    yield lambda v: at.Trilu(v, upper=False, k=1), (IMAGE,)
    yield lambda v: move.Expand(v, shape=(2, 3, 5)), (floats(2, 1, 5),)
    yield lambda v: move.Cast(v, dtype=DType.I32), (IMAGE,)
    yield lambda v: move.Cast(v, dtype=DType.F32), (BYTES,)
    yield move.Shape, (IMAGE,)
    yield move.ReverseSequence, (floats(5, 2, 3), np.array([2, 5], np.int64))
    yield lambda x, i: at.Gather(x, i, axis=1), (BYTES, INDEX)
    yield lambda x, i: at.GatherElements(x, i, axis=1), (floats(2, 4), INDEX)
    yield at.GatherNd, (floats(4, 3, 2), np.array([[0, 1], [3, 2]], np.int64))
    yield lambda x, i, u: at.ScatterElements(x, i, u, axis=1), (floats(2, 4), INDEX, floats(2, 3))
    yield at.ScatterNd, (floats(4, 3), np.array([[1], [3]], np.int64), floats(2, 3))
    for circular in (False, True):
        starts = np.array([3, 1] if circular else [0, 2], np.int64)
        yield (
            lambda c, x, s, circular=circular: at.Update(c, x, s, axis=1, circular=circular),
            (floats(2, 5, 3), floats(2, 3, 3), starts),
        )
    yield at.Update, (floats(2, 4, 5, 3), floats(2, 4, 2, 3))
    for dtype in ("float32", "int8", "int32", "bool"):
        yield lambda i, v: at.OneHot(i, v, depth=4), (INDEX, np.array([0, 1], dtype))


def _images() -> Iterator[Example]:
    for mode in ("nearest", "linear", "cubic"):
        for where in ("half_pixel", "align_corners", "asymmetric"):
            yield (
                lambda x, mode=mode, where=where: Resize(
                    x, axes=(2, 3), sizes=(12, 9), scales=(2.0, 1.5), mode=mode, coordinates=where
                ),
                (IMAGE,),
            )
    yield lambda x: Resize(x, axes=(2, 3), sizes=(3, 12), scales=(0.5, 2.0)), (BYTES,)
    for mode in ("linear", "nearest"):
        yield (
            lambda x, g, mode=mode: sampling.GridSample(x, g, mode=mode, padding="border"),
            (IMAGE, floats(2, 3, 3, 2, low=-1.2, high=1.2)),
        )
    yield lambda t: AffineGrid(t, sizes=(3, 4)), (floats(2, 2, 3),)
    regions = np.array([[0, 0, 4, 4], [1, 1, 5, 3]], np.float32)
    yield (
        lambda x, r, i: sampling.RoiAlign(x, r, i, size=(2, 2), samples=2),
        (IMAGE, regions, np.array([0, 1], np.int64)),
    )
    yield (
        lambda x: sampling.Col2im(x, sizes=(4, 4), block=(2, 2), strides=(2, 2)),
        (floats(2, 12, 4),),
    )
    yield (
        lambda x, w, o: sampling.DeformConv(x, w, o, pads=(1, 1, 1, 1)),
        (IMAGE, floats(3, 4, 3, 3), floats(2, 18, 6, 6)),
    )


def _sequences() -> Iterator[Example]:
    x, state = floats(5, 2, 3), floats(1, 2, 4)
    for kind, gates in ((Rnn, 1), (Gru, 3), (Lstm, 4)):
        weights = (floats(1, 4 * gates, 3), floats(1, 4 * gates, 4), floats(1, 8 * gates))
        yield kind, (x, *weights)
        yield lambda x, w, r, kind=kind: kind(x, w, r, batch_first=True), (
            floats(2, 5, 3), *weights[:2])  # fmt: skip
        yield lambda x, w, r, b, n, h, kind=kind: kind(x, w, r, b, n, h), (
            x, *weights, np.array([5, 3], np.int32), state)  # fmt: skip
    yield lambda x, w, r: Gru(x, w, r, linear_before_reset=True), (
        x, floats(1, 12, 3), floats(1, 12, 4))  # fmt: skip
    yield lambda x, w, r: Rnn(x, w, r, functions=("leakyrelu",), alphas=(0.2,)), (
        x, floats(1, 4, 3), floats(1, 4, 4))  # fmt: skip
    yield lambda x, w, r, b, h, c, p: Lstm(x, w, r, b, None, h, c=c, p=p), (
        x, floats(1, 16, 3), floats(1, 16, 4), floats(1, 32), state, floats(1, 2, 4),
        floats(1, 12))  # fmt: skip
    yield (
        lambda x, w, r, b: Gru(x, w, r, b, clip=0.5),
        (x, floats(1, 12, 3), floats(1, 12, 4), floats(1, 24)),
    )
    yield (
        lambda x, w, r, b: Rnn(x, w, r, b, clip=0.5),
        (x, floats(1, 4, 3), floats(1, 4, 4), floats(1, 8)),
    )


def _units() -> Iterator[Example]:
    weights = ints("int8", 8, 4)
    yield lambda x, w: Mvm(x, w, input_offset=128), (ints("int8", 3, 4), weights)
    yield lambda x, w: Mvm(x, w, rows=3), (ints("uint8", 3, 4), weights)
    sums_ = ints("int32", 3, 2, 4, low=-9999, high=9999)
    yield unit.Reduce, (sums_, ints("int32", 4))
    scale = floats(4, low=0.001, high=0.01)
    yield unit.Rescale, (ints("int32", 2, 4, low=-9999, high=9999), scale)
    yield lambda x, s: unit.Rescale(x, s, axis=1, zero=3, low=0, high=15, dtype=DType.U8), (
        ints("int32", 2, 4, 3, low=-9999, high=9999), scale)  # fmt: skip
    scales: dict[str, Any] = {
        "a_scale": 0.37,
        "b_scale": -1.2,
        "a_zero": 3,
        "b_zero": -7,
        "zero": 5,
    }
    yield lambda a, b: unit.Add(a, b, **scales), (BYTES, ints("int8", 2, 4, 6, 6))
    yield lambda a, b: unit.Add(a, b, **scales), (ints("int32", 2, 3), ints("int16", 3))
    yield lambda x, t: unit.Lut(x, t, low=-128), (BYTES, ints("int8", 256))
    yield unit.Lut, (UNSIGNED, floats(256))
    yield lambda x: Digits(x, offset=128, axis=1), (BYTES,)
    yield lambda x: Digits(x, count=5, bits=3, offset=2**14, axis=-1), (
        ints("int16", 2, 3, low=-(2**14), high=2**14),)  # fmt: skip
    yield lambda x: Join(x, axis=1), (ints("int32", 2, 6, 3, low=-9999, high=9999),)
    yield lambda x: Join(x, count=3, bits=2, groups=2, dtype=DType.I64), (
        ints("int32", 2, 12, low=-9999, high=9999),)  # fmt: skip
    for dtype in ("int8", "uint8", "int16"):
        for more in ({}, {"pads": (1, 1, 1, 1)}, {"ceil_mode": True, "count_include_pad": True}):
            yield (
                lambda x, more=more: unit.AveragePool(
                    x, kernel=(3, 3), strides=(2, 2), input_zero=4, scale=0.7, zero=-2, **more
                ),
                (ints(dtype, 2, 3, 8, 8),),
            )
    yield lambda x: unit.AveragePool(x, kernel=(6, 6), scale=1.3), (BYTES,)
    yield lambda x, s, z: Quantize(x, s, z, low=-8, high=7), (
        IMAGE, np.array(0.13, np.float32), np.array(2, np.int8))  # fmt: skip
    yield lambda x, s, z: Quantize(x, s, z, axis=1, low=0, high=255, dtype=DType.U8), (
        IMAGE, floats(4, low=0.01, high=0.1), ints("uint8", 4))  # fmt: skip
    yield lambda x, s, z: Quantize(x, s, z, low=-(2**31), high=2**31 - 1, dtype=DType.I32), (
        IMAGE, np.array(1e-5, np.float32), np.array(0, np.int32))  # fmt: skip
    for dtype in ("int8", "uint8", "int32"):
        yield lambda x, s, z: Dequantize(x, s, z, axis=1), (
            ints(dtype, 2, 4, 3), floats(4), ints(dtype, 4))  # fmt: skip
        yield Dequantize, (ints(dtype, 2, 4), np.array(0.3, np.float32), np.zeros((), dtype))


def examples() -> list[Example]:
    groups = (
        _unary, _binary, _summaries, _layers, _moves, _images, _sequences, _units,
    )  # fmt: skip
    return [example for group in groups for example in group()]
