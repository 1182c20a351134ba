"""A sequence too large to be held at once, cut into parts that are held one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def cut(sizes: Ints, room: Ints, carried: Ints) -> list[int]:
    """Return where each part begins: consecutive items, each part within ``room``.

    The number of parts is the least there is. Among the cuts with as few, the second largest part
    is smallest: all parts begin at the same place, so what the largest has beyond the second is
    written once and for all. Among those, least is carried from part to part.

    Args:
        sizes: ``[items, kinds]`` places of each kind that an item takes, at most ``room``.
        room: ``[kinds]`` places there are. Of several kinds, the largest number counts as a size.
        carried: ``[items - 1]`` what a cut behind each item carries over.
    """
    assert len(sizes) > 0
    assert sizes.min() >= 0
    assert (sizes <= room).all()
    ends = np.concatenate([np.zeros((1, len(room)), np.int64), np.cumsum(sizes, axis=0)])
    count = int(_fewest(ends, room, room)[-1])
    low, high = 0, int(room.max())
    while low < high:
        middle = (low + high) // 2
        if _fewest(ends, room, room.clip(max=middle))[-1] > count:
            low = middle + 1
        else:
            high = middle
    return _lightest(ends, room, room.clip(max=low), count, carried)


def _fewest(ends: Ints, room: Ints, second: Ints) -> Ints:
    """Return the fewest parts of the first items, all but one of which are at most ``second``."""
    never = len(ends)
    whole, least = np.zeros(len(ends), np.int64), np.zeros(len(ends), np.int64)
    near, far = _firsts(ends, second), _firsts(ends, room)
    for end in range(1, len(ends)):
        fits = near[end] < end
        whole[end] = 1 + whole[near[end]] if fits else never
        least[end] = 1 + min(least[near[end]] if fits else never, whole[far[end]])
    return least


def _firsts(ends: Ints, size: Ints) -> Ints:
    """Return for each end the first item of the longest part before it; the end where none is."""
    kinds = range(ends.shape[1])
    found: Ints = np.max([np.searchsorted(ends[:, k], ends[:, k] - size[k]) for k in kinds], axis=0)
    return found


def _lightest(ends: Ints, room: Ints, second: Ints, count: int, carried: Ints) -> list[int]:
    """Return the lightest cut into ``count`` parts, all but one of which are at most ``second``."""
    items = len(ends) - 1
    weight = np.concatenate([[0], carried])
    cost = np.full((count + 1, 2, items + 1), np.inf)
    came = np.zeros((count + 1, 2, items + 1, 2), np.int64)
    cost[0, 0, 0] = 0
    near, far = _firsts(ends, second), _firsts(ends, room)
    for part in range(1, count + 1):
        for end in range(1, items + 1):
            for large in (0, 1):
                ways = [(large, near[end])]
                ways += [(0, far[end])] if large else []
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
