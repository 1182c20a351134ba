"""Normal numbers by place: each from a hash of where and when it is needed.

So a result does not depend on how samples are batched or spread over threads.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel

Ids = NDArray[np.uint64]
"""32 random bits each."""
Floats = NDArray[np.float32]

_MASK = 0xFFFFFFFF
BODY = 2047
"""Cells of equal probability for most of a half-normal; another 1024 share the rest, the tail."""


@cache
def quantiles() -> Floats:
    """Return the half-normal's quantiles at the bounds of all cells, 3072 numbers."""
    inverse = NormalDist().inv_cdf
    body = [inverse(0.5 + 0.5 * i / 2048) for i in range(BODY)]
    tail = [inverse(0.5 + 0.5 * (BODY + i / 1024) / 2048) for i in range(1024)]
    last = inverse(1.0 - 2.0**-33)
    return np.array([*body, *tail, last], np.float32)


def mixed(ids: Ids) -> Ids:
    """Hash 32 bits to 32 bits, one to one (constants by Wellons, hash-prospector)."""
    h = ids & np.uint64(_MASK)
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x7FEB352D)) & np.uint64(_MASK)
    h = ((h ^ (h >> np.uint64(15))) * np.uint64(0x846CA68B)) & np.uint64(_MASK)
    return h ^ (h >> np.uint64(16))


@kernel
def fill_normals(ids: Ids, key: int, table: Floats, out: Floats) -> None:
    """Write a standard normal number for each of ``ids`` under a 32-bit ``key``."""
    mask, one, salt = np.uint64(_MASK), np.uint64(1), np.uint64(key)
    scale = np.float32(1.0 / 1024.0)
    for n in range(ids.shape[0]):
        h = ids[n] ^ salt
        h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x7FEB352D)) & mask
        h = ((h ^ (h >> np.uint64(15))) * np.uint64(0x846CA68B)) & mask
        h = h ^ (h >> np.uint64(16))
        cell, rest = h >> np.uint64(21), (h >> one) & np.uint64(0xFFFFF)
        high, low = rest >> np.uint64(10), rest & np.uint64(0x3FF)
        tail = cell == np.uint64(BODY)
        index = np.int64(np.uint64(BODY) + high if tail else cell)
        part = np.float32(low if tail else high) * scale
        z = table[index] + part * (table[index + 1] - table[index])
        out[n] = z if h & one else -z
