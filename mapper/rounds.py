"""A sequence too large to be held at once, cut into parts that are held one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def cut(sizes: Ints, room: int, carried: Ints) -> list[int]:
    """Return where each part begins: consecutive items, each part within ``room``.

    The number of parts is the least there is. Among the cuts with as few, the second largest part
    is smallest: all parts begin at the same place, so what the largest has beyond the second is
    written once and for all. Among those, least is carried from part to part.

    Args:
        sizes: ``[items]`` places each item takes, at most ``room``.
        room: Places there are.
        carried: ``[items - 1]`` what a cut behind each item carries over.
    """
    assert len(sizes) > 0
    assert sizes.min() >= 0
    assert sizes.max() <= room
    ends = np.concatenate([[0], np.cumsum(sizes)])
    count = int(_fewest(ends, room, room)[-1])
    low, high = 0, room
    while low < high:
        middle = (low + high) // 2
        if _fewest(ends, room, middle)[-1] > count:
            low = middle + 1
        else:
            high = middle
    return _lightest(ends, room, low, count, carried)


def _fewest(ends: Ints, room: int, second: int) -> Ints:
    """Return the fewest parts of the first items, all but one of which are at most ``second``."""
    whole, least = np.zeros(len(ends), np.int64), np.zeros(len(ends), np.int64)
    for end in range(1, len(ends)):
        near, far = _first(ends, end, second), _first(ends, end, room)
        fits = near < end
        whole[end] = 1 + whole[near] if fits else end + len(ends)
        least[end] = 1 + min(least[near] if fits else end + len(ends), whole[far])
    return least


def _first(ends: Ints, end: int, size: int) -> int:
    """Return the first item of the longest part that ends before ``end``, or ``end``."""
    return int(np.searchsorted(ends, ends[end] - size))


def _lightest(ends: Ints, room: int, second: int, count: int, carried: Ints) -> list[int]:
    """Return the lightest cut into ``count`` parts, all but one of which are at most ``second``."""
    items = len(ends) - 1
    weight = np.concatenate([[0], carried])
    cost = np.full((count + 1, 2, items + 1), np.inf)
    came = np.zeros((count + 1, 2, items + 1, 2), np.int64)
    cost[0, 0, 0] = 0
    for part in range(1, count + 1):
        for end in range(1, items + 1):
            for large in (0, 1):
                ways = [(large, _first(ends, end, second))]
                ways += [(0, _first(ends, end, room))] if large else []
                for before, first in ways:
                    if first == end:
                        continue
                    found = cost[part - 1, before, first:end] + weight[first:end]
                    best = int(found.argmin())
                    if found[best] < cost[part, large, end]:
                        cost[part, large, end] = found[best]
                        came[part, large, end] = before, first + best
    large = int(cost[count, 1, items] <= cost[count, 0, items])
    starts, end = list[int](), items
    for part in range(count, 0, -1):
        large, end = came[part, large, end]
        starts.append(int(end))
    return starts[::-1]
