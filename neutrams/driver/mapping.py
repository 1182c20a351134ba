"""From a unit graph to a chip graph: copies, crossbars, tiles, routers."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.driver.traffic import Homes, find_homes, flows
from neutrams.ir.graph import Graph
from neutrams.ir.ops.chip import Flow, Group, Place, Vector
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.ir.traffic import Mesh, Placement, Traffic
from neutrams.ir.types import Dim, Symbol, bind
from neutrams.mapper.pack import Packing, pack
from neutrams.mapper.place import place

FREE_SHARE = 0.5
"""Part of the chip's crossbars that copies may fill, so that there is room for more networks."""
GROWTH = 4
"""Copies may use this many times the crossbars the network itself needs."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where the units of a graph sit."""

    units: tuple[Mvm, ...]
    copies: NDArray[np.int64]
    """``[units]`` times each unit's matrix is held."""
    packing: Packing
    homes: Homes
    traffic: Traffic
    placement: Placement


def map_units(graph: Graph, target: Target, *, replicate: bool = True, seed: int = 0) -> Mapping:
    """Copy, pack and place the units of a graph.

    Raises:
        NeutramsError: NT0401, the network does not fit the chip.
    """
    machine = target.machine
    counts = {op: one_inference(count) for op, count in working_ops(graph) if isinstance(op, Mvm)}
    units = tuple(counts)
    blocks = np.array([len(unit.table()) for unit in units], dtype=np.int64)
    at_once = np.array([one_inference(unit.windows) for unit in units], dtype=np.int64)
    windows = at_once * np.array(list(counts.values()), dtype=np.int64)
    available = machine.tiles * machine.tile.cores * machine.core.crossbars
    budget = _budget(blocks, available) if replicate else 0
    copies = balance(blocks, windows, budget=budget, at_once=at_once)
    packing = pack_blocks(blocks * copies, target)
    tiles_of = [packing.crossbars_of(i) // _per_tile(target) for i in range(len(units))]
    homes = find_homes(graph, dict(zip(units, tiles_of, strict=True)), copies)
    traffic = flows(graph, homes, nodes=max(packing.used_tiles, 1))
    placement = place(
        traffic, _mesh(target), seed=seed, per_router=machine.network.tiles_per_router
    )
    return Mapping(units, copies, packing, homes, traffic, placement)


def pack_blocks(sizes: NDArray[np.int64], target: Target) -> Packing:
    """Give units of so many blocks each their crossbars.

    Raises:
        NeutramsError: NT0401, the chip has too few.
    """
    machine = target.machine
    return pack(
        sizes,
        crossbars_per_core=machine.core.crossbars,
        cores_per_tile=machine.tile.cores,
        tiles=machine.tiles,
        mesh=_mesh(target),
        per_router=machine.network.tiles_per_router,
    )


def balance(
    blocks: NDArray[np.int64],
    windows: NDArray[np.int64],
    *,
    budget: int,
    at_once: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return how many copies each unit gets: the slowest gets the next one while they last.

    A pipeline runs at the pace of its slowest unit, which takes ``windows / copies`` rounds.

    Args:
        blocks: ``[units]`` crossbars of one copy.
        windows: ``[units]`` windows of one inference; more copies than windows serve nothing.
        budget: Crossbars that further copies may take.
        at_once: ``[units]`` windows that do not wait for others, all where not said; those of one
            step in a cell.
    """
    most = windows if at_once is None else at_once
    copies = np.ones(len(blocks), dtype=np.int64)
    queue = [(-int(count), unit) for unit, count in enumerate(windows)]
    heapq.heapify(queue)
    while queue:
        _, unit = heapq.heappop(queue)
        if copies[unit] >= most[unit] or blocks[unit] > budget:
            return copies
        copies[unit] += 1
        budget -= int(blocks[unit])
        heapq.heappush(queue, (-int(-(-windows[unit] // copies[unit])), unit))
    return copies


def chip_graph(graph: Graph, mapping: Mapping) -> Graph:
    """Return the chip graph of a mapping, without its schedule."""
    chip = Graph("chip", "chip")
    for index, unit in enumerate(mapping.units):
        name = unit.result.name
        crossbars = chip.weight(f"{name}.crossbars", mapping.packing.crossbars_of(index))
        chip.insert(Group(crossbars, unit=name, copies=int(mapping.copies[index])))
    for op, _ in working_ops(graph):
        if not isinstance(op, Mvm):
            tiles = chip.weight(f"{op.result.name}.tiles", mapping.homes.tiles(op))
            chip.insert(Vector(tiles, unit=op.result.name))
    x = chip.weight("place.x", mapping.placement.x)
    y = chip.weight("place.y", mapping.placement.y)
    chip.insert(Place(x, y))
    source = chip.weight("flow.source", mapping.traffic.source)
    target = chip.weight("flow.target", mapping.traffic.target)
    bits = chip.weight("flow.bits", mapping.traffic.bits)
    chip.insert(Flow(source, target, bits))
    return chip


def one_inference(dim: Dim) -> int:
    """Return a dimension for one sample: every symbol stands for 1."""
    return bind(dim, dict.fromkeys(dim.names, 1)) if isinstance(dim, Symbol) else dim


def _budget(blocks: NDArray[np.int64], available: int) -> int:
    needed = int(blocks.sum())
    return max(0, min(int(available * FREE_SHARE), GROWTH * needed) - needed)


def _per_tile(target: Target) -> int:
    return target.machine.tile.cores * target.machine.core.crossbars


def _mesh(target: Target) -> Mesh:
    network = target.machine.network
    return Mesh(network.columns, network.rows)
