"""In which packets the items of a station leave: what is sent, cut, and copied on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from neutrams.simulator.traffic.joins import Portion

I64 = NDArray[np.int64]
Targets = dict[int, list["Sent"]]
"""What each of some tiles is sent."""


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """What a station sends over one edge."""

    edge: int
    tile: int
    """Where it ends."""
    portion: Portion
    bits: float
    """Of one item."""
    items: I64
    """Items of an inference that go over it, in their order."""


def classes(each: int, sent: Sequence[Sent]) -> tuple[list[list[Sent]], I64]:
    """Tell the items of an inference apart by the edges that they go over.

    Returns:
        The edges of each class of items, and ``[each]`` the class of each.
    """
    over = np.zeros((each, max(len(sent), 1)), bool)
    for column, one in enumerate(sent):
        over[one.items, column] = True
    packed = np.ascontiguousarray(np.packbits(over, axis=1))
    rows = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
    _, first, kind = np.unique(rows, return_index=True, return_inverse=True)
    found = [[one for one, goes in zip(sent, over[n], strict=False) if goes] for n in first]
    return found, kind.reshape(-1)


def deliveries(here: int, sent: Sequence[Sent], *, multicast: bool) -> list[Targets]:
    """Return which tiles are served together when a station in tile ``here`` sends an item.

    Edges of one station that end in one tile are served by one packet. Where routers copy packets,
    so are tiles that want the same portion of the item.
    """
    at: Targets = {}
    for one in sent:
        at.setdefault(one.tile, []).append(one)
    groups: dict[tuple[object, ...], Targets] = {}
    for tile, ones in at.items():
        together = multicast and tile != here
        key: tuple[object, ...] = (frozenset(portions(ones)),) if together else (tile,)
        groups.setdefault(key, {})[tile] = ones
    return list(groups.values())


def flits(here: int, tiles: Targets, flit_bits: int) -> int:
    """Return the flits of one item that goes to some tiles together; 0 where it stays."""
    if here in tiles:
        return 0
    return max(max(-(-ceil(bits_of(ones) - 1e-9) // flit_bits), 1) for ones in tiles.values())


def bits_of(sent: Sequence[Sent]) -> float:
    """Return the bits of what one tile is sent of an item."""
    return sum(portions(sent).values())


def portions(sent: Sequence[Sent]) -> dict[Portion, float]:
    """Return the portions of an item that one tile wants and their bits, each once."""
    found: dict[Portion, float] = {}
    for one in sent:
        found[one.portion] = max(found.get(one.portion, 0.0), one.bits)
    return {key: bits for key, bits in found.items() if len(key) == 1 or key[:1] not in found}
