"""Kernels around a matrix product: windows into columns before it, rescaling after it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


@kernel
def unfold(
    x: Ints, offset: int, outside: int, geometry: NDArray[np.int64], columns: Floats
) -> None:
    """Write what every row is driven with, for each window of some samples.

    Args:
        x: ``[samples, channels, depth, height, width]``.
        offset: added to every element.
        outside: what places beyond the bounds hold, before the offset.
        geometry: ``[3, 5]`` for each spatial axis kernel, stride, begin padding, dilation, windows.
        columns: ``[channels × kernel, samples × windows]`` result.
    """
    samples, channels, depth, height = x.shape[:4]
    planes, rows, cells = geometry[0, 4], geometry[1, 4], geometry[2, 4]
    beyond = outside + offset
    row = 0
    for channel in range(channels):
        for tap_d in range(geometry[0, 0]):
            for tap_h in range(geometry[1, 0]):
                for tap_w in range(geometry[2, 0]):
                    into = columns[row]
                    row += 1
                    left = tap_w * geometry[2, 3] - geometry[2, 2]
                    at = 0
                    for sample in range(samples):
                        for plane in range(planes):
                            d = plane * geometry[0, 1] + tap_d * geometry[0, 3] - geometry[0, 2]
                            for line in range(rows):
                                h = line * geometry[1, 1] + tap_h * geometry[1, 3] - geometry[1, 2]
                                part = into[at : at + cells]
                                at += cells
                                if d < 0 or d >= depth or h < 0 or h >= height:
                                    part[:] = beyond
                                else:
                                    seen = x[sample, channel, d, h]
                                    copy_line(seen, offset, beyond, left, geometry[2, 1], part)


@kernel
def copy_line(seen: Ints, offset: int, beyond: int, left: int, stride: int, part: Floats) -> None:
    """Copy every ``stride``-th element from ``left`` on; fill places outside."""
    width, count = seen.shape[0], part.shape[0]
    first = min(count, max(0, (-left + stride - 1) // stride))
    last = max(first, min(count, (width - left + stride - 1) // stride))
    part[:first] = beyond
    part[last:] = beyond
    if last <= first:
        return
    inside, target = seen[left + first * stride :], part[first:last]
    if stride == 1:
        for i in range(target.shape[0]):
            target[i] = inside[i] + offset
    else:
        for i in range(target.shape[0]):
            target[i] = inside[i * stride] + offset


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
