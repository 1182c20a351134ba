"""How an op is divided among tiles, and what its parts send each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.ops.chip import Group
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.simulator.constants import constant


@dataclass(frozen=True, slots=True)
class Part:
    """What one tile does of one copy of an op."""

    tile: int
    copy: int
    share: float
    """Part of each result's elements that it makes."""
    reads: float
    """Part of each operand's elements that it reads."""
    blocks: tuple[int, ...] = ()


def crossbar_parts(op: Mvm, group: Group, per_tile: int) -> list[Part]:
    """Return the parts of a product: blocks of one copy in one tile work together."""
    table = op.table().astype(np.int64)
    tiles = (constant(group.crossbars) // per_tile).reshape(group.copies, len(table))
    rows = (table[:, 1] - table[:, 0]) * (table[:, 3] - table[:, 2])
    neurons = _neurons(table)
    chunk = table[:, 0] * op.fan_in + table[:, 2]
    parts = []
    for copy, homes in enumerate(tiles):
        for tile in np.unique(homes):
            held = np.flatnonzero(homes == tile)
            _, once = np.unique(chunk[held], return_index=True)
            reads = rows[held][once].sum() / (op.groups * op.fan_in)
            share = neurons[held].sum() / op.outputs
            parts.append(Part(int(tile), copy, share, reads, tuple(held.tolist())))
    return parts


def sum_parts(op: Mvm, parts: list[Part]) -> list[Part]:
    """Return the parts of the sum of a product: it works where each neuron's first block is."""
    table = op.table().astype(np.int64)
    neurons = _neurons(table)
    found = []
    for part in parts:
        heads = [block for block in part.blocks if table[block, 2] == 0]
        if heads:
            share = neurons[heads].sum() / op.outputs
            found.append(Part(part.tile, part.copy, share, share, tuple(heads)))
    return found


def partial_sums(op: Mvm, source: Part, target: Part, bits: float) -> float | None:
    """Return the bits of an item that one tile's blocks send to those that head their neurons.

    ``None`` where they send nothing; ``bits`` are those of all neurons.
    """
    if source.copy != target.copy:
        return None
    table = op.table().astype(np.int64)
    heads = {(int(table[b, 0]), int(table[b, 4])) for b in target.blocks}
    mine = [b for b in source.blocks if (int(table[b, 0]), int(table[b, 4])) in heads]
    return bits * float(_neurons(table[mine]).sum()) / op.outputs if mine else None


def reach(op: Mvm, copies: int) -> float:
    """Return the part of the copies that need an element: those whose windows see it."""
    seen = 1
    for size, stride in zip(op.kernel, op.strides or (1,) * len(op.kernel), strict=True):
        seen *= -(-size // stride)
    return min(copies, seen) / copies


def _neurons(table: NDArray[np.int64]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = (table[:, 1] - table[:, 0]) * (table[:, 5] - table[:, 4])
    return found
