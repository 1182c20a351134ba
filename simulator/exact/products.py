"""Integer products of few neurons a group, too thin for BLAS, and how large products get."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel

Counts = NDArray[np.unsignedinteger[Any]]
Ints = NDArray[np.signedinteger[Any]]

THIN = 4
"""Neurons of a group up to which this is faster than BLAS."""

_AT_ONCE = 1024


@kernel
def thin_products(weights: Ints, drive: Counts, low: int, high: int, out: Ints) -> None:
    """Add to ``out`` the products of some of each group's rows.

    Args:
        weights: ``[groups, neurons, rows]`` of the type of ``out``.
        drive: ``[groups, rows, places]``.
        low: first row.
        high: one past the last row.
        out: ``[groups, neurons, places]`` of a type that holds every sum.
    """
    wide = out.dtype.type
    for group in range(weights.shape[0]):
        for start in range(0, drive.shape[2], _AT_ONCE):
            stop = min(start + _AT_ONCE, drive.shape[2])
            for neuron in range(weights.shape[1]):
                into = out[group, neuron, start:stop]
                for row in range(low, high):
                    weight, seen = weights[group, neuron, row], drive[group, row, start:stop]
                    for n in range(stop - start):
                        into[n] += wide(wide(seen[n]) * weight)


@kernel
def largest_sum(weights: Ints, rows: int) -> np.int64:
    """Return the largest sum of magnitudes of a neuron's weights, cut into pieces of some rows.

    Args:
        weights: ``[groups, neurons, rows]``.
        rows: of a piece.
    """
    largest = np.int64(0)
    for group in range(weights.shape[0]):
        for neuron in range(weights.shape[1]):
            for low in range(0, weights.shape[2], rows):
                total = np.int64(0)
                for weight in weights[group, neuron, low : low + rows]:
                    total += abs(np.int64(weight))  # in its own type the least has no magnitude
                largest = max(largest, total)
    return largest
