"""How a matrix and its sums are divided among tiles, and what these send each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.simulator.traffic.channels import Ranges, made_by, taken_by


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
    rows: tuple[int, ...] = ()
    """Of a matrix: which chunks of rows it reads, if not all. Parts that read the same are served
    by the same packet."""
    makes: Ranges = ()
    """Which channels of each result, where the op keeps them apart."""
    takes: Ranges = ()
    """Of a matrix: which channels of its operand."""


ELSEWHERE = -1
"""Tile of a block that another round holds."""


def crossbar_parts(op: Mvm, tiles: NDArray[np.int32]) -> list[Part]:
    """Return the parts of a product: blocks of one copy in one tile work together.

    ``tiles`` is ``[copies, blocks]``.
    """
    table = op.table().astype(np.int64)
    rows = (table[:, 1] - table[:, 0]) * (table[:, 3] - table[:, 2])
    neurons = _neurons(table)
    chunk = table[:, 0] * op.fan_in + table[:, 2]
    parts = []
    ends: dict[tuple[int, ...], tuple[Ranges, Ranges]] = {}
    for copy, homes in enumerate(tiles):
        for tile in np.unique(homes[homes != ELSEWHERE]):
            held = np.flatnonzero(homes == tile)
            _, once = np.unique(chunk[held], return_index=True)
            reads = rows[held][once].sum() / (op.groups * op.fan_in)
            share = neurons[held].sum() / op.outputs
            rows_read = tuple(np.unique(chunk[held]).tolist()) if reads < 1 - 1e-9 else ()
            blocks = tuple(held.tolist())
            if blocks not in ends:
                ends[blocks] = made_by(op, blocks), taken_by(op, blocks)
            parts.append(Part(int(tile), copy, share, reads, blocks, rows_read, *ends[blocks]))
    return parts


def sum_parts(op: Mvm, parts: list[Part]) -> list[Part]:
    """Return the parts of the sum of a product: it works where each neuron's first block is.

    Of a product in several rounds, that is the first of the last round; sums of neurons that have
    none there lie ready, and the first of all parts finishes them.
    """
    table = op.table().astype(np.int64)
    neurons = _neurons(table)
    heads: dict[tuple[int, int, int], int] = {}
    for part in parts:
        for block in part.blocks:
            key = part.copy, int(table[block, 0]), int(table[block, 4])
            heads[key] = min(block, heads.get(key, block), key=lambda each: (table[each, 2], each))
    first = {(key[0], block) for key, block in heads.items()}
    found, rest = list[Part](), dict[int, float]()
    for part in parts:
        mine = [block for block in part.blocks if (part.copy, block) in first]
        share = float(neurons[mine].sum() / op.outputs)
        rest[part.copy] = rest.get(part.copy, 1.0) - share
        if mine:
            makes = made_by(op, mine)
            found.append(Part(part.tile, part.copy, share, share, tuple(mine), makes=makes))
    for copy, share in rest.items():
        if share > 1e-9:
            place = next(i for i, part in enumerate(found) if part.copy == copy)
            whole = found[place].share + share
            found[place] = replace(found[place], share=whole, reads=whole)
    return found


def _neurons(table: NDArray[np.int64]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = (table[:, 1] - table[:, 0]) * (table[:, 5] - table[:, 4])
    return found
