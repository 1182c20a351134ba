"""Crossbar blocks as the bit-plane kernels read them: lossy columns only, packed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.crossbar import Cells, Encoding, program
from neutrams.ir.types import Array
from neutrams.simulator.planes import convert_block, pack

_TILE = 256
"""Windows packed at a time: their words stay in the first cache."""


@dataclass(frozen=True, slots=True)
class Block:
    """The columns of one block whose converters can err, and what they are worth."""

    rows: int
    worth: NDArray[np.int32]
    digits: int
    cells: NDArray[np.uint32]
    terms: NDArray[np.int32]
    ups: NDArray[np.uint32]
    limits: NDArray[np.int32]
    starts: NDArray[np.int32]
    neurons: NDArray[np.int32]
    gains: NDArray[np.signedinteger[Any]]
    unit_gains: NDArray[np.signedinteger[Any]]

    def convert(self, drive: Array) -> Array:
        """Return ``[windows, neurons]``: values or errors of the block for ``[rows, windows]``."""
        windows = drive.shape[1]
        out = np.zeros((windows, len(self.unit_gains)), self.gains.dtype)
        bits = len(self.worth) * self.digits
        for low in range(0, windows, _TILE):
            part = np.ascontiguousarray(drive[:, low : low + _TILE])
            words = np.zeros((bits, _quads(self.rows) * 4, part.shape[1]), np.uint32)
            pack(part, words)
            convert_block(
                words,
                self.digits,
                self.worth,
                self.cells,
                self.terms,
                self.ups,
                self.limits,
                self.starts,
                self.neurons,
                self.gains,
                self.unit_gains,
                out[low : low + _TILE],
            )
        return out


def narrow(e: Encoding, rows: int) -> bool:
    """Say whether the kernels' 32-bit sums hold those of a block of so many rows."""
    largest = rows * e.cell_max * e.digit_max
    reach = largest + (1 << max(e.shift, e.unit_shift))
    return reach << e.phases * e.dac_bits < 2**31


def plan(weights: Array, e: Encoding, *, values: bool, wide: bool = False) -> Block | None:
    """Prepare a block of ``weights`` ``[rows, neurons]``; ``None`` where nothing can go wrong.

    With ``values`` the block gives what its neurons sum to; without, only what the converters
    add to the exact sums. ``wide`` makes the sums i64.
    """
    rows, neurons = weights.shape
    cells = program(weights, e)
    top = e.code_max if not e.shift else 0
    lossy = cells.codes.sum(axis=2) * e.digit_max > top
    if values:
        lossy = np.ones_like(lossy)
    unit_exact = not e.unit_shift and rows * e.digit_max <= e.code_max
    if not values and not lossy.any() and (unit_exact or not e.bias):
        return None
    terms, ups, order = _terms(rows, e)
    picked, starts, owners, gains = _columns(cells, e, lossy)
    dtype = np.int64 if wide else np.int32
    return Block(
        rows=rows,
        worth=_worth(e),
        digits=e.dac_bits,
        cells=_aligned(_planes(picked, e)[order].reshape(len(terms), 8, picked.shape[1])),
        terms=terms,
        ups=ups,
        limits=_limits(e, values=values),
        starts=starts,
        neurons=owners,
        gains=gains.astype(dtype),
        unit_gains=_unit_gains(cells, e, neurons).astype(dtype),
    )


def _columns(cells: Cells, e: Encoding, lossy: NDArray[np.bool_]) -> tuple[Array, ...]:
    """Return codes ``[rows, columns]`` of the lossy columns, slice by slice, and their owners."""
    polarity, slice_, neuron = np.nonzero(lossy)
    counts = lossy.reshape(-1, lossy.shape[-1]).sum(axis=1)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    sign = np.where(cells.flipped[polarity, slice_, neuron] ^ (polarity == 1), -1, 1)
    codes = cells.codes[polarity, slice_, :, neuron].T
    return codes, starts, neuron.astype(np.int32), sign << slice_ * e.cell_bits


def _unit_gains(cells: Cells, e: Encoding, neurons: int) -> NDArray[np.int64]:
    if not e.bias:
        return np.zeros(neurons, np.int64)
    worth = e.cell_max << np.arange(e.slices) * e.cell_bits
    return np.asarray(worth @ cells.flipped[0] - e.bias, np.int64)


def _quads(rows: int) -> int:
    return -(-rows // 128)


def _planes(codes: Array, e: Encoding) -> NDArray[np.uint32]:
    """Return ``[cell bits × quads + 1, 4, columns]`` words; the last quad is empty."""
    rows, columns = codes.shape
    bits = np.zeros((e.cell_bits, _quads(rows) * 128, columns), np.uint8)
    bits[:, :rows] = codes >> np.arange(e.cell_bits)[:, None, None] & 1
    quads = e.cell_bits * _quads(rows)
    packed = np.packbits(bits.reshape(quads * 4, 32, columns), axis=1, bitorder="little")
    words = packed.astype(np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    joined = words.sum(axis=1, dtype=np.uint32).reshape(quads, 4, columns)
    return np.concatenate([joined, np.zeros((1, 4, columns), np.uint32)])


def _aligned(array: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Copy an array to the start of a cache line, so that no vector load crosses two."""
    raw = np.zeros(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _terms(rows: int, e: Encoding) -> tuple[NDArray[np.int32], NDArray[np.uint32], Array]:
    """Return which digit and words meet which quad of cells, two quads to a pair."""
    quads = _quads(rows)
    digit, plane, quad = np.indices((e.dac_bits, e.cell_bits, quads)).reshape(3, -1)
    rest = len(digit) % 2
    terms = np.stack([digit, quad * 4], axis=1)
    order = plane * quads + quad
    ups = np.left_shift(1, digit + plane)
    terms = np.concatenate([terms, np.zeros((rest, 2), terms.dtype)])
    order = np.concatenate([order, np.full(rest, e.cell_bits * quads)])
    ups = np.concatenate([ups, np.zeros(rest, ups.dtype)])
    return (
        terms.reshape(-1, 2, 2).astype(np.int32),
        ups.reshape(-1, 2).astype(np.uint32),
        order,
    )


def _worth(e: Encoding) -> NDArray[np.int32]:
    """Return each phase's weight; an even number of phases, the last perhaps never driven."""
    phases = e.phases + e.phases % 2
    lowest_bits = np.minimum(np.arange(phases), e.phases - 1) * e.dac_bits
    return (1 << lowest_bits).astype(np.int32)


def _limits(e: Encoding, *, values: bool) -> NDArray[np.int32]:
    exact = not values and not e.shift and not e.unit_shift
    column = [1 << e.shift >> 1, -1 << e.shift, e.code_max << e.shift]
    unit = [1 << e.unit_shift >> 1, -1 << e.unit_shift, e.code_max << e.unit_shift]
    rest = [0 if values else -1, e.code_max if exact else 0, e.cell_max]
    return np.array([*column, *unit, *rest], np.int32)
