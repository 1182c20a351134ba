"""Windows of pools in torch."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn.functional import max_pool2d

from neutrams.ir.windows import filled, out_sizes
from neutrams.training.crossbar import padded


class Pooling(Protocol):
    """The attributes that say which windows a pool sees."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool


def seen(op: Pooling, x: Tensor, value: float) -> Tensor:
    """Return ``[N, C, *out, *kernel]``; places outside hold ``value``."""
    rank = len(op.kernel)
    strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
    sizes = tuple(x.shape[2:])
    out = out_sizes(sizes, op.kernel, strides, pads, dilations, ceil_mode=op.ceil_mode)
    reach = [(op.kernel[i] - 1) * dilations[i] + 1 for i in range(rank)]
    ends = (
        max(pads[rank + i], (out[i] - 1) * strides[i] + reach[i] - sizes[i] - pads[i])
        for i in range(rank)
    )
    x = padded(x, (*pads[:rank], *ends), value)
    for axis in range(rank):
        x = x.unfold(2 + axis, reach[axis], strides[axis]).narrow(2 + axis, 0, out[axis])
        x = x[..., :: dilations[axis]]
    return x


def inside(op: Pooling) -> tuple[int, ...]:
    """The axes of :func:`seen` that run inside a window."""
    return tuple(range(-len(op.kernel), 0))


def pool_sum(op: Pooling, x: Tensor) -> Tensor:
    """Return the sum of every window, nothing outside the input."""
    if not any(op.pads) and tuple(x.shape[2:]) == tuple(op.kernel):
        return x.sum(dim=inside(op), keepdim=True)
    return seen(op, x, 0.0).sum(dim=inside(op))


def pool_max(op: Pooling, x: Tensor) -> Tensor:
    """Return the largest element of every window."""
    rank = len(op.kernel)
    strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
    if rank == 2 and not any(pads) and not op.ceil_mode:
        return max_pool2d(x, op.kernel, strides, dilation=dilations)
    return seen(op, x, -float("inf")).amax(dim=inside(op))
