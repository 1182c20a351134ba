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
    out: Ints,
) -> None:
    """Write ``clip(rint(f32(sums + bias) × scale) + zero, low, high)``, as ``unit.rescale`` does.

    Args:
        sums: ``[neurons, samples × windows]`` integers, of any type that holds them exactly.
        bias: ``[neurons]``.
        scale: ``[neurons]``.
        zero: added after rounding.
        low: smallest result.
        high: largest result.
        out: ``[samples, neurons, windows]`` result.
    """
    samples, neurons, windows = out.shape
    for neuron in range(neurons):
        plus, factor = np.int64(bias[neuron]), scale[neuron]
        for sample in range(samples):
            part = sums[neuron, sample * windows : (sample + 1) * windows]
            into = out[sample, neuron]
            for n in range(windows):
                total = np.int64(part[n]) + plus
                value = np.float32(np.rint(np.float32(np.float32(total) * factor)) + zero)
                into[n] = np.int64(min(max(value, low), high))
