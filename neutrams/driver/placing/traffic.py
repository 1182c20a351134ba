"""Which tiles hold each value of a unit graph, and what flows between tiles because of it.

A block's sums start in its own tile; the blocks of one neuron are merged in the tile of the first.
An element-wise op works where its largest operand lies. Anything else that lies apart is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.graph import Graph
from neutrams.ir.links import Links
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.traffic import Traffic
from neutrams.ir.types import Symbol, bind
from neutrams.simulator.batching import batching
from neutrams.simulator.traffic.division import Division
from neutrams.simulator.traffic.flows import Flows
from neutrams.simulator.traffic.joins import Joins

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How a value lies over tiles: ``share[i]`` of its elements in ``tiles[i]``."""

    tiles: NDArray[np.int32]
    share: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """Where the blocks of one unit sit, in table order, one copy after the other."""

    tiles: NDArray[np.int32]
    """``[copies × B]``."""
    copies: int


@dataclass(frozen=True, slots=True)
class Homes:
    """Where every op of a unit graph works."""

    units: dict[Op, Hold]
    spreads: dict[Op, Spread]
    """Where the results of each op lie."""

    def tiles(self, op: Op) -> NDArray[np.int32]:
        return self.spreads[op].tiles


def find_homes(
    graph: Graph, tiles_of: Mapping[Mvm, NDArray[np.int32]], copies: NDArray[np.int64]
) -> Homes:
    """Return where every op works, given the tile of every block of every unit."""
    counts = dict(zip(tiles_of, copies.tolist(), strict=True))
    units: dict[Op, Hold] = {op: Hold(tiles, counts[op]) for op, tiles in tiles_of.items()}
    spreads: dict[Op, Spread] = {}
    links = Links.of(graph)
    ops = [op for op, _ in working_ops(graph)]
    for op in ops:
        if isinstance(op, Mvm):
            spreads[op] = _merged(op, units[op])
            continue
        makers = [(value, links.maker(value)) for value in op.present]
        made = [(value, maker) for value, maker in makers if maker in spreads]
        if made:
            _, largest = max(made, key=lambda pair: _elements(pair[0]))
            assert largest is not None
            spreads[op] = spreads[largest]
    place = {op: index for index, op in enumerate(ops)}
    for op in reversed(ops):
        if op not in spreads:
            readers = {user for value in op.results for user in links.readers(value)}
            inside = sorted(readers & place.keys(), key=place.__getitem__)
            spreads[op] = _before(inside, units, spreads)
    return Homes(units, {op: spreads[op] for op in ops})


def joined(graph: Graph, homes: Homes) -> Joins:
    """Return who reads what of whom: between ops, and to and from the link of the chip."""
    tiles: dict[Op, NDArray[np.int32]] = {
        op: hold.tiles.reshape(hold.copies, -1) for op, hold in homes.units.items()
    }
    first = {op: int(spread.tiles[0]) for op, spread in homes.spreads.items()}
    division = Division(graph, batching(graph).one(), tiles, first)
    return Joins.among(division, division.ops)


def pairs(sent: Iterable[Flows], *, nodes: int) -> Traffic:
    """Return the bits that flow between two tiles, whatever packet they are in."""
    empty = np.zeros((2, 0), np.int64)
    ends, amount = np.concatenate(
        [empty, *(np.stack([each.source * nodes + each.target, each.bits]) for each in sent)],
        axis=1,
    )
    both, index = np.unique(ends, return_inverse=True)
    bits = np.zeros(len(both), np.int64)
    np.add.at(bits, index, amount)
    return Traffic(
        nodes, *((both // nodes).astype(np.int32), (both % nodes).astype(np.int32)), bits
    )


def _merged(op: Mvm, hold: Hold) -> Spread:
    """The sums of a neuron end in the tile of its first block; copies share the windows."""
    table = op.table()
    first = np.tile(table[:, 2] == 0, hold.copies)
    neurons = np.tile(_neurons(op), hold.copies)[first]
    return _spread(hold.tiles[first], neurons / (op.outputs * hold.copies))


def needs(op: Mvm, hold: Hold) -> Spread:
    """Return which part of its input each tile of a unit reads; the parts may add up past 1."""
    table = op.table().astype(np.int64)
    rows = (table[:, 1] - table[:, 0]) * (table[:, 3] - table[:, 2])
    chunk = table[:, 0] * op.fan_in + table[:, 2]
    copy = np.repeat(np.arange(hold.copies), len(table))
    seen = np.stack([copy, np.tile(chunk, hold.copies), hold.tiles], axis=1)
    _, once = np.unique(seen, axis=0, return_index=True)
    part = np.tile(rows, hold.copies)[once] / (op.groups * op.fan_in * hold.copies)
    return _spread(hold.tiles[once], part)


def _before(readers: list[Op], units: dict[Op, Hold], spreads: dict[Op, Spread]) -> Spread:
    """An op that only graph inputs reach works where its first reader does, or in tile 0."""
    for user in readers:
        if user in units:
            tiles = np.unique(units[user].tiles)[:1]
            return Spread(tiles, np.ones(1))
        if user in spreads:
            return spreads[user]
    return Spread(np.zeros(1, np.int32), np.ones(1))


def _spread(tiles: NDArray[np.int32], share: NDArray[np.floating[Any]]) -> Spread:
    distinct, index = np.unique(tiles, return_inverse=True)
    total = np.bincount(index, weights=share.astype(np.float64))
    return Spread(distinct.astype(np.int32), total.astype(np.float64))


def _neurons(op: Mvm) -> NDArray[np.int64]:
    table = op.table().astype(np.int64)
    found: NDArray[np.int64] = (table[:, 1] - table[:, 0]) * (table[:, 5] - table[:, 4])
    return found


def _elements(value: Value) -> int:
    return _count(value.type.elements)


def _count(dim: int | Symbol) -> int:
    return bind(dim, dict.fromkeys(dim.names, 1)) if isinstance(dim, Symbol) else dim
