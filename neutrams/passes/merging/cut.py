"""Where the inputs of a unit are cut, so that each part is a unit of its own."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.blocks import row_splits
from neutrams.ir.types import Array

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cut:
    """Equal parts of the inputs of one group.

    The kernel falls into equal boxes, the last ones filled up with taps of weight 0. A *member* is
    one channel seen through one box, number ``box · channels + channel``; a part has ``size`` of
    them, the last part filled up with members of weight 0.
    """

    channels: int
    kernel: tuple[int, ...]
    box: tuple[int, ...]
    """Taps of a box along each axis; the whole kernel where that is not cut."""
    parts: int

    @property
    def counts(self) -> tuple[int, ...]:
        """Boxes along each axis."""
        return tuple(row_splits(k, b) for k, b in zip(self.kernel, self.box, strict=True))

    @property
    def boxes(self) -> int:
        return prod(self.counts)

    @property
    def members(self) -> int:
        return self.boxes * self.channels

    @property
    def size(self) -> int:
        """Members of a part."""
        return -(-self.members // self.parts)

    @property
    def rows(self) -> int:
        """Inputs of a part."""
        return self.size * prod(self.box)

    @property
    def table(self) -> Ints:
        """``[parts, size]``: the members of each part; empty places repeat the first one's."""
        places = np.arange(self.parts * self.size).reshape(self.parts, self.size)
        return np.where(places < self.members, places, 0)

    @property
    def offsets(self) -> list[tuple[int, ...]]:
        """The first tap of each box."""
        along = [range(0, count * b, b) for count, b in zip(self.counts, self.box, strict=True)]
        return list(product(*along))

    @property
    def part_of_row(self) -> Ints:
        """``[channels · taps]``: the part that reads each row of the uncut matrix."""
        taps = np.array(list(np.ndindex(self.kernel)), np.int64).T
        box = np.zeros(prod(self.kernel), np.int64)
        for tap, width, count in zip(taps, self.box, self.counts, strict=True):
            box = box * count + tap // width
        member = box[None, :] * self.channels + np.arange(self.channels)[:, None]
        found: Ints = member.reshape(-1) // self.size
        return found

    def weights(self, w: Array) -> Array:
        """Return ``[G, parts, M, rows]`` of a whole matrix ``[G, M, channels · taps]``."""
        groups, neurons, _ = w.shape
        whole = w.reshape(groups, neurons, self.channels, *self.kernel)
        ends = [c * b - k for c, b, k in zip(self.counts, self.box, self.kernel, strict=True)]
        whole = np.pad(whole, [(0, 0)] * 3 + [(0, end) for end in ends])
        pairs = [n for pair in zip(self.counts, self.box, strict=True) for n in pair]
        apart = whole.reshape(groups, neurons, self.channels, *pairs)
        rank = len(self.kernel)
        order = [3 + 2 * i for i in range(rank)], [4 + 2 * i for i in range(rank)]
        apart = apart.transpose(0, 1, *order[0], 2, *order[1])
        by_member = apart.reshape(groups, neurons, self.members, prod(self.box))
        picked = by_member[:, :, self.table]
        places = np.arange(self.parts * self.size).reshape(self.parts, self.size)
        held = np.where((places < self.members)[:, :, None], picked, 0)
        return held.transpose(0, 2, 1, 3, 4).reshape(groups, self.parts, neurons, -1)


def find_cut(channels: int, kernel: tuple[int, ...], *, rows: int) -> Cut:
    """Return the cut into the fewest parts of at most ``rows`` inputs, then the fewest boxes."""
    found = []
    for box in product(*(range(1, k + 1) for k in kernel)):
        if prod(box) > rows:
            continue
        boxes = prod(row_splits(k, b) for k, b in zip(kernel, box, strict=True))
        parts = row_splits(boxes * channels, rows // prod(box))
        found.append((parts, boxes, box))
    parts, _, box = min(found)
    return Cut(channels, kernel, box, parts)
