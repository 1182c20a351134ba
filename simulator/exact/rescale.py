"""Merged sums to quantised values, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel

Ints = NDArray[np.integer[Any]]


@kernel
def rescale(
    sums: NDArray[Any],
    bias: Ints,
    scale: NDArray[np.float32],
    zero: np.float32,
    low: np.float32,
    high: np.float32,
    first: int,
    out: Ints,
) -> None:
    """Write ``clip(rint(f32(sums + bias) × scale) + zero, low, high)``, as ``unit.rescale`` does.

    Args:
        sums: ``[neurons, places]`` integers, of any type that holds them exactly.
        bias: ``[neurons]``.
        scale: ``[neurons]``.
        zero: added after rounding.
        low: smallest result.
        high: largest result.
        first: where in ``out`` to start.
        out: ``[neurons, places]`` result.
    """
    for neuron in range(sums.shape[0]):
        plus, factor = np.int64(bias[neuron]), scale[neuron]
        into = out[neuron, first : first + sums.shape[1]]
        for n in range(sums.shape[1]):
            total = np.int64(sums[neuron, n]) + plus
            value = np.float32(np.rint(np.float32(np.float32(total) * factor)) + zero)
            into[n] = np.int64(min(max(value, low), high))
