"""Where what one part makes lies in a tile, for all copies there that read it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neutrams.simulator.network.state import I64
from neutrams.simulator.traffic.divided import Read

AT_ONCE = 2
"""Times what its reader needs at once that a buffer holds: while one part is worked on, the next
comes."""
SLACK = 2
"""Items that a buffer holds beyond what its reader needs at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Items that go from one copy to another."""

    sent: I64
    """Which of those that the source makes in an inference."""
    needs: int
    """First row of the table that says how many of them each window of the target needs."""
    room: int
    """How many the buffer between them holds."""
    span: I64
    """``[windows, 2]`` from which on, and before which, it holds them for each window."""


@dataclass(slots=True, eq=False)
class Shelf:
    """What lies there is held once, however many read it."""

    number: int
    bits: float = 0.0
    """Of one item."""
    reads: list[tuple[I64, I64]] = field(default_factory=list)

    def add(self, read: Read, span: I64, bits: float) -> None:
        self.bits = max(self.bits, bits)
        self.reads.append((read.windows, span))

    def most(self) -> int:
        """Return the most items that lie there while all copies keep step."""
        items = np.unique(np.concatenate([windows for windows, _ in self.reads]))
        steps = min(len(span) for _, span in self.reads)
        spans = np.stack([span[:steps] for _, span in self.reads])
        high, low = spans[..., 0].max(axis=0), spans[..., 1].min(axis=0)
        held = np.searchsorted(items, high) - np.searchsorted(items, low)
        return min(room_for(held), len(items))


def room_for(held: I64) -> int:
    """Return the items that a buffer holds, given those that each window needs at once."""
    return AT_ONCE * int(held.max(initial=0)) + SLACK
