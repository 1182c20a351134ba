"""From a unit graph to a chip graph: copies, crossbars, tiles, routers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from neutrams.driver.placing.packing import kinds_of_units, pack_blocks
from neutrams.driver.placing.replication import Wanted
from neutrams.driver.placing.rounds import Plan, plan_rounds, round_facts
from neutrams.driver.placing.traffic import Homes, find_homes, joined, pairs
from neutrams.ir.cores import crossbars_by_kind
from neutrams.ir.graph import Graph
from neutrams.ir.ops.chip import Flow, Group, Place, Round, Vector
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.ir.traffic import Mesh, Placement
from neutrams.ir.types import Dim, Symbol, bind
from neutrams.mapper.place import place
from neutrams.simulator.traffic.flows import Flows, flows

Ints = NDArray[np.int64]

FREE_SHARE = 0.5
"""Part of the chip's crossbars that copies may fill, so that there is room for more networks; all
of them where one network has to take turns on the chip."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where the units of a graph sit."""

    crossbars: dict[Mvm, Ints]
    """For each unit ``[copies × B]``, in the order of its table, one copy after the other."""
    copies: dict[Mvm, int]
    """Times each unit's matrix is held."""
    homes: Homes
    flows: dict[str, Flows]
    """What tiles send each other of each value."""
    placement: Placement
    plan: Plan | None
    """The round of every block, where one does not hold the network."""
    rounds: tuple[Round, ...] = ()
    """What each round of the plan takes."""


