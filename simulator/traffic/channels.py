"""Which channels of a value lie where: neurons of a matrix, and what is made of them one by one.

Channels are the places along one axis. An op that mixes nothing along it has the channels of its
operand; so a tile that needs some of them is sent those only, by the tiles that make them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import prod

from neutrams.ir.op import Op, Value
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm

Ranges = tuple[tuple[int, int], ...]
"""Rising ranges of channels, ends excluded, that do not touch."""

UNKNOWN = 0
"""Stands for no axis; axes count from the last, which is -1."""


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return tuple(found)


def overlap(a: Ranges, b: Ranges) -> Ranges:
    """Return what lies in both."""
    found, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        low, high = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if low < high:
            found.append((low, high))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def size(ranges: Ranges) -> int:
    return sum(high - low for low, high in ranges)


def made_by(op: Mvm, blocks: Iterable[int]) -> Ranges:
    """Return the neurons of some blocks of a matrix."""
    each = op.outputs // op.groups
    return union(_along(op, blocks, each, (4, 5)))


def taken_by(op: Mvm, blocks: Iterable[int]) -> Ranges:
    """Return the channels that some blocks of a matrix read; those they share count in each."""
    taps = prod(op.kernel)
    each = op.fan_in // taps
    return union((a // taps, -(-b // taps)) for a, b in _along(op, blocks, each * taps, (2, 3)))


def _along(
    op: Mvm, blocks: Iterable[int], each: int, ends: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return for blocks their rows or neurons, counted through all groups of ``each``.

    A block of several groups holds them whole.
    """
    table = op.table()[list(blocks)].astype(int)
    return [
        (row[0] * each + row[ends[0]], (row[1] - 1) * each + row[ends[1]]) for row in table.tolist()
    ]


def unit_axis(op: Mvm) -> int:
    """Return the axis of a matrix's operand and result along which inputs and neurons lie."""
    return -(len(op.kernel) + 1)


def first_axis(value: Value) -> int:
    """Return the axis of what comes from outside: that after the samples of an image."""
    rank = value.type.rank
    return UNKNOWN if rank < 2 else 1 - rank


def keeps(op: Op, x: Value, axis: int, channels: int) -> bool:
    """Say whether each channel of an op's result is made of the same one of an operand's."""
    if axis == UNKNOWN or {count(x, axis), count(op.results[0], axis)} != {channels}:
        return False
    if isinstance(op, Reduce):
        return True
    mixed = op.mixes()
    if mixed is None:
        return False
    index = next(i for i, value in enumerate(op.operands) if value is x)
    return index < len(mixed) and axis + x.type.rank not in mixed[index]


def count(value: Value, axis: int) -> int:
    """Return the channels of a value; 0 where they are not known."""
    rank = value.type.rank
    dim = value.type.shape[axis] if axis != UNKNOWN and rank >= -axis else 0
    return dim if isinstance(dim, int) else 0


def flat(ranges: Ranges) -> tuple[int, ...]:
    return tuple(end for pair in ranges for end in pair)


def covers(parts: Iterable[Ranges], channels: int) -> bool:
    """Say whether ranges hold every channel once."""
    ordered = sorted(pair for ranges in parts for pair in ranges)
    ends = [0, *flat(tuple(ordered)), channels]
    return all(a == b for a, b in list(pairwise(ends))[::2])
