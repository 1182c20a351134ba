"""Rules of float ops, which teachers consist of, and of ops that only move elements."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from neutrams.ir.op import Op
from neutrams.ir.ops import activations as act
from neutrams.ir.ops import elementwise as ew
from neutrams.ir.ops import (
    normalization,
    pooling,
    products,
    quantization,
    reductions,
    tensors,
    unary,
)
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.windows import filled, taps
from neutrams.training.crossbar import padded
from neutrams.training.pools import pool_max, pool_sum
from neutrams.training.rules import along, rint, rule
from neutrams.training.run import Run

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@rule(Conv, close=True)
def conv(op: Conv, run: Run, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    rank = w.ndim - 2
    strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
    return CONVOLUTIONS[rank](
        padded(x, pads, 0.0), w, b, stride=strides, dilation=dilations, groups=op.groups
    )


@rule(products.Matmul, close=True)
def matmul(op: products.Matmul, run: Run, a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


@rule(pooling.MaxPool)
def max_pool(op: pooling.MaxPool, run: Run, x: Tensor) -> Tensor:
    return pool_max(op, x)


@rule(pooling.AveragePool, close=True)
def average_pool(op: pooling.AveragePool, run: Run, x: Tensor) -> Tensor:
    geometry = (op.kernel, op.strides, op.pads, op.dilations)
    count = taps(
        tuple(x.shape[2:]), *geometry, ceil_mode=op.ceil_mode, include_pad=op.count_include_pad
    )
    return pool_sum(op, x) / torch.from_numpy(count).to(x)


@rule(quantization.Quantize)
def quantize(op: quantization.Quantize, run: Run, x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    steps = rint(x / along(scale, op.axis, x.ndim)) + along(zero, op.axis, x.ndim)
    return torch.clamp(steps, op.low, op.high)


@rule(quantization.Dequantize)
def dequantize(
    op: quantization.Dequantize, run: Run, x: Tensor, scale: Tensor, zero: Tensor
) -> Tensor:
    steps = x - along(zero, op.axis, x.ndim)
    return steps.to(scale.dtype) * along(scale, op.axis, x.ndim)


@rule(reductions.ReduceMean, close=True)
def reduce_mean(op: reductions.ReduceMean, run: Run, x: Tensor) -> Tensor:
    return x.mean(dim=op.axes, keepdim=op.keepdims) if op.axes else x


@rule(reductions.ReduceSum, close=True)
def reduce_sum(op: reductions.ReduceSum, run: Run, x: Tensor) -> Tensor:
    return x.sum(dim=op.axes, keepdim=op.keepdims) if op.axes else x


@rule(reductions.ReduceMax)
def reduce_max(op: reductions.ReduceMax, run: Run, x: Tensor) -> Tensor:
    return x.amax(dim=op.axes, keepdim=op.keepdims) if op.axes else x


@rule(reductions.Softmax, close=True)
def softmax(op: reductions.Softmax, run: Run, x: Tensor) -> Tensor:
    return torch.softmax(x, dim=op.axis)


@rule(reductions.LogSoftmax, close=True)
def log_softmax(op: reductions.LogSoftmax, run: Run, x: Tensor) -> Tensor:
    return torch.log_softmax(x, dim=op.axis)


@rule(normalization.BatchNorm, close=True)
def batch_norm(
    op: normalization.BatchNorm,
    run: Run,
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
) -> Tensor:
    factor = scale / torch.sqrt(variance + op.epsilon)
    around = (-1, *(1,) * (x.ndim - 2))
    return (x - mean.reshape(around)) * factor.reshape(around) + bias.reshape(around)


@rule(normalization.LayerNorm, close=True)
def layer_norm(
    op: normalization.LayerNorm, run: Run, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> Tensor:
    axis = op.axis % x.ndim
    return F.layer_norm(x, x.shape[axis:], scale, bias, op.epsilon)


@rule(Gather)
def gather(op: Gather, run: Run, x: Tensor, indices: Tensor) -> Tensor:
    axis = op.axis % x.ndim
    places = torch.remainder(indices.long(), x.shape[axis])
    picked = torch.index_select(x, axis, places.reshape(-1))
    return picked.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])


@rule(tensors.Reshape)
def reshape(op: tensors.Reshape, run: Run, x: Tensor) -> Tensor:
    return x.reshape(tensors.solve(op.shape, op.x.type.shape, tuple(x.shape)))


@rule(tensors.Expand)
def expand(op: tensors.Expand, run: Run, x: Tensor) -> Tensor:
    shape = tensors.solve(op.shape, op.x.type.shape, tuple(x.shape))
    rank = len(shape)
    sizes = (*(1,) * (rank - x.ndim), *x.shape)
    return x.expand([max(a, b) for a, b in zip(sizes[-rank:], shape, strict=True)])


@rule(tensors.Transpose)
def transpose(op: tensors.Transpose, run: Run, x: Tensor) -> Tensor:
    return x.permute(op.permutation)


@rule(tensors.Concat)
def concat(op: tensors.Concat, run: Run, *parts: Tensor) -> Tensor:
    return torch.cat(parts, dim=op.axis)


@rule(tensors.Split)
def split(op: tensors.Split, run: Run, x: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.split(x, list(op.sizes), dim=op.axis))


@rule(ew.Add)
def add(op: ew.Add, run: Run, a: Tensor, b: Tensor) -> Tensor:
    return a + b


@rule(ew.Sub)
def sub(op: ew.Sub, run: Run, a: Tensor, b: Tensor) -> Tensor:
    return a - b


@rule(ew.Mul)
def mul(op: ew.Mul, run: Run, a: Tensor, b: Tensor) -> Tensor:
    return a * b


@rule(act.LeakyRelu)
def leaky_relu(op: act.LeakyRelu, run: Run, x: Tensor) -> Tensor:
    return torch.where(x < 0, x * op.alpha, x)


@rule(act.Prelu)
def prelu(op: act.Prelu, run: Run, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, x * slope, x)


@rule(act.Gelu, close=True)
def gelu(op: act.Gelu, run: Run, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=op.approximate)


@rule(act.Clip)
def clip(op: act.Clip, run: Run, x: Tensor) -> Tensor:
    return torch.clamp(x, op.low, op.high)


@rule(act.HardSigmoid, close=True)
def hard_sigmoid(op: act.HardSigmoid, run: Run, x: Tensor) -> Tensor:
    return torch.clamp(x * op.alpha + op.beta, 0, 1)


def _plain(cls: type[Op], function: Callable[[Tensor], Tensor], *, close: bool = True) -> None:
    """Register a function of one tensor that needs nothing of the op."""

    def meaning(op: Op, run: Run, x: Tensor) -> Tensor:
        return function(x)

    rule(cls, close=close)(meaning)


_plain(act.Relu, torch.relu, close=False)
_plain(act.Sigmoid, torch.sigmoid)
_plain(act.Tanh, torch.tanh)
_plain(act.HardSwish, F.hardswish)
_plain(act.Softsign, F.softsign)
_plain(act.Mish, F.mish)
_plain(unary.Neg, torch.neg, close=False)
_plain(unary.Abs, torch.abs, close=False)
_plain(unary.Exp, torch.exp)


@rule(unary.Sqrt)
def sqrt(op: unary.Sqrt, run: Run, x: Tensor) -> Tensor:
    """Return the root rounded once; of single precision, torch's own may be off by the last bit."""
    return torch.sqrt(x.double()).to(x.dtype)
