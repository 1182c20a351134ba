"""What ops say of mixing samples: the proof of batch independence rests on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from neutrams.ir.interpreter import evaluate
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops import activations as act
from neutrams.ir.ops import elementwise as two
from neutrams.ir.ops import normalization as norm
from neutrams.ir.ops import reductions as red
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.pooling import AveragePool, MaxPool
from neutrams.ir.ops.products import Einsum, Matmul
from neutrams.ir.ops.quantization import Quantize
from neutrams.ir.ops.spatial import Resize
from neutrams.ir.ops.tensors import Cast, Concat, Pad, Slice, Split, Tile
from neutrams.ir.types import Array, DType, Symbol, symbol, tensor

N = symbol("N")
RNG = np.random.default_rng(11)


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def value(dtype: DType, *shape: int | Symbol) -> Value:
    return Value("x", tensor(dtype, *shape))


def after(make: Callable[..., Op], x: Value, *arrays: Array, **attributes: Any) -> Op:
    """Return an op of a value and constants."""
    return make(x, *(Weight(f"w{i}", a) for i, a in enumerate(arrays)), **attributes)


INDEPENDENT: list[Callable[[Value], Op]] = [
    lambda x: Conv(x, Weight("w", floats(2, 3, 3, 3))),
    lambda x: Conv(x, Weight("w", floats(3, 1, 3, 3)), groups=3),
    lambda x: ConvTranspose(x, Weight("w", floats(3, 2, 3, 3))),
    lambda x: Matmul(x, Weight("w", floats(6, 2))),
    lambda x: MaxPool(x, kernel=(2, 2)),
    lambda x: AveragePool(x, kernel=(2, 2), pads=(1, 0, 1, 0)),
    lambda x: after(norm.BatchNorm, x, *(np.abs(floats(3)) for _ in range(4))),
    lambda x: norm.LayerNorm(x, Weight("s", floats(6)), axis=-1),
    lambda x: after(norm.GroupNorm, x, floats(3), floats(3), groups=3),
    lambda x: after(norm.InstanceNorm, x, floats(3), floats(3)),
    lambda x: norm.Lrn(x, size=3),
    lambda x: red.Softmax(x, axis=1),
    lambda x: red.ReduceSum(x, axes=(2, 3)),
    lambda x: red.ReduceMax(x, axes=(1,)),
    lambda x: red.Cumsum(x, axis=2),
    lambda x: red.Topk(x, k=2, axis=3),
    lambda x: red.Argmax(x, axis=1),
    lambda x: two.Mul(x, Weight("w", floats(3, 1, 6))),
    lambda x: act.Prelu(x, Weight("w", floats(3, 1, 1))),
    lambda x: Slice(x, starts=(1,), ends=(3,), axes=(2,)),
    lambda x: Slice(x, starts=(0, 0), ends=(2**62, 2), axes=(0, 3)),
    lambda x: Pad(x, pads=(0, 0, 1, 0, 0, 0, 0, 2)),
    lambda x: Split(x, axis=1, sizes=(1, 2)),
    lambda x: Concat((x, x), axis=1),
    lambda x: Tile(x, repeats=(1, 2, 1, 1)),
    lambda x: Gather(x, Weight("i", np.array([0, 2])), axis=1),
    lambda x: Cast(x, dtype=DType.I32),
    lambda x: after(Quantize, x, np.array(0.1, np.float32), np.zeros((), np.int8)),
    lambda x: Resize(x, axes=(2, 3), sizes=(4, 9), scales=(0.8, 1.5), mode="linear"),
    lambda x: Einsum((x, Weight("w", floats(6, 2))), equation="ncij,jk->ncik"),
]


@pytest.mark.parametrize("make", INDEPENDENT)
def test_samples_are_mixed_only_along_the_stated_axes(make: Callable[[Value], Op]) -> None:
    """The batch axis is stated as unmixed, and a sample gives alone what it gives among others."""
    op = make(value(DType.F32, N, 3, 5, 6))
    mixes = op.mixes()
    assert mixes is not None
    assert 0 not in mixes[0]
    assert all(result.type.shape[0] == N for result in op.results)
    batch = floats(4, 3, 5, 6)
    together, alone = _on(op, batch), _on(op, batch[2:3])
    for whole, single in zip(together, alone, strict=True):
        np.testing.assert_allclose(whole[2:3], single, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: red.Softmax(x, axis=0),
        lambda x: red.ReduceMean(x, axes=(-2,)),
        lambda x: Matmul(x, x),
        lambda x: norm.LayerNorm(x, Weight("s", np.ones(4, np.float32)), axis=0),
        lambda x: Slice(x, starts=(1,), ends=(4,), axes=(0,)),
        lambda x: Concat((x, x), axis=0),
        lambda x: red.Cumsum(x, axis=-2),
        lambda x: Tile(x, repeats=(2, 1)),
        lambda x: Gather(x, Weight("i", np.array([0, 2])), axis=0),
    ],
)
def test_ops_that_mix_along_the_first_axis_say_so(make: Callable[[Value], Op]) -> None:
    mixes = make(value(DType.F32, 4, 4)).mixes()
    assert mixes is None or any(0 in axes for axes in mixes)


def _on(op: Op, x: Array) -> tuple[Array, ...]:
    first = next(op.present)
    live: dict[Value, Array] = {first: x}
    live |= {v: v.data for v in op.present if isinstance(v, Weight) and v.data is not None}
    return evaluate(op, live)
