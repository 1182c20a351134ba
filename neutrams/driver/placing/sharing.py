"""Several networks on one chip: tiles of their own, placed together on one mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neutrams.driver.placing.scheduling import add_schedule
from neutrams.driver.placing.traffic import pairs
from neutrams.driver.resources import ChipFacts, numbers
from neutrams.driver.sources import clone
from neutrams.ir.cores import crossbars_by_kind, kinds_of_crossbars
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph, Module
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.chip import Bound, Flow, Group, Place, Round, Stage, Vector
from neutrams.ir.program import Program
from neutrams.ir.target import Machine
from neutrams.ir.traffic import Mesh, Placement, Traffic
from neutrams.ir.types import Array
from neutrams.mapper.place import place
from neutrams.simulator.traffic.flows import Flows

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Claim:
    """The tiles that a program takes, and the crossbars of each kind that it uses in them."""

    first: int
    tiles: int
    """From ``first`` on."""
    crossbars: tuple[int, ...]

    @staticmethod
    def of(program: Program) -> Claim:
        facts, machine = ChipFacts.of(program), program.target.machine
        tiles = _tiles(facts, machine)
        held = [numbers(group.crossbars) for group in facts.groups.values()]
        used = np.unique(np.concatenate(held)) if held else np.zeros(0, np.int64)
        kinds = np.bincount(kinds_of_crossbars(used, machine), minlength=len(machine.kinds))
        return Claim(int(tiles[0]), int(tiles[-1] - tiles[0]) + 1, tuple(kinds.tolist()))


def _tiles(facts: ChipFacts, machine: Machine) -> Ints:
    """Return the tiles in which anything of a program is, rising."""
    per_tile = machine.core.crossbars * machine.cores_per_tile
    held = [numbers(group.crossbars) // per_tile for group in facts.groups.values()]
    held += [numbers(vector.tiles) for vector in facts.vectors.values()]
    return np.unique(np.concatenate(held)) if held else np.zeros(1, np.int64)


def together(programs: Mapping[str, Program], *, seed: int = 0) -> dict[str, Program]:
    """Give programs for the same chip tiles of their own, and place all of them anew on its mesh.

    What each computes, counts and takes of the chip stays as it is.

    Args:
        programs: By name. A program that stood with others is moved like any other.
        seed: Of the placement.

    Raises:
        NeutramsError: NT0578, they are not for one chip, or one runs in rounds; NT0579, they do not
            fit together.
    """
    if not programs:
        raise NeutramsError(error("NT0578", "there is no program to place"))
    claims = {name: Claim.of(program) for name, program in programs.items()}
    check_together(programs)
    first = next(iter(programs.values()))
    machine = first.target.machine
    _check_fit(claims, machine)
    shifts, nodes = dict[str, int](), 0
    for name, claim in claims.items():
        shifts[name], nodes = nodes - claim.first, nodes + claim.tiles
    placement = place(
        _traffic(programs, shifts, nodes),
        Mesh(machine.network.columns, machine.network.rows),
        seed=seed,
        per_router=machine.network.tiles_per_router,
    )
    return {
        name: _moved(program, shifts[name], placement, list(programs))
        for name, program in programs.items()
    }


def check_together(programs: Mapping[str, Program]) -> None:
    """Refuse programs that can share no chip.

    Raises:
        NeutramsError: NT0578.
    """
    (one, first), *others = programs.items()
    chip = replace(first.target, source="")
    for name, program in others:
        if replace(program.target, source="") != chip:
            fault = error("NT0578", f"`{one}` and `{name}` are made for different chips")
            fault = fault.note(f"`{chip.name}` and `{program.target.name}`, or values set apart")
            raise NeutramsError(fault.help("compile both with the same --target and --set"))
    for name, program in programs.items():
        if any(isinstance(op, Round) for op in program.module["chip"].ops):
            fault = error("NT0578", f"`{name}` runs in rounds, and has the chip for itself")
            raise NeutramsError(fault.help("compile it for a chip that holds it: without --rounds"))


def check_apart(programs: Mapping[str, Program]) -> None:
    """Refuse programs that were not placed together: they would be in the same tiles.

    Raises:
        NeutramsError: NT0578.
    """
    check_together(programs)
    taken: dict[int, str] = {}
    for name, program in programs.items():
        for tile in _tiles(ChipFacts.of(program), program.target.machine).tolist():
            if (other := taken.setdefault(tile, name)) != name:
                fault = error("NT0578", f"`{other}` and `{name}` both use tile {tile}")
                raise NeutramsError(fault.help("give each its own: neutrams map A.ntp B.ntp"))
    sites = [ChipFacts.of(program).place for program in programs.values()]
    for site in sites[1:]:
        if any(
            not np.array_equal(numbers(a), numbers(b))
            for a, b in ((site.x, sites[0].x), (site.y, sites[0].y))
        ):
            fault = error("NT0578", "the programs were placed apart, in different places")
            raise NeutramsError(fault.help("place them together: neutrams map A.ntp B.ntp"))


def _check_fit(claims: Mapping[str, Claim], machine: Machine) -> None:
    """Say which resource of the chip lacks, and what each network takes of it."""
    have = dict(zip((k.name for k in machine.kinds), crossbars_by_kind(machine), strict=True))
    needs = {
        f"crossbars of `{kind}`": ({n: c.crossbars[i] for n, c in claims.items()}, int(have[kind]))
        for i, kind in enumerate(have)
    }
    needs["tiles"] = {name: claim.tiles for name, claim in claims.items()}, machine.tiles
    faults = [
        _lacking(what, taken, available)
        for what, (taken, available) in needs.items()
        if sum(taken.values()) > available
    ]
    if faults:
        raise NeutramsError(*faults)


def _lacking(what: str, taken: Mapping[str, int], available: int) -> Diagnostic:
    total = sum(taken.values())
    fault = error("NT0579", f"the networks take {total} {what} together, and there are {available}")
    fault = fault.note(", ".join(f"`{name}` takes {count}" for name, count in taken.items()))
    if what == "tiles":
        fault = fault.help(f"a larger chip: --set chip.tiles={total}, with a mesh that holds them")
    return fault.help("hold layers once: compile with --no-replicate")


def _traffic(programs: Mapping[str, Program], shifts: Mapping[str, int], nodes: int) -> Traffic:
    """Return what the programs send, each between tiles of its own."""
    parts = []
    for name, program in programs.items():
        for op in program.module["chip"].ops:
            if isinstance(op, Flow):
                sent = Flows.of(op, program.target.machine.network.flit_bits)
                ahead = shifts[name]
                parts.append(replace(sent, source=sent.source + ahead, target=sent.target + ahead))
    return pairs(parts, nodes=nodes)


def _moved(program: Program, shift: int, placement: Placement, names: list[str]) -> Program:
    """Return a program so many tiles further on, on a mesh with other networks beside it."""
    machine = program.target.machine
    chip = clone(program.module["chip"], name="chip")
    ahead = shift * machine.cores_per_tile * machine.core.crossbars
    for op in list(chip.ops):
        match op:
            case Stage() | Bound():
                chip.erase(op)
            case Group():
                _set(op.crossbars, numbers(op.crossbars) + ahead)
            case Vector():
                _set(op.tiles, numbers(op.tiles) + shift)
            case Flow():
                _set(op.source, numbers(op.source) + shift)
                _set(op.target, numbers(op.target) + shift)
            case Place():
                _set(op.x, placement.x)
                _set(op.y, placement.y)
    others = [graph for graph in program.module.graphs.values() if graph.name != "chip"]
    graphs: list[Graph] = [*others, chip]
    moved = Program(Module(graphs), program.target, {**program.manifest, "together": names})
    add_schedule(moved)  # the ways between its tiles are others
    return moved


def _set(value: Value, data: Array) -> None:
    assert isinstance(value, Weight)
    assert value.data is not None
    value.data = data.astype(value.data.dtype)
    value.type = value.type.with_shape(data.shape)
