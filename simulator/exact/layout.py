"""Samples first or samples last: how values lie in memory."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.ir.types import Array

Words = NDArray[np.uint64]

_BLOCK = 32
"""Rows, or words of rows, whose cache lines stay in the first-level cache."""
_HALVES, _QUARTERS, _BYTES = 0x00000000FFFFFFFF, 0x0000FFFF0000FFFF, 0x00FF00FF00FF00FF


def aligned(shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> Array:
    """Return memory from the start of a cache line on, so that no vector load crosses two."""
    size = prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def samples_last(x: Array) -> Array:
    """Return ``x`` ``[samples, *sizes]`` as ``[*sizes, samples]``, in that order in memory."""
    view = np.moveaxis(x, 0, -1)
    if view.flags.c_contiguous:
        return view
    out = np.empty(view.shape, x.dtype)
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    _transpose(flat, out.reshape(prod(x.shape[1:]), -1))
    return out


def samples_first(x: Array) -> Array:
    """Return ``x`` ``[samples, *sizes]`` in that order in memory."""
    if x.flags.c_contiguous:
        return x
    view = np.moveaxis(x, 0, -1)
    if not view.flags.c_contiguous:
        return np.ascontiguousarray(x)
    out = np.empty(x.shape, x.dtype)
    _transpose(view.reshape(-1, len(x)), out.reshape(len(x), -1))
    return out


def _transpose(x: Array, out: Array) -> None:
    if x.itemsize == 1 and not x.shape[0] % 8 and not x.shape[1] % 8:
        transpose_bytes(x.view(np.uint64), out.view(np.uint64))
    else:
        transpose(x, out)


@kernel
def transpose(x: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the transpose of a matrix."""
    rows, columns = x.shape
    for top in range(0, rows, _BLOCK):
        for left in range(0, columns, _BLOCK):
            for column in range(left, min(left + _BLOCK, columns)):
                for row in range(top, min(top + _BLOCK, rows)):
                    out[column, row] = x[row, column]


@kernel
def transpose_bytes(x: Words, out: Words) -> None:
    """Write the transpose of a matrix of bytes, both seen as 8 bytes a word, low byte first."""
    for first in range(0, out.shape[1], _BLOCK):
        for word in range(x.shape[1]):
            for block in range(first, min(first + _BLOCK, out.shape[1])):
                row, column = 8 * block, 8 * word
                a, e = swap(x[row, word], x[row + 4, word], 32, _HALVES)
                b, f = swap(x[row + 1, word], x[row + 5, word], 32, _HALVES)
                c, g = swap(x[row + 2, word], x[row + 6, word], 32, _HALVES)
                d, h = swap(x[row + 3, word], x[row + 7, word], 32, _HALVES)
                a, c = swap(a, c, 16, _QUARTERS)
                b, d = swap(b, d, 16, _QUARTERS)
                e, g = swap(e, g, 16, _QUARTERS)
                f, h = swap(f, h, 16, _QUARTERS)
                out[column, block], out[column + 1, block] = swap(a, b, 8, _BYTES)
                out[column + 2, block], out[column + 3, block] = swap(c, d, 8, _BYTES)
                out[column + 4, block], out[column + 5, block] = swap(e, f, 8, _BYTES)
                out[column + 6, block], out[column + 7, block] = swap(g, h, 8, _BYTES)


@kernel
def swap(a: np.uint64, b: np.uint64, by: int, mask: int) -> tuple[np.uint64, np.uint64]:
    """Exchange what lies above ``mask`` in ``a``, ``by`` bits up, with what ``mask`` shows of b."""
    up = np.uint64(by)
    moved = np.uint64(np.uint64(np.uint64(a >> up) ^ b) & np.uint64(mask))
    return np.uint64(a ^ np.uint64(moved << up)), np.uint64(b ^ moved)
