"""Currents as dot products of bytes, for cells that 8 bits hold finely enough.

Sums stay below 2^24, so that products of float32 give the same, on other processors and for few
places.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel
from neutrams.ir.types import Array
from neutrams.simulator.exact.dots import PLACES, unit
from neutrams.simulator.exact.joined import Taps, add_products, rows_seen
from neutrams.simulator.physics.scratch import SCRATCH

MOST = 127
"""The largest magnitude of a cell."""
TOP = 255
"""The largest digit, and its square as a byte."""

Digits = NDArray[np.uint8]


class ByteCells:
    """Cells ``[columns, rows]`` as multiples of a number for each column."""

    def __init__(self, cells: Array, grid: float) -> None:
        """Round cells to multiples of ``grid``; of a coarser one where a column reaches further."""
        largest = np.abs(cells).max(axis=1, initial=0.0)
        fine = np.maximum(largest / MOST, grid)
        self.fine = fine.astype(np.float32)
        self._whole = np.rint(cells / fine[:, None]).clip(-MOST, MOST).astype(np.int8)
        self._numbers = self._whole.astype(np.float32)
        dots = len(cells) and unit() is not None
        self._taps = Taps.of(self._whole[None], ()) if dots else None

    def fit(self, sigma: Array) -> bool:
        """Say whether sums are exact, and rounding changes no current by a larger σ.

        ``sigma`` ``[columns]`` is of currents, all rows driven by the largest digit.
        """
        rows = self._whole.shape[1]
        reach = int(np.abs(self._whole.astype(np.int64)).sum(axis=1).max(initial=0))
        off = self.fine * (TOP * (rows / 12) ** 0.5)
        return reach * TOP < 2**24 and bool((off <= sigma).all())

    def times(self, digits: Digits, name: str) -> Array:
        """Return currents ``[columns, places]``, float32 in ``SCRATCH``, for ``[rows, places]``."""
        out = SCRATCH.array(name, (len(self._whole), digits.shape[1]))
        if self._taps is None or digits.shape[1] < PLACES:
            np.matmul(self._numbers, digits.astype(np.float32), out=out)
        else:
            out[:] = 0
            seen = rows_seen(digits[None])
            add_products(
                self._taps.weights, seen.drive, seen.taps, seen.starts, seen.run, out[None]
            )
        out *= self.fine[:, None]
        return out


def cells_of_bits(bits: int) -> float:
    """Return the finest power of two whose multiples are bytes up to the highest level."""
    return float(2.0 ** -np.floor(np.log2(MOST / (2**bits - 1))))


@kernel
def square_bytes(digits: Digits, top: int, squares: Digits) -> None:
    """Write squares of ``digits`` ``[rows, places]``, rounded so that that of ``top`` is 255."""
    up = np.int32(TOP * 65536 // (top * top))
    for row in range(digits.shape[0]):
        seen, into = digits[row], squares[row]
        for n in range(seen.shape[0]):
            square = np.int32(seen[n]) * np.int32(seen[n])
            into[n] = np.uint8((square * up + np.int32(32768)) >> np.int32(16))
