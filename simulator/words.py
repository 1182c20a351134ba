"""Population count of a machine word, inside kernels and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import intrinsic, overload


def popcount(word: np.uint32) -> np.uint32:
    """Return the number of ones in a word; one instruction inside a kernel."""
    return np.uint32(int(word).bit_count())


def _count_ones(_: Any, word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return word(word), generate


_ctpop: Any = intrinsic(_count_ones)


@overload(popcount)
def _popcount(word: Any) -> Callable[[Any], Any]:
    def count(word: Any) -> Any:
        return _ctpop(word)

    return count
