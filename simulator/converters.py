"""Crossbar blocks as the bit-plane kernels read them: lossy columns only, packed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.crossbar import Cells, Encoding, program, safe, unit_safe
from neutrams.ir.types import Array
from neutrams.simulator.planes import convert_block, pack

_TILE = 512
"""Windows packed at a time: the words of one phase and the sums of a neuron stay close."""


@dataclass(frozen=True, slots=True)
class Block:
    """The columns of one block whose converters can err, and what they are worth.

    The arrays are those that :func:`neutrams.simulator.planes.convert_block` describes.
    """

    rows: int
    digits: int
    worth: NDArray[np.int64]
    cells: NDArray[np.uint32]
    terms: NDArray[np.int32]
    ups: NDArray[np.uint32]
    limits: NDArray[np.int32]
    starts: NDArray[np.int32]
    gains: NDArray[np.int64]
    unit_gains: NDArray[np.int64]

    def convert(self, drive: Array, out: Array) -> None:
        """Add to ``out`` ``[neurons, windows]`` the values or errors for ``[rows, windows]``."""
        bits = len(self.worth) * self.digits
        for low in range(0, drive.shape[1], _TILE):
            part = np.ascontiguousarray(drive[:, low : low + _TILE])
            words = _aligned((bits, _quads(self.rows) * 4, part.shape[1]))
            pack(part, words)
            sums = np.zeros((len(out), part.shape[1]), out.dtype)
            convert_block(
                words,
                self.digits,
                self.worth,
                self.cells,
                self.terms,
                self.ups,
                self.limits,
                self.starts,
                self.gains,
                self.unit_gains,
                sums,
            )
            out[:, low : low + _TILE] += sums


def narrow(e: Encoding, rows: int) -> bool:
    """Say whether the kernels' 32-bit lanes hold the column sums of a block of so many rows."""
    return rows * e.cell_max * e.digit_max + (1 << max(e.shift, e.unit_shift)) < 2**31


def plan(weights: Array, e: Encoding, *, values: bool) -> Block | None:
    """Prepare a block of ``weights`` ``[rows, neurons]``; ``None`` where nothing can go wrong.

    With ``values`` the block gives what its neurons sum to; without, only what the converters
    add to the exact sums.
    """
    rows, neurons = weights.shape
    cells = program(weights, e)
    lossy = np.ones_like(cells.flipped) if values else ~safe(cells, e)
    if not values and not lossy.any() and (not e.bias or unit_safe(rows, e)):
        return None
    terms, ups, order = _terms(rows, e)
    picked, starts, gains = _columns(cells, e, lossy)
    planes = _planes(picked, e)[order].reshape(len(terms), 8, len(gains))
    return Block(
        rows=rows,
        digits=e.dac_bits,
        worth=1 << np.arange(e.phases) * e.dac_bits,
        cells=np.ascontiguousarray(planes.transpose(2, 0, 1)),
        terms=terms,
        ups=ups,
        limits=_limits(e, values=values),
        starts=starts,
        gains=gains,
        unit_gains=_unit_gains(cells, e, neurons),
    )


def _columns(cells: Cells, e: Encoding, lossy: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Return codes ``[rows, columns]`` of the lossy columns, neuron by neuron, and their worth."""
    neuron, polarity, slice_ = np.nonzero(lossy.transpose(2, 0, 1))
    starts = np.concatenate([[0], np.cumsum(lossy.sum(axis=(0, 1)))]).astype(np.int32)
    sign = np.where(cells.flipped[polarity, slice_, neuron] ^ (polarity == 1), -1, 1)
    return cells.codes[polarity, slice_, :, neuron].T, starts, sign << slice_ * e.cell_bits


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


def _aligned(shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """Return zeros from the start of a cache line on, so that no vector load crosses two."""
    size = 4 * int(np.prod(shape))
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(np.uint32).reshape(shape)


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


def _limits(e: Encoding, *, values: bool) -> NDArray[np.int32]:
    exact = not values and not e.shift and not e.unit_shift
    column = [1 << e.shift >> 1, -1 << e.shift, e.code_max << e.shift]
    unit = [1 << e.unit_shift >> 1, -1 << e.unit_shift, e.code_max << e.unit_shift]
    rest = [0 if values else -1, e.code_max if exact else 0, e.cell_max]
    return np.array([*column, *unit, *rest], np.int32)
