"""What one inference sends between tiles, packet by packet; all there is to know at tick grain."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.ops.chip import Flow
from neutrams.simulator.constants import constant
from neutrams.simulator.traffic.divided import Divided
from neutrams.simulator.traffic.joins import Joins, Node, value_of
from neutrams.simulator.traffic.packets import Sent, bits_of, classes, deliveries, flits

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """Packets on their way from one tile to some; each of those is a row."""

    source: I64
    target: I64
    bits: I64
    """Of an inference, as its tile wants them."""
    packet: I64
    """Rows of one number leave as one, and are copied where their ways part."""
    flits: I64
    """Of an inference; the same in all rows of a packet."""

    def rows(self) -> list[dict[str, int]]:
        """Return each row by the names of its fields."""
        named = {field.name: getattr(self, field.name).tolist() for field in fields(self)}
        return [
            dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)
        ]

    def where(self, kept: NDArray[np.bool_]) -> Flows:
        """Return only some of the rows."""
        return Flows(*(getattr(self, field.name)[kept] for field in fields(self)))

    @staticmethod
    def of(op: Flow, flit_bits: int) -> Flows:
        """Return what an op states; without packets, each row is one, sent at a stretch."""
        bits = constant(op.bits)
        each = np.arange(len(bits)) if op.packet is None else constant(op.packet)
        sent = -(-bits // flit_bits) if op.flits is None else constant(op.flits)
        return Flows(constant(op.source), constant(op.target), bits, each, sent)


def flows(joins: Joins, *, flit_bits: int, multicast: bool) -> dict[str, Flows]:
    """Return what nodes send from tile to tile, by the values that they make or bring."""
    found = {
        value_of(node): _flows(joins.divided[node], sent, flit_bits=flit_bits, multicast=multicast)
        for node, sent in _sent(joins).items()
        if any(sent)
    }
    return {name: sent for name, sent in found.items() if len(sent.source)}


def _flows(divided: Divided, sent: list[list[Sent]], *, flit_bits: int, multicast: bool) -> Flows:
    """Return what the parts of a node send; what goes the same way is one flow."""
    sums: dict[tuple[int, tuple[int, ...]], list[float]] = {}
    for part, ones in zip(divided.parts, sent, strict=True):
        edges, kind = classes(len(divided.makes[part.copy]), ones)
        times = np.bincount(kind, minlength=len(edges)).tolist()
        for group, count in zip(edges, times, strict=True):
            for tiles in deliveries(part.tile, group, multicast=multicast):
                if part.tile in tiles:
                    continue
                ends = tuple(sorted(tiles))
                total = sums.setdefault((part.tile, ends), [0.0] * (1 + len(ends)))
                total[0] += count * flits(part.tile, tiles, flit_bits)
                for place, tile in enumerate(ends, 1):
                    total[place] += count * bits_of(tiles[tile])
    rows = [
        (source, tile, round(bits), number, int(total[0]))
        for number, ((source, ends), total) in enumerate(sorted(sums.items()))
        for tile, bits in zip(ends, total[1:], strict=True)
    ]
    return Flows(*np.array(rows, np.int64).reshape(-1, 5).T)


def _sent(joins: Joins) -> dict[Node, list[list[Sent]]]:
    """Return what each part of each node sends over its edges."""
    found: dict[Node, list[list[Sent]]] = {
        node: [[] for _ in divided.parts] for node, divided in joins.divided.items()
    }
    edge = 0
    for read_by in joins.of.values():
        for join in read_by:
            for read in joins.reads(join):
                makes = joins.divided[join.source].makes[read.source]
                items = np.searchsorted(makes, read.windows)
                for piece in joins.pieces(join, read):
                    sent = Sent(edge, piece.tile, piece.portion, piece.bits, items)
                    found[join.source][piece.source].append(sent)
                    edge += 1
    return found
