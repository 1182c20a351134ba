"""What sits where, by an image alone: blocks, crossbars, homes of values, and flows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from neutrams.driver.image import Image, Unit
from neutrams.driver.parity.image_run import matrix
from neutrams.driver.parity.links import BROKEN, NOT_RUN, PASSED, Link
from neutrams.driver.placing.traffic import find_homes, joined
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.simulator.traffic.flows import flows
from neutrams.simulator.traffic.joins import Joins, value_of

NAME = "unit graph → placement"

Fault = tuple[str, str]
"""The value at fault, and what is wrong."""


def check_placement(image: Image, network: Graph, units: Mapping[str, Unit]) -> Link:
    """Check that every block is held once a copy, by a crossbar of its own, and flows are right.

    Args:
        image: The image.
        network: The unit graph it states.
        units: Its units, by the value each makes.
    """
    ops = {op.result.name: op for op, _ in working_ops(network)}
    mvms = {name: op for name, op in ops.items() if isinstance(op, Mvm)}
    if mvms.keys() != units.keys():
        (odd, *_) = sorted(mvms.keys() ^ units.keys())
        return Link(NAME, BROKEN, first=odd, note="a matrix unit of the network or the image only")
    faults = [*_matrices(mvms, units), *_crossbars(image, units), *_homes(image, ops)]
    if not faults:
        faults += [*_flows(image, network, mvms, units), *_routes(image)]
    held = sum(len(row) for unit in units.values() for row in unit.crossbars)
    compared = held + len(image.facts["routes"]) + len(image.facts["digital"])
    if not ops:
        return Link(NAME, NOT_RUN, note="nothing is placed: the network computes nothing")
    first, note = faults[0] if faults else ("", "blocks, homes and flows")
    state = PASSED if compared and not faults else BROKEN
    return Link(NAME, state, compared=compared, first=first, note=note)


def _matrices(mvms: Mapping[str, Mvm], units: Mapping[str, Unit]) -> Iterator[Fault]:
    """Every weight of a matrix is in exactly one block, and that block fits a crossbar."""
    for name, op in mvms.items():
        unit = units[name]
        for index, block in enumerate(unit.blocks):
            group, end, low, high, first, last = block.table
            shape = ((end - group) * (high - low), (end - group) * (last - first))
            if block.weights.shape != shape:
                yield name, f"block {index} holds {block.weights.shape}, its place is {shape}"
                return
            if not np.array_equal(block.integers(unit.encoding), block.weights):
                yield name, f"the cells of block {index} do not hold its weights"
        times = matrix(unit, op)[1]
        if (times != 1).any():
            neuron, row = np.argwhere(times != 1)[0].tolist()
            count = times[neuron, row]
            yield name, f"weight {row} of neuron {neuron} is in {count} blocks, not in 1"


def _crossbars(image: Image, units: Mapping[str, Unit]) -> Iterator[Fault]:
    """Every block of every copy has a crossbar to itself in its round, and fits it."""
    facts, core = image.facts, image.facts["core"]
    available = len(facts["tiles"]) * facts["cores_per_tile"] * facts["crossbars_per_core"]
    taken: dict[tuple[int, int], str] = {}
    for name, unit in units.items():
        copies, sizes = unit.facts["copies"], {len(row) for row in unit.crossbars}
        rounds = unit.facts["rounds"]
        sizes.add(len(rounds))
        if len(unit.crossbars) != copies or sizes != {len(unit.blocks)}:
            yield name, f"not every block of its {copies} copies has a crossbar"
        for place in (each for row in unit.crossbars for each in zip(rounds, row, strict=False)):
            crossbar = place[1]
            if not 0 <= crossbar < available:
                yield name, f"crossbar {crossbar} is on no tile in use"
            if place in taken:
                yield name, f"crossbar {crossbar} is held twice, by `{taken[place]}` too"
            taken[place] = name
        columns = unit.encoding.columns_per_neuron
        for index, block in enumerate(unit.blocks):
            rows, neurons = block.weights.shape
            if rows > core["rows"] or neurons * columns > core["columns"]:
                yield name, f"block {index} is larger than a crossbar"


def _homes(image: Image, ops: Mapping[str, Op]) -> Iterator[Fault]:
    """Every digital op works on tiles of the chip."""
    homes = {each["value"]: each["tiles"] for each in image.facts["digital"]}
    for name, op in ops.items():
        if not isinstance(op, Mvm) and not homes.get(name):
            yield name, "works on no tile"
    for name, tiles in homes.items():
        if name not in ops or not all(0 <= tile < len(image.facts["tiles"]) for tile in tiles):
            yield name, "works on a tile that is not in use, or is no op of the network"


def _flows(
    image: Image, network: Graph, mvms: Mapping[str, Mvm], units: Mapping[str, Unit]
) -> Iterator[Fault]:
    """What is sent is what crossbars and homes demand, and each end is a home of who sends it."""
    per_tile = image.facts["cores_per_tile"] * image.facts["crossbars_per_core"]
    at = {n: np.array(unit.crossbars, np.int64).ravel() // per_tile for n, unit in units.items()}
    where: dict[Mvm, Array] = {op: at[name].astype(np.int32) for name, op in mvms.items()}
    copies = np.array([units[name].facts["copies"] for name in mvms], np.int64)
    homes = find_homes(network, where, copies)
    stated = {each["value"]: set(each["tiles"]) for each in image.facts["digital"]}
    for op, spread in homes.spreads.items():
        name = op.result.name
        if name in stated and stated[name] != set(spread.tiles.tolist()):
            yield name, f"works on tiles {sorted(stated[name])}, its operands lie elsewhere"
    joins = joined(network, homes)
    needed = flows(joins, **image.facts["network"])
    wanted = _packets(
        [{"value": name, **row} for name, sent in needed.items() for row in sent.rows()]
    )
    sent, makes = _packets(image.facts["routes"]), _ends(joins)
    for way in [*wanted, *(way for way in sent if way not in wanted)]:
        value, source, target, others = way
        path = f"from tile {source} to tile {target}"
        if len(others) > 1:
            path += f", in one packet to {len(others)} tiles"
        bits, flits = wanted.get(way, (0, 0))
        if way not in sent:
            yield value, f"nothing is sent {path}, {bits} bits are wanted"
        elif (value, source, target) not in makes:
            yield "", f"{sent[way][0]} bits go {path}, which are no homes of who makes and reads"
        elif sent[way] != (bits, flits):
            held = "{} bits in {} flits".format
            yield value, f"{held(*sent[way])} are sent {path}, {held(bits, flits)} are wanted"


Way = tuple[str, int, int, tuple[int, ...]]
"""What is sent, from where, to where, and all ends of its packet."""


def _packets(rows: list[dict[str, Any]]) -> dict[Way, tuple[int, int]]:
    """Return bits and flits of each row."""
    ends: dict[tuple[str, int], list[int]] = {}
    for row in rows:
        ends.setdefault((row["value"], row["packet"]), []).append(row["target"])
    return {
        (
            row["value"],
            row["source"],
            row["target"],
            tuple(sorted(ends[row["value"], row["packet"]])),
        ): (row["bits"], row["flits"])
        for row in rows
    }


def _ends(joins: Joins) -> set[tuple[str, int, int]]:
    """Return every value with a tile where it is made and one where it is read."""
    found: set[tuple[str, int, int]] = set()
    for node, reads in joins.of.items():
        here = {part.tile for part in joins.divided[node].parts}
        for join in reads:
            there = {part.tile for part in joins.divided[join.source].parts}
            name = value_of(join.source)
            found.update((name, source, target) for source in there for target in here)
    return found


def _routes(image: Image) -> Iterator[Fault]:
    """Every route goes from router to neighbour, along a row and then along a column."""
    tiles = [(tile["x"], tile["y"]) for tile in image.facts["tiles"]]
    for each in image.facts["routes"]:
        path = [tuple(router) for router in each["routers"]]
        start, end = tiles[each["source"]], tiles[each["target"]]
        steps = abs(end[0] - start[0]) + abs(end[1] - start[1])
        turn = (end[0], start[1])
        fine = path[0] == start and path[-1] == end and turn in path and len(path) == steps + 1
        near = all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in pairwise(path))
        if not (fine and near):
            yield "", f"the route from tile {each['source']} to tile {each['target']} is none"
