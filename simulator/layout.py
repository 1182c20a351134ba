"""Samples first or samples last: how values lie in memory."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.ir.types import Array

_BLOCK = 32


def samples_last(x: Array) -> Array:
    """Return ``x`` ``[samples, *sizes]`` as ``[*sizes, samples]``, in that order in memory."""
    view = np.moveaxis(x, 0, -1)
    if view.flags.c_contiguous:
        return view
    out = np.empty(view.shape, x.dtype)
    transpose(np.ascontiguousarray(x).reshape(len(x), -1), out.reshape(prod(x.shape[1:]), -1))
    return out


@kernel
def transpose(x: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the transpose of a matrix, in blocks that stay in the first-level cache."""
    rows, columns = x.shape
    for top in range(0, rows, _BLOCK):
        for left in range(0, columns, _BLOCK):
            for column in range(left, min(left + _BLOCK, columns)):
                for row in range(top, min(top + _BLOCK, rows)):
                    out[column, row] = x[row, column]
