"""Convolutions in one to three (or more) spatial dimensions, grouped, as ONNX defines them."""

from __future__ import annotations

from math import prod

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.base import Mixes, digital, same_dtype, size_of, want, want_rank, want_same
from neutrams.ir.ops.products import matmul
from neutrams.ir.types import Array, TensorType
from neutrams.ir.windows import filled, out_sizes, patches, windows

_BLOCK = 2**25
"""Elements of patches held at once; keeps a convolution within about 128 MB."""


@digital("nn.conv")
class Conv(Op):
    """Cross-correlation of ``x`` ``[N, C, *sizes]`` with ``w`` ``[M, C / groups, *kernel]``.

    ``pads`` holds all begins, then all ends. ``b`` is ``[M]``. Integers wrap around.
    """

    x: Value = operand()
    w: Value = operand()
    b: Value | None = operand(default=None)
    strides: tuple[int, ...] = attr(default=())
    pads: tuple[int, ...] = attr(default=())
    dilations: tuple[int, ...] = attr(default=())
    groups: int = attr(default=1)

    def infer(self) -> TensorType:
        dtype = same_dtype(self, self.x, self.w, self.b)
        x, w = (
            want_rank(self, self.x, 3),
            want_rank(self, self.w, self.x.type.rank, self.x.type.rank),
        )
        neurons = size_of(self, w[0], "the number of filters")
        channels = size_of(self, x[1], "the number of channels")
        kernel = tuple(size_of(self, d, "the kernel") for d in w[2:])
        want(self, self.groups >= 1, f"{self.groups} groups")
        want(self, neutral(channels, neurons, self.groups), f"{self.groups} groups do not divide "
             f"{channels} channels and {neurons} filters")  # fmt: skip
        want_same(self, w[1], channels // self.groups, "channels of the filters and of a group")
        if self.b is not None:
            want_same(self, self.b.type.shape, (neurons,), "shape of the bias and filters")  # type: ignore[arg-type]
        out = out_sizes(x[2:], kernel, self.strides, self.pads, self.dilations)
        return TensorType(dtype, (x[0], neurons, *out))

    def evaluate(self, x: Array, w: Array, b: Array | None = None) -> Array:
        if x.dtype == np.float16:
            wide = (None if v is None else v.astype(np.float32) for v in (x, w, b))
            return self.evaluate(*wide).astype(np.float16)  # type: ignore[arg-type]
        out = self.result.type.shape[2:]
        each = x.shape[1] * prod(w.shape[2:]) * prod(d for d in out if isinstance(d, int))
        step = max(1, _BLOCK // max(each, 1))
        parts = [self._some(x[i : i + step], w) for i in range(0, max(len(x), 1), step)]
        y = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return y if b is None else y + b.reshape(-1, *(1,) * (x.ndim - 2))

    def _some(self, x: Array, w: Array) -> Array:
        if self._depthwise(w):
            return self._each_channel(x, w)
        seen = patches(x, w.shape[2:], self.strides, self.pads, self.dilations)
        out = seen.shape[3:]
        seen = seen.reshape(len(x), self.groups, -1, prod(out))
        y = matmul(w.reshape(self.groups, len(w) // self.groups, -1), seen)
        return y.reshape(len(x), len(w), *out)

    def _depthwise(self, w: Array) -> bool:
        return w.shape[1] == 1 and len(w) == self.groups and w.dtype.kind == "f"

    def _each_channel(self, x: Array, w: Array) -> Array:
        seen = windows(x, w.shape[2:], self.strides, self.pads, self.dilations)
        rank = x.ndim - 2
        y = np.zeros((*seen.shape[:2], *seen.shape[2 + rank :]), x.dtype)
        for place in np.ndindex(*w.shape[2:]):
            y += seen[(slice(None), slice(None), *place)] * w[(slice(None), 0, *place)].reshape(
                -1, *(1,) * rank
            )
        return y

    def mixes(self) -> Mixes:
        across = frozenset(range(1, self.x.type.rank))
        both = (across, frozenset(range(self.w.type.rank)))
        return both if self.b is None else (*both, frozenset({0}))


@digital("nn.conv_transpose")
class ConvTranspose(Op):
    """The gradient of a convolution: every input element adds its scaled kernel to the output.

    ``w`` is ``[C, M / groups, *kernel]``; ``output_pads`` adds to the end of each dimension.
    """

    x: Value = operand()
    w: Value = operand()
    b: Value | None = operand(default=None)
    strides: tuple[int, ...] = attr(default=())
    pads: tuple[int, ...] = attr(default=())
    dilations: tuple[int, ...] = attr(default=())
    output_pads: tuple[int, ...] = attr(default=())
    groups: int = attr(default=1)

    def infer(self) -> TensorType:
        dtype = same_dtype(self, self.x, self.w, self.b)
        x, w = (
            want_rank(self, self.x, 3),
            want_rank(self, self.w, self.x.type.rank, self.x.type.rank),
        )
        channels = size_of(self, x[1], "the number of channels")
        want_same(self, w[0], channels, "channels of the filters and of the input")
        want(self, self.groups >= 1 and channels % self.groups == 0, f"{self.groups} groups do not "
             f"divide {channels} channels")  # fmt: skip
        neurons = size_of(self, w[1], "the number of filters") * self.groups
        out = tuple(full - b - e for full, b, e in self._spans())
        want(self, min(out, default=1) >= 1, "pads are larger than the result")
        return TensorType(dtype, (x[0], neurons, *out))

    def evaluate(self, x: Array, w: Array, b: Array | None = None) -> Array:
        rank, groups = x.ndim - 2, self.groups
        strides, _, dilations = filled(rank, self.strides, self.pads, self.dilations)
        spans = self._spans()
        full = np.zeros((len(x), groups * w.shape[1], *(s[0] for s in spans)), x.dtype)
        inside = x.reshape(len(x), groups, x.shape[1] // groups, -1)
        for place in np.ndindex(*w.shape[2:]):
            taps = w[(slice(None), slice(None), *place)].reshape(groups, -1, w.shape[1])
            part = matmul(taps.transpose(0, 2, 1), inside).reshape(len(x), -1, *x.shape[2:])
            starts = [k * d for k, d in zip(place, dilations, strict=True)]
            cut = [slice(s, s + (n - 1) * step + 1, step)
                   for s, n, step in zip(starts, x.shape[2:], strides, strict=True)]  # fmt: skip
            full[(slice(None), slice(None), *cut)] += part
        inner = [slice(begin, size - end) for size, begin, end in spans]
        y = full[(slice(None), slice(None), *inner)]
        return y if b is None else y + b.reshape(-1, *(1,) * rank)

    def _spans(self) -> list[tuple[int, int, int]]:
        """The size before pads are cut, and the pads, of each dimension."""
        x, w = self.x.type.shape[2:], self.w.type.shape[2:]
        rank = len(x)
        strides, pads, dilations = filled(rank, self.strides, self.pads, self.dilations)
        extra = self.output_pads or (0,) * rank
        want(self, len(strides) == len(dilations) == len(extra) == rank and len(pads) == 2 * rank,
             f"the geometry does not fit {rank} spatial dimensions")  # fmt: skip
        return [
            (
                (size_of(self, x[i], "a spatial size") - 1) * strides[i]
                + (size_of(self, w[i], "the kernel") - 1) * dilations[i] + 1
                + extra[i] + max(-pads[rank + i], 0),
                pads[i],
                max(pads[rank + i], 0),
            )
            for i in range(rank)
        ]  # fmt: skip

    def mixes(self) -> Mixes:
        across = frozenset(range(1, self.x.type.rank))
        both = (across, frozenset(range(self.w.type.rank)))
        return both if self.b is None else (*both, frozenset({0}))


def neutral(channels: int, neurons: int, groups: int) -> bool:
    """Whether groups divide channels and neurons alike."""
    return channels % groups == 0 and neurons % groups == 0
