"""Normal numbers by place: each from a hash of where and when it is needed.

So a result does not depend on how samples are batched or spread over threads. Every step is one
IEEE operation or one of integers, in an order that compilers keep, so numbers are the same on
every machine; loops have no branches, so compilers make vectors of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel

Ids = NDArray[np.uint32]
"""32 random bits each."""
Floats = NDArray[np.float32]

TOGETHER = 4
"""Columns whose numbers come from one key."""
_AGAIN = 0x9E3779B9
"""What the key of the second pair of columns differs by."""
_A, _B = 0x7FEB352D, 0x846CA68B
_MASK = 0xFFFFFFFF
_HALF, _ONE = np.float32(0.5), np.float32(1)
_UNIT, _HALF_TURN = np.float32(2.0**-16), np.float32(2.0**-15)
_TWICE_LN2 = np.float32(2 * np.log(2.0))

# Chebyshev interpolants, lowest power first. The first is -2 ln(m) for m in 1 to 2, off by 3e-6;
# the others are sin(πt) / t and cos(πt) over t² in 0 to 1, off by 1e-5 and 1e-6.
_L0, _L1, _L2, _L3, _L4, _L5, _L6 = (
    np.float32(-2 * c)
    for c in (
        -2.09964785, 4.20523484, -3.6471204, 2.22694346, -0.8520796, 0.18370084, -0.01702961,
    )
)  # fmt: skip
_S0, _S1, _S2, _S3, _S4 = (
    np.float32(c) for c in (3.14158037, -5.16709776, 2.54520983, -0.58518036, 0.06549943)
)
_C0, _C1, _C2, _C3, _C4, _C5 = (
    np.float32(c)
    for c in (0.9999992, -4.93474454, 4.05803674, -1.33235693, 0.22963649, -0.02057171)
)


def mixed(ids: NDArray[np.uint64]) -> Ids:
    """Hash the low 32 bits to 32 bits, one to one (constants by Wellons, hash-prospector)."""
    h = ids & np.uint64(_MASK)
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(_A)) & np.uint64(_MASK)
    h = ((h ^ (h >> np.uint64(15))) * np.uint64(_B)) & np.uint64(_MASK)
    return (h ^ (h >> np.uint64(16))).astype(np.uint32)


def bits_of(x: np.float32) -> np.int32:
    """Return the bits of a number."""
    return np.float32(x).view(np.int32)


def of_bits(x: np.int32) -> np.float32:
    """Return the number that has these bits."""
    return np.int32(x).view(np.float32)


@kernel
def fill_normals(ids: Ids, first: int, key: int, z: Floats) -> None:
    """Write standard normal numbers ``z`` ``[TOGETHER, places]`` under a 32-bit ``key``.

    Hashes of 32 bits give two each: a radius, that of the 2-dimensional normal distribution, from
    16 of the bits, and an angle from the others (Box and Muller, 1958). None exceeds 4.86.

    Args:
        ids: of all places.
        first: place with which ``z`` starts.
        key: which columns, in which phase.
        z: result.
    """
    mask, low = np.uint64(_MASK), np.uint32(0xFFFF)
    seen = ids[first : first + z.shape[1]]
    a, b, half, less = np.uint64(_A), np.uint64(_B), np.uint32(16), np.uint32(15)
    for pair in range(TOGETHER // 2):
        salt = np.uint32(key ^ (_AGAIN * pair))
        for n in range(z.shape[1]):
            h = np.uint32(seen[n] ^ salt)
            h = np.uint32((np.uint64(np.uint32(h ^ (h >> half))) * a) & mask)
            h = np.uint32((np.uint64(np.uint32(h ^ (h >> less))) * b) & mask)
            h = np.uint32(h ^ (h >> half))
            u = (np.float32(np.int32(h >> half)) + _HALF) * _UNIT
            bits = bits_of(u)
            m = of_bits(np.int32(np.int32(bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)))
            octaves = np.float32(np.int32(np.int32(127) - np.int32(bits >> np.int32(23))))
            square = octaves * _TWICE_LN2 + (
                _L0 + m * (_L1 + m * (_L2 + m * (_L3 + m * (_L4 + m * (_L5 + m * _L6)))))
            )
            radius = np.sqrt(max(square, np.float32(0)))
            t = (np.float32(np.int32(np.uint32(h & low))) + _HALF) * _HALF_TURN - _ONE
            s = t * t
            z[2 * pair, n] = radius * (
                _C0 + s * (_C1 + s * (_C2 + s * (_C3 + s * (_C4 + s * _C5))))
            )
            z[2 * pair + 1, n] = radius * (t * (_S0 + s * (_S1 + s * (_S2 + s * (_S3 + s * _S4)))))


def _cast(to: Any, kind: Any) -> Any:
    def typed(_: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], kind)

        return to(x), generate

    return intrinsic(typed)


_to_bits: Any = _cast(types.int32, ir.IntType(32))
_from_bits: Any = _cast(types.float32, ir.FloatType())


@overload(bits_of)
def _bits_of(x: Any) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        return _to_bits(x)

    return run


@overload(of_bits)
def _of_bits(x: Any) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        return _from_bits(x)

    return run
