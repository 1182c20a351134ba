"""Random numbers that depend on what they are for, not on what else is drawn.

So runs that differ in one non-ideality share the draws of all others.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np


class Draws:
    """The generators of one array in one run of many."""

    def __init__(self, seed: int, run: int, array: str) -> None:
        self._entropy = (seed, run, crc32(array.encode()))

    def of(self, purpose: str) -> np.random.Generator:
        """Return a fresh generator for one purpose."""
        return np.random.default_rng((*self._entropy, crc32(purpose.encode())))

    def key(self, purpose: str) -> int:
        """Return 32 bits that stand for one purpose."""
        return int(self.of(purpose).integers(2**32))
