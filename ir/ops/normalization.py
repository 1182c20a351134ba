"""Normalisation layers; formulas as in the ONNX operator reference.

Statistics are taken in at least single precision.
"""

from __future__ import annotations

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import (
    NONE,
    FloatUnary,
    Mixes,
    axis_of,
    digital,
    keep,
    size_of,
    want,
    want_float,
    want_rank,
    want_same,
)  # fmt: skip
from neutrams.ir.types import Array, TensorType, broadcast


@digital("nn.batch_norm")
class BatchNorm(Op):
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` for each channel (axis 1)."""

    x: Value = operand()
    scale: Value = operand()
    bias: Value = operand()
    mean: Value = operand()
    variance: Value = operand()
    epsilon: float = attr(default=1e-5)

    def infer(self) -> TensorType:
        channels = want_rank(self, self.x, 1)[1] if self.x.type.rank > 1 else 1
        for value in (self.scale, self.bias, self.mean, self.variance):
            want_rank(self, value, 1, 1)
            want_same(self, value.type.shape[0], channels, "parameters and channels")
        return want_float(self, self.x)

    def evaluate(self, x: Array, scale: Array, bias: Array, mean: Array, variance: Array) -> Array:
        factor = scale / np.sqrt(variance + variance.dtype.type(self.epsilon))
        around = (-1, *(1,) * (x.ndim - 2))
        return keep((x - mean.reshape(around)) * factor.reshape(around) + bias.reshape(around), x)

    def mixes(self) -> Mixes:
        return (NONE, *(frozenset({0}),) * 4)


@digital("nn.layer_norm")
class LayerNorm(Op):
    """``x`` with mean 0 and variance 1 over ``axis`` and all behind it, times scale, plus bias."""

    x: Value = operand()
    scale: Value = operand()
    bias: Value | None = operand(default=None)
    axis: int = attr(default=-1)
    epsilon: float = attr(default=1e-5)

    def infer(self) -> TensorType:
        axis_of(self, self.axis, self.x.type.rank)
        _check_affine(self, self.x, self.scale, self.bias)
        return want_float(self, self.x)

    def evaluate(self, x: Array, scale: Array, bias: Array | None = None) -> Array:
        y = standard(wide(x), tuple(range(self.axis % x.ndim, x.ndim)), self.epsilon)
        y = keep(y, x) * scale
        return keep(y if bias is None else y + bias, x)

    def mixes(self) -> Mixes:
        rank = self.x.type.rank
        return (frozenset(range(self.axis % rank, rank)), NONE, NONE)


@digital("nn.rms_norm")
class RmsNorm(Op):
    """``x / sqrt(mean(x²) + epsilon) * scale`` over ``axis`` and all behind it."""

    x: Value = operand()
    scale: Value = operand()
    axis: int = attr(default=-1)
    epsilon: float = attr(default=1e-5)

    def infer(self) -> TensorType:
        axis_of(self, self.axis, self.x.type.rank)
        _check_affine(self, self.x, self.scale)
        return want_float(self, self.x)

    def evaluate(self, x: Array, scale: Array) -> Array:
        exact = wide(x)
        axes = tuple(range(self.axis % x.ndim, x.ndim))
        power = np.mean(np.square(exact), axes, keepdims=True)
        return keep(keep(exact / np.sqrt(power + exact.dtype.type(self.epsilon)), x) * scale, x)

    def mixes(self) -> Mixes:
        rank = self.x.type.rank
        return (frozenset(range(self.axis % rank, rank)), NONE)


@digital("nn.instance_norm")
class InstanceNorm(Op):
    """Mean 0 and variance 1 for each sample and channel, times scale, plus bias of the channel."""

    x: Value = operand()
    scale: Value = operand()
    bias: Value = operand()
    epsilon: float = attr(default=1e-5)

    def infer(self) -> TensorType:
        channels = want_rank(self, self.x, 3)[1]
        want_same(self, self.scale.type.shape[0], channels, "scales and channels")
        want_same(self, self.bias.type.shape[0], channels, "biases and channels")
        return want_float(self, self.x)

    def evaluate(self, x: Array, scale: Array, bias: Array) -> Array:
        around = (-1, *(1,) * (x.ndim - 2))
        y = standard(wide(x), tuple(range(2, x.ndim)), self.epsilon)
        return keep(y * scale.reshape(around) + bias.reshape(around), x)

    def mixes(self) -> Mixes:
        return (frozenset(range(2, self.x.type.rank)), frozenset({0}), frozenset({0}))


@digital("nn.group_norm")
class GroupNorm(Op):
    """Mean 0 and variance 1 for each sample and group of channels, times scale, plus bias.

    ``scale`` and ``bias`` have one number for each channel.
    """

    x: Value = operand()
    scale: Value = operand()
    bias: Value = operand()
    groups: int = attr()
    epsilon: float = attr(default=1e-5)

    def infer(self) -> TensorType:
        channels = size_of(self, want_rank(self, self.x, 2)[1], "the number of channels")
        fits = self.groups >= 1 and channels % self.groups == 0
        want(self, fits, f"{self.groups} groups do not divide {channels} channels")
        want_same(self, self.scale.type.shape[0], channels, "scales and channels")
        want_same(self, self.bias.type.shape[0], channels, "biases and channels")
        return want_float(self, self.x)

    def evaluate(self, x: Array, scale: Array, bias: Array) -> Array:
        around = (-1, *(1,) * (x.ndim - 2))
        grouped = wide(x).reshape(len(x), self.groups, -1)
        y = keep(standard(grouped, (2,), self.epsilon).reshape(x.shape), x)
        return keep(y * scale.reshape(around) + bias.reshape(around), x)

    def mixes(self) -> Mixes:
        return (frozenset(range(1, self.x.type.rank)), frozenset({0}), frozenset({0}))


@digital("nn.lp_norm")
class LpNorm(FloatUnary):
    """``x`` divided by its ``p``-norm along ``axis``; zeros stay zeros."""

    axis: int = attr(default=-1)
    p: int = attr(default=2)

    def infer(self) -> TensorType:
        axis_of(self, self.axis, self.x.type.rank)
        want(self, self.p in (1, 2), f"no norm of order {self.p}")
        return super().infer()

    def evaluate(self, x: Array) -> Array:
        norm = np.linalg.norm(wide(x), self.p, self.axis, keepdims=True)
        return keep(np.divide(x, norm, out=np.zeros(x.shape, norm.dtype), where=norm != 0), x)

    def mixes(self) -> Mixes:
        return (frozenset({self.axis % self.x.type.rank}),)


@digital("nn.lrn")
class Lrn(FloatUnary):
    """``x / (bias + alpha / size * sum of squares of size channels around)^beta``."""

    size: int = attr()
    alpha: float = attr(default=1e-4)
    beta: float = attr(default=0.75)
    bias: float = attr(default=1.0)

    def infer(self) -> TensorType:
        want_rank(self, self.x, 2)
        want(self, self.size >= 1, f"{self.size} channels")
        return super().infer()

    def evaluate(self, x: Array) -> Array:
        before = (self.size - 1) // 2
        around = [(0, 0), (before, self.size - 1 - before), *[(0, 0)] * (x.ndim - 2)]
        squares = np.pad(np.square(x), around)
        total = sum((squares[:, i : i + x.shape[1]] for i in range(self.size)), np.zeros_like(x))
        return keep(x / np.power(self.bias + self.alpha / self.size * total, self.beta), x)

    def mixes(self) -> Mixes:
        return (frozenset({1}),)


def standard(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """Return ``x`` with mean 0 and variance 1 (plus ``epsilon``) over axes."""
    centred = x - np.mean(x, axes, keepdims=True)
    variance = np.mean(np.square(centred), axes, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + x.dtype.type(epsilon)))


def wide(x: Array) -> Array:
    """Return half floats as singles, others as they are."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _check_affine(op: Op, x: Value, *parameters: Value | None) -> None:
    for value in parameters:
        if value is not None and broadcast(x.type.shape, value.type.shape) != x.type.shape:
            raise op.fault("NT0107", f"`{value.type}` does not fit `{x.type}`")
