"""Kernels that turn column currents into numbers: noise, converters, shift-and-add."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.simulator.physics.normals import TOGETHER, Floats, Ids, fill_normals

Counts = NDArray[np.unsignedinteger[Any]]
I64 = NDArray[np.int64]
Doubles = NDArray[np.float64]


@kernel
def digits_of(drive: Counts, up: int, top: int, out: Floats) -> None:
    """Write what rows are driven with, from bit ``up`` of ``drive`` ``[rows, places]`` on."""
    shift, mask = np.int32(up), np.int32(top)
    for row in range(drive.shape[0]):
        seen, into = drive[row], out[row]
        for n in range(into.shape[0]):
            into[n] = np.float32((np.int32(seen[n]) >> shift) & mask)


@kernel
def square(digits: Floats, step: float, out: Floats) -> None:
    """Square ``digits`` ``[rows, places]``, and write their sums over rows.

    The squares are rounded to multiples of a power of two, their sums are not.
    """
    out[:] = 0
    up, down = np.float32(step), np.float32(1.0 / step)
    for row in range(digits.shape[0]):
        seen = digits[row]
        for n in range(out.shape[0]):
            seen[n] *= seen[n]
            out[n] += seen[n]
            seen[n] = np.rint(seen[n] * down) * up


@kernel
def add_noise(currents: Floats, sigma: Floats, ids: Ids, keys: I64) -> None:
    """Add read noise to ``currents`` ``[columns, places]``.

    Args:
        currents: changed in place.
        sigma: ``[1 or columns, places]``.
        ids: ``[places]`` 32 random bits for each place.
        keys: 32 random bits for each ``TOGETHER`` columns in this phase.
    """
    z = np.empty((TOGETHER, currents.shape[1]), np.float32)
    for column in range(currents.shape[0]):
        if column % TOGETHER == 0:
            fill_normals(ids, 0, keys[column // TOGETHER], z)
        row, into = sigma[min(column, sigma.shape[0] - 1)], currents[column]
        drawn = z[column % TOGETHER]
        for n in range(into.shape[0]):
            into[n] += row[n] * drawn[n]


@kernel
def convert(
    currents: Floats, step: float, bottom: int, top: int, gain: Floats, offset: Floats, bow: Floats
) -> None:
    """Replace ``currents`` ``[columns, places]`` by what converters give for them.

    Args:
        currents: in level units.
        step: of the converter, in level units.
        bottom: the least code.
        top: the largest code.
        gain: ``[columns]`` of the converter of each column, 1 for a perfect one.
        offset: ``[columns]`` in steps.
        bow: ``[columns]`` in steps, in the middle of the range.
    """
    low, full, half, down = (
        np.float32(bottom),
        np.float32(top),
        np.float32(0.5),
        np.float32(1 / step),
    )
    zero, one, four, up = np.float32(0), np.float32(1), np.float32(4), np.float32(step)
    span = full - low
    for column in range(currents.shape[0]):
        values = currents[column]
        slope, add, arch = gain[column] * down, offset[column], four * bow[column]
        if arch == zero:
            for n in range(values.shape[0]):
                code = np.floor(values[n] * slope + add + half)
                values[n] = min(max(code, low), full) * up
            continue
        for n in range(values.shape[0]):
            code = values[n] * slope + add
            at = min(max((code - low) / span, zero), one)
            code = np.floor(code + arch * at * (one - at) + half)
            values[n] = min(max(code, low), full) * up


@kernel
def bend(digits: Doubles, bows: Floats, top: float, parts: float) -> None:
    """Add to ``digits`` ``[rows, places]`` the bow of each row's DAC, in its steps.

    The result is rounded to so many parts of a step.
    """
    down, one, four = 1.0 / top, 1.0, 4.0
    for row in range(digits.shape[0]):
        values, arch = digits[row], four * bows[row]
        for n in range(values.shape[0]):
            at = values[n] * down
            values[n] = np.rint((values[n] + arch * at * (one - at)) * parts) / parts


@kernel
def gather(
    values: NDArray[np.floating[Any]],
    unit: int,
    unit_worth: Doubles,
    neurons: I64,
    worth: Doubles,
    total: Doubles,
) -> None:
    """Write ``total`` ``[neurons, places]``: what columns ``[columns, places]`` are worth.

    Args:
        values: of all columns; with ``unit``, the first is the unit column.
        unit: 0 or 1.
        unit_worth: ``[neurons]`` what the unit column is worth to each.
        neurons: ``[columns]`` that the others belong to.
        worth: ``[columns]`` what they are worth.
        total: result.
    """
    total[:] = 0
    for neuron in range(total.shape[0] if unit else 0):
        into, factor, seen = total[neuron], unit_worth[neuron], values[0]
        for n in range(seen.shape[0]):
            into[n] = factor * np.float64(seen[n])
    for column in range(neurons.shape[0]):
        into, factor, seen = total[neurons[column]], worth[column], values[unit + column]
        for n in range(seen.shape[0]):
            into[n] += factor * np.float64(seen[n])


@kernel
def add_rounded(total: Doubles, gain: float, into: Doubles) -> None:
    """Add ``gain`` times ``total`` ``[neurons, places]``, rounded to integers."""
    for neuron in range(total.shape[0]):
        seen, out = total[neuron], into[neuron]
        for n in range(out.shape[0]):
            out[n] += np.rint(seen[n] * gain)
