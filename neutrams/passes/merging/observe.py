"""What partial sums become: bounds proved from weights, and values on calibration data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.passes.affine import integer_range
from neutrams.passes.match import constant
from neutrams.passes.samples import batches
from neutrams.passes.unit_runs import affordable, run_units

Ints = NDArray[np.int64]
WINDOWS = 2048
"""Windows of a unit that are looked at."""
SEEN = 2**24
"""Partial sums of a unit that are looked at; of a large unit in fewer windows."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums of parts, ``[parts, neurons]`` for all neurons of all groups."""

    low: Ints
    high: Ints
    """Proved bounds."""
    seen: NDArray[np.float64] | None
    """``[parts, n, neurons]`` on calibration data, where there is some."""

    def merged(self, width: int, gain: Ints, slack: Ints) -> Sums:
        """Return the sums of every ``width`` parts, in steps of ``gain``, ``slack`` off at most."""
        firsts = np.arange(0, len(self.low), width)
        low = np.add.reduceat(self.low, firsts, axis=0) // gain
        high = -(-np.add.reduceat(self.high, firsts, axis=0) // gain)
        off = np.add.reduceat(slack, firsts, axis=0)
        seen = None if self.seen is None else np.add.reduceat(self.seen, firsts, axis=0) / gain
        return Sums(low - off, high + off, seen)


def part_sums(op: Mvm, part_of_row: Ints, shift: Ints, windows: NDArray[np.float64] | None) -> Sums:
    """Return the sums of ``(x + input_offset) · w`` over each part, ``shift`` added.

    Args:
        op: A product with constant weights that is not split.
        part_of_row: ``[K]``.
        shift: ``[parts, neurons]``.
        windows: ``[n, G, K]`` inputs seen, the offset added.
    """
    w = constant(op.w)
    assert w is not None
    least, most = (edge + op.input_offset for edge in integer_range(op.x))
    wide = w.astype(np.int64)
    ends = np.stack([wide * least, wide * most])
    inside = part_of_row[None, :] == np.arange(len(shift))[:, None]
    low, high = (inside.astype(np.int64) @ end.T for end in (ends.min(axis=0), ends.max(axis=0)))
    if windows is None:
        return Sums(low + shift, high + shift, None)
    by_group = w.reshape(op.groups, -1, op.fan_in).astype(np.float64)
    windows = windows[: max(1, SEEN // shift.size)]
    seen = np.empty((len(shift), len(windows), op.outputs))
    for part, rows in enumerate(inside):
        sums = np.einsum("ngk,gmk->ngm", windows[:, :, rows], by_group[:, :, rows], optimize=True)
        seen[part] = sums.reshape(len(windows), -1) + shift[part]
    return Sums(low + shift, high + shift, seen)


def windows_of(
    graph: Graph, data: Mapping[str, Array], wanted: Collection[Mvm], *, seed: int
) -> dict[Mvm, NDArray[np.float64]]:
    """Return ``[n, G, K]``: some windows that products read on calibration data, offset added.

    Products are computed without their converters' losses. Those of cells are seen at every step.
    """
    random = np.random.default_rng(seed)
    limit, size = affordable(graph)
    readers: dict[Value, list[Mvm]] = {}
    for op in wanted:
        readers.setdefault(op.x, []).append(op)
    found: dict[Mvm, list[Array]] = {op: [] for op in wanted}

    def watch(value: Value, array: Array) -> None:
        for op in readers.get(value, ()):
            seen = op.gather(array)
            keep = min(len(seen), -(-WINDOWS * size // limit))
            found[op].append(seen[np.sort(random.choice(len(seen), keep, replace=False))])

    for batch in batches(graph, data, limit=limit, size=size):
        run_units(graph, batch, watch)
    joined = {op: np.concatenate(parts) for op, parts in found.items() if parts}
    return {
        op: random.permutation(seen)[:WINDOWS].astype(np.float64) for op, seen in joined.items()
    }
