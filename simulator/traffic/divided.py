"""What the copies of an op do, and which windows of another op each of them reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.op import Op
from neutrams.simulator.traffic.channels import UNKNOWN
from neutrams.simulator.traffic.parts import Part

I64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Divided:
    """One op: its parts, and who does which windows."""

    parts: list[Part]
    windows: int
    """Of one step."""
    times: int
    """Steps of an inference."""
    owners: I64
    """``[windows]`` copy that does each window of a step."""
    heir_of: Op | None = None
    """The op in whose tiles it works, copy by copy; ``None`` where it gathers its input."""
    axis: int = UNKNOWN
    """Axis of its result along which the channels of its parts lie, where those are known."""
    channels: int = 0
    """Along that axis."""

    @property
    def whole(self) -> int:
        """Windows of an inference."""
        return self.windows * self.times

    @cached_property
    def of_copy(self) -> dict[int, list[tuple[int, Part]]]:
        """The parts of each copy, with their places among all parts."""
        found: dict[int, list[tuple[int, Part]]] = {}
        for place, part in enumerate(self.parts):
            found.setdefault(part.copy, []).append((place, part))
        return found

    @cached_property
    def makes(self) -> dict[int, I64]:
        """The windows of an inference that each copy does, in their order."""
        owners = np.tile(self.owners, self.times)
        order = np.argsort(owners, kind="stable")
        copies, begin = np.unique(owners[order], return_index=True)
        return dict(zip(copies.tolist(), np.split(order, begin[1:]), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What one copy of an op reads of one copy of another."""

    source: int
    target: int
    windows: I64
    """Windows of the source, in an inference, in their order."""


def reads_of(a: Divided, b: Divided, table: I64, seen: I64 | None) -> list[Read]:
    """Return which windows of ``a`` each copy of ``b`` reads, by the copy of ``a`` that does them.

    ``seen`` holds for windows of a step that look at a rectangle of an image: first row, last row,
    first column, last column; elsewhere each reads what lies between the columns of the table.
    """
    makes = np.tile(a.owners, a.times)
    found = []
    for copy, mine in b.makes.items():
        if seen is None:
            read = _within(table[mine, 1], table[mine, 0], a.whole)
        else:
            here = np.flatnonzero(b.owners == copy)
            read = np.tile(_inside(seen[here], a.windows), b.times)
        windows = np.flatnonzero(read)
        if not len(windows):
            continue
        order = np.argsort(makes[windows], kind="stable")
        ordered = windows[order]
        sources, begin = np.unique(makes[ordered], return_index=True)
        for source, part in zip(sources.tolist(), np.split(ordered, begin[1:]), strict=True):
            found.append(Read(source, copy, part))
    return found


def _within(low: I64, high: I64, count: int) -> NDArray[np.bool_]:
    """Return which of so many places lie in any of some ranges."""
    change = np.zeros(count + 1, np.int64)
    np.add.at(change, np.minimum(low, high), 1)
    np.add.at(change, high, -1)
    return np.cumsum(change[:-1]) > 0


def _inside(seen: I64, windows: int) -> NDArray[np.bool_]:
    """Return which places of an image lie in any of some rectangles."""
    top, bottom, left, right, width = seen.T
    width = int(width[0])
    change = np.zeros((windows // width + 1, width + 1), np.int64)
    np.add.at(change, (top, left), 1)
    np.add.at(change, (bottom + 1, right + 1), 1)
    np.add.at(change, (top, right + 1), -1)
    np.add.at(change, (bottom + 1, left), -1)
    inside = change.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0
    return inside.reshape(-1)