def map_units(
    graph: Graph,
    target: Target,
    *,
    replicate: bool = True,
    seed: int = 0,
    rounds: int | None = 1,
    batch: int = 1,
    moves: int | None = None,
) -> Mapping:
    """Copy, pack and place the units of a graph.

    Args:
        graph: A unit graph.
        target: The chip.
        replicate: Hold slow units in several copies where crossbars are free.
        seed: Of the placement.
        rounds: Rounds that the network may take on cores programmed anew; ``None`` for any number.
        batch: Inferences that run through a round before the next one.
        moves: Exchanges that the placement tries; see :func:`neutrams.mapper.place.place`.

    Raises:
        NeutramsError: NT0401 to NT0404, the network does not fit the chip.
    """
    machine = target.machine
    counts = {op: one_inference(count) for op, count in working_ops(graph) if isinstance(op, Mvm)}
    wanted = Wanted.of(graph, target, counts)
    plan = plan_rounds(graph, target, most=rounds)
    share = (1 if plan else FREE_SHARE) if replicate else 0
    free = (crossbars_by_kind(machine) * share).astype(np.int64)
    crossbars, copies = _hold(counts, wanted, plan, target, free)
    per_tile = machine.cores_per_tile * machine.core.crossbars
    tiles_of = {unit: (held // per_tile).astype(np.int32) for unit, held in crossbars.items()}
    homes = find_homes(graph, tiles_of, np.array([copies[unit] for unit in crossbars], np.int64))
    nodes = 1 + max((int(tiles.max(initial=0)) for tiles in tiles_of.values()), default=0)
    wires = machine.network
    sent = flows(joined(graph, homes), flit_bits=wires.flit_bits, multicast=wires.multicast)
    placement = place(
        pairs(sent.values(), nodes=nodes),
        _mesh(target),
        seed=seed,
        moves=moves,
        per_router=wires.tiles_per_router,
    )
    facts = round_facts(plan, target, crossbars, copies, batch) if plan else ()
    return Mapping(crossbars, copies, homes, sent, placement, plan, tuple(facts))


def _hold(
    counts: dict[Mvm, int],
    wanted: Wanted,
    plan: Plan | None,
    target: Target,
    free: Ints,
) -> tuple[dict[Mvm, Ints], dict[Mvm, int]]:
    """Copy and pack the units, round by round, and return their crossbars and copies.

    Of the crossbars ``free``, by kind of core, copies have a part.
    """
    crossbars: dict[Mvm, Ints] = {unit: np.zeros(0, np.int64) for unit in counts}
    kinds = dict(zip(counts, kinds_of_units(list(counts), target).tolist(), strict=True))
    copies: dict[Mvm, int] = {}
    for turn in range(plan.count if plan else 1):
        blocks = {unit: _blocks_in(unit, plan, turn) for unit in counts}
        here = {unit: size for unit, size in blocks.items() if size}
        for kind, available in enumerate(free.tolist()):
            mine = {unit: size for unit, size in here.items() if kinds[unit] == kind}
            copies |= wanted.copies(mine, available)
        order = _side_by_side({unit: copies[unit] for unit in here}, wanted)
        sizes = np.array([here[unit] for unit, _ in order], np.int64)
        packed = pack_blocks(sizes, target, np.array([kinds[unit] for unit, _ in order], np.int64))
        places: dict[Mvm, dict[int, Ints]] = {unit: {} for unit in here}
        for (unit, copy), given in zip(order, packed, strict=True):
            places[unit][copy] = given
        for unit, each in places.items():
            taken = np.concatenate([each[copy] for copy in sorted(each)])
            whole = blocks[unit] == len(unit.table())
            crossbars[unit] = np.append(
                crossbars[unit], _neighbours(unit, taken) if whole else taken
            )
    return crossbars, copies


def _side_by_side(copies: dict[Mvm, int], wanted: Wanted) -> list[tuple[Mvm, int]]:
    """Order the copies of units so that those that work on one part of an image are neighbours,
    from unit to unit as long as the image is as wide.

    What one makes the next then often finds in its own tile, and what a unit sends leaves many.
    """
    order: list[tuple[Mvm, int]] = []
    for _, units in groupby(copies, key=lambda unit: wanted.shapes[unit][1]):
        here = [(unit, copy) for unit in units for copy in range(copies[unit])]
        order += sorted(here, key=lambda each: (2 * each[1] + 1) / copies[each[0]])
    return order


def _neighbours(unit: Mvm, crossbars: Ints) -> Ints:
    """Deal crossbars to the blocks of each copy so that those of one neuron are neighbours.

    Their sums are then merged in one tile; what they read is sent to all tiles anyway.
    """
    table = unit.table()
    order = np.lexsort((table[:, 2], table[:, 4], table[:, 0]))
    dealt = crossbars.reshape(-1, len(table)).copy()
    dealt[:, order] = crossbars.reshape(-1, len(table))
    return dealt.reshape(-1)


def _blocks_in(unit: Mvm, plan: Plan | None, turn: int) -> int:
    return len(unit.table()) if plan is None else int((plan.of[unit] == turn).sum())


def chip_graph(graph: Graph, mapping: Mapping) -> Graph:
    """Return the chip graph of a mapping, without its schedule."""
    chip = Graph("chip", "chip")
    plan = mapping.plan
    for unit, held in mapping.crossbars.items():
        name, copies = unit.result.name, mapping.copies[unit]
        crossbars = chip.weight(f"{name}.crossbars", held.astype(np.int32))
        turns = plan.of[unit] if plan else np.zeros(1, np.int64)
        apart = None
        if len(np.unique(turns)) > 1:
            apart = chip.weight(f"{name}.rounds", turns.astype(np.int32))
        chip.insert(
            Group(crossbars, unit=name, rounds=apart, copies=copies, round=int(turns.max()))
        )
    for fact in mapping.rounds:
        chip.insert(fact)
    for op, _ in working_ops(graph):
        if not isinstance(op, Mvm):
            tiles = chip.weight(f"{op.result.name}.tiles", mapping.homes.tiles(op))
            chip.insert(Vector(tiles, unit=op.result.name))
    x = chip.weight("place.x", mapping.placement.x)
    y = chip.weight("place.y", mapping.placement.y)
    chip.insert(Place(x, y))
    for name, sent in mapping.flows.items():
        chip.insert(_flow(chip, name, sent))
    return chip


def _flow(chip: Graph, name: str, sent: Flows) -> Flow:
    ends = (sent.source, sent.target, sent.packet)
    source, target, packet = (each.astype(np.int32) for each in ends)
    return Flow(
        chip.weight(f"{name}.source", source),
        chip.weight(f"{name}.target", target),
        chip.weight(f"{name}.bits", sent.bits),
        packet=chip.weight(f"{name}.packet", packet),
        flits=chip.weight(f"{name}.flits", sent.flits),
        unit=name,
    )


def one_inference(dim: Dim) -> int:
    """Return a dimension for one sample: every symbol stands for 1."""
    return bind(dim, dict.fromkeys(dim.names, 1)) if isinstance(dim, Symbol) else dim


def _mesh(target: Target) -> Mesh:
    network = target.machine.network
    return Mesh(network.columns, network.rows)
