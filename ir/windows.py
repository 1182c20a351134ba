"""Windows of convolutions and pools: how many there are, and the elements each one sees.

Everywhere, ``kernel``, ``strides`` and ``dilations`` hold one number for each spatial dimension,
and ``pads`` two: all begins, then all ends, as in ONNX. Empty strides and dilations stand for
ones, empty pads for zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import overload

import numpy as np

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.types import Array, Dim, Symbol


@overload
def out_sizes(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] = ...,
    pads: Sequence[int] = ...,
    dilations: Sequence[int] = ...,
    *,
    ceil_mode: bool = ...,
) -> tuple[int, ...]: ...


@overload
def out_sizes(
    sizes: Sequence[Dim],
    kernel: Sequence[int],
    strides: Sequence[int] = ...,
    pads: Sequence[int] = ...,
    dilations: Sequence[int] = ...,
    *,
    ceil_mode: bool = ...,
) -> tuple[Dim, ...]: ...


def out_sizes(
    sizes: Sequence[Dim],
    kernel: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    *,
    ceil_mode: bool = False,
) -> tuple[Dim, ...]:
    """Return the number of windows along each spatial dimension.

    With ``ceil_mode`` a last window may hang over the end padding, if it starts before it. A size
    that is only a symbol goes through windows of which there is one for each of its places.

    Raises:
        NeutramsError: NT0120, a window is larger than the padded input, or the geometry does not
            fit the number of dimensions; NT0102, the number of windows depends on a symbol.
    """
    rank = len(kernel)
    strides, pads, dilations = filled(rank, strides, pads, dilations)
    _check(sizes, kernel, strides, pads, dilations)
    found: list[Dim] = []
    for axis in range(rank):
        size = sizes[axis]
        if isinstance(size, Symbol):
            room = pads[axis] + pads[axis + rank] - (kernel[axis] - 1) * dilations[axis]
            if strides[axis] == 1 and room == 0:
                found.append(size)
                continue
            raise NeutramsError(
                error("NT0102", f"windows slide over a dimension of unknown size `{size}`").help(
                    "fix the spatial sizes when exporting the model, or with `--dim NAME=SIZE`"
                )
            )
        found.append(_count(int(size), kernel[axis], strides[axis], pads[axis],
                            pads[axis + rank], dilations[axis], ceil_mode))  # fmt: skip
    if min((count for count in found if isinstance(count, int)), default=1) < 1:
        raise NeutramsError(
            error("NT0120", "a window is larger than the padded input").note(
                f"sizes {tuple(sizes)}, kernel {tuple(kernel)}, pads {pads}, dilations {dilations}"
            )
        )
    return tuple(found)


def filled(
    rank: int, strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return strides, pads and dilations with empty ones written out."""
    return (
        tuple(strides) or (1,) * rank,
        tuple(pads) or (0,) * (2 * rank),
        tuple(dilations) or (1,) * rank,
    )


def windows(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    value: float = 0,
    *,
    ceil_mode: bool = False,
) -> Array:
    """Return ``[N, C, *kernel, *out]``: what every window of ``x`` ``[N, C, *sizes]`` sees.

    A read-only view of the padded input; places outside the input hold ``value``.
    """
    rank = len(kernel)
    strides, pads, dilations = filled(rank, strides, pads, dilations)
    sizes = x.shape[2:]
    out = out_sizes(sizes, kernel, strides, pads, dilations, ceil_mode=ceil_mode)
    ends = [
        max(pads[rank + i], (out[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1
            - sizes[i] - pads[i])
        for i in range(rank)
    ]  # fmt: skip
    if any(pads[:rank]) or any(ends):
        around = [(0, 0), (0, 0), *zip(pads[:rank], ends, strict=True)]
        x = np.pad(x, around, constant_values=value)
    steps = x.strides[2:]
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *kernel, *out),
        (
            *x.strides[:2],
            *(step * d for step, d in zip(steps, dilations, strict=True)),
            *(step * s for step, s in zip(steps, strides, strict=True)),
        ),
        writeable=False,
    )


def patches(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    value: float = 0,
    *,
    ceil_mode: bool = False,
) -> Array:
    """Return ``[N, C, prod(kernel), *out]``: :func:`windows` with the kernel axes as one."""
    seen = windows(x, kernel, strides, pads, dilations, value, ceil_mode=ceil_mode)
    return seen.reshape(*x.shape[:2], prod(kernel), *seen.shape[2 + len(kernel) :])


def taps(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    *,
    ceil_mode: bool = False,
    include_pad: bool = False,
) -> Array:
    """Return ``[*out]``: how many elements each window averages over, as ONNX counts them.

    Places beyond the end padding, where ``ceil_mode`` lets a window hang over, never count.
    """
    rank = len(kernel)
    strides, pads, dilations = filled(rank, strides, pads, dilations)
    out = out_sizes(sizes, kernel, strides, pads, dilations, ceil_mode=ceil_mode)
    total = np.ones((), np.int64)
    for axis in range(rank):
        low, high = -pads[axis], sizes[axis] + pads[axis + rank]
        if not include_pad:
            low, high = 0, sizes[axis]
        starts = np.arange(out[axis])[:, None] * strides[axis] - pads[axis]
        places = starts + np.arange(kernel[axis]) * dilations[axis]
        total = np.multiply.outer(total, ((places >= low) & (places < high)).sum(axis=1))
    return np.asarray(total)


def _count(
    size: int, kernel: int, stride: int, begin: int, end: int, dilation: int, ceil_mode: bool
) -> int:
    room = size + begin + end - ((kernel - 1) * dilation + 1)
    if room < 0:
        return 0
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - ((count - 1) * stride >= size + begin)


def _check(
    sizes: Sequence[Dim],
    kernel: Sequence[int],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
) -> None:
    rank = len(kernel)
    fits = len(sizes) == len(strides) == len(dilations) == rank and len(pads) == 2 * rank
    if fits and min((*kernel, *strides, *dilations), default=1) >= 1 and min(pads, default=0) >= 0:
        return
    raise NeutramsError(
        error("NT0120", f"the window geometry does not fit {len(sizes)} spatial dimensions").note(
            f"kernel {tuple(kernel)}, strides {strides}, pads {pads}, dilations {dilations}"
        )
    )
