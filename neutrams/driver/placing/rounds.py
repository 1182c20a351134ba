"""A network that its chip cannot hold at once, in rounds on cores that are programmed anew.

The matrices of a network are cut into consecutive parts (:func:`neutrams.mapper.rounds.cut`).
Only a matrix that is larger than the chip is itself cut, between blocks; a cell of a recurrence is
held whole, for its steps follow one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from neutrams.driver.placing.packing import kinds_of_units
from neutrams.ir.blocks import used
from neutrams.ir.cores import crossbars_by_kind
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.chip import Round
from neutrams.ir.ops.time import Run
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.ir.types import bind
from neutrams.mapper.rounds import cut
from neutrams.simulator.batching import batching
from neutrams.simulator.digital import elements
from neutrams.simulator.rounds import units_of

Ints = NDArray[np.int64]

SLICES = 256
"""Pieces at most in which a matrix larger than the chip is dealt out to rounds."""


@dataclass(frozen=True, slots=True)
class Item:
    """Blocks that one round holds together."""

    units: tuple[Mvm, ...]
    first: int
    """Place in the table of its only unit; nought where it has several."""
    size: int
    taken: tuple[int, ...]
    """Crossbars of each kind."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The round of every block, and what lies between rounds."""

    of: dict[Mvm, Ints]
    """``[B]`` for each unit, in the order of its table."""
    carried: tuple[int, ...]
    """Bytes that one inference leaves behind each round, the last one apart."""

    @property
    def count(self) -> int:
        return len(self.carried) + 1


def plan_rounds(graph: Graph, target: Target, *, most: int | None = None) -> Plan | None:
    """Deal the units of a graph out to the fewest rounds that a chip holds.

    ``None`` stands for one round: all of them fit, or ``most`` is 1.

    Raises:
        NeutramsError: NT0403, it takes more than ``most`` rounds; NT0404, a recurrence has more
            than one round holds.
    """
    units = [unit for op in graph.ops for unit in units_of(op)]
    kinds = dict(zip(units, kinds_of_units(units, target).tolist(), strict=True))
    have = crossbars_by_kind(target.machine)
    needed = sum((_taken([unit], kinds, len(have)) for unit in units), np.zeros_like(have))
    if (needed <= have).all() or most == 1:
        return None
    check_rounds(needed, have, most)
    items = _items(graph, kinds, have)
    carried = _carried(graph, items)
    starts = cut(np.array([item.taken for item in items], np.int64), have, carried)
    if most is not None and len(starts) > most:
        raise NeutramsError(_too_many_rounds(len(starts), most))
    rounds = np.searchsorted(starts, np.arange(len(items)), side="right") - 1
    of = {unit: np.zeros(len(unit.table()), np.int64) for item in items for unit in item.units}
    for item, at in zip(items, rounds.tolist(), strict=True):
        for unit in item.units:
            of[unit][item.first : item.first + item.size] = at
    return Plan(of, tuple(int(carried[start - 1]) for start in starts[1:]))


def check_rounds(needed: Ints, have: Ints, most: int | None) -> None:
    """Refuse a network that takes more rounds than are allowed, and be it cut ever so well.

    Args:
        needed: ``[kinds]`` crossbars of each kind that it takes.
        have: ``[kinds]`` crossbars there are.
        most: Rounds that are allowed; ``None`` for any number.

    Raises:
        NeutramsError: NT0403.
    """
    least = int((-(-needed // have)).max())
    if most is not None and least > most:
        fault = _too_many_rounds(least, most)
        raise NeutramsError(fault.note(f"{needed.sum()} crossbars needed, {have.sum()} available"))


def _too_many_rounds(count: int, most: int) -> Diagnostic:
    """Say that a network takes more rounds than are allowed."""
    fault = error(
        "NT0403", f"the network takes {count} rounds on this chip, and {most} are allowed"
    )
    return fault.help("allow as many as it takes: --rounds auto")


def round_facts(
    plan: Plan, target: Target, crossbars: Mapping[Mvm, Ints], copies: Mapping[Mvm, int], batch: int
) -> list[Round]:
    """Return what programming each round takes in every batch, and what is carried over.

    ``crossbars`` of a unit are ``[copies × B]``. What only one round uses is written once.
    """
    machine = target.machine
    blocks = [_cells(unit, plan.of[unit], crossbars[unit], copies[unit]) for unit in plan.of]
    turn, crossbar, rows, cells = np.concatenate(blocks, axis=1)
    anew = np.bincount(crossbar)[crossbar] > 1
    buffers = machine.tiles * machine.tile.buffer_bytes
    found = []
    for at in range(plan.count):
        here = anew & (turn == at)
        in_core = np.bincount(crossbar[here] // machine.core.crossbars, weights=rows[here])
        steps = ceil(in_core.max(initial=0) / machine.core.rows_at_once)
        load = -(-int(cells[here].sum()) * machine.core.cell_bits // 8)
        left = plan.carried[at] if at < len(plan.carried) else 0
        found.append(
            Round(
                round=at,
                batch=batch,
                cell_writes=int(cells[here].sum()),
                write_ns=max(steps * machine.core.write_ns, load / machine.io_gbytes_per_s),
                load_bytes=load,
                carried_bytes=left,
                spilled_bytes=2 * left if left * batch > buffers else 0,
            )
        )
    return found


def _cells(unit: Mvm, turn: Ints, crossbars: Ints, copies: int) -> Ints:
    """Return round, crossbar, rows and cells of every block of every copy."""
    rows, neurons = used(unit.table())
    cells = rows * neurons * unit.encoding.columns_per_neuron
    return np.stack([np.tile(turn, copies), crossbars, *np.tile([rows, cells], copies)])


def _items(graph: Graph, kinds: Mapping[Mvm, int], have: Ints) -> list[Item]:
    found: list[Item] = []
    for op in graph.ops:
        if not (units := units_of(op)):
            continue
        taken = _taken(units, kinds, len(have))
        if (taken <= have).all():
            found.append(Item(tuple(units), 0, int(taken.sum()), tuple(taken.tolist())))
        elif isinstance(op, Run):
            raise NeutramsError(_cell_too_large(op, taken, have))
        else:
            found += _slices(units[0], taken)
    return found


def _slices(unit: Mvm, taken: Ints) -> list[Item]:
    """Cut a unit of one kind into pieces that rounds may be filled up with."""
    size = int(taken.sum())
    step = -(-size // SLICES)
    parts = [(first, min(step, size - first)) for first in range(0, size, step)]
    return [Item((unit,), at, n, tuple((taken * n // size).tolist())) for at, n in parts]


def _taken(units: Sequence[Mvm], kinds: Mapping[Mvm, int], count: int) -> Ints:
    """Return ``[kinds]`` crossbars that units take."""
    found = np.zeros(count, np.int64)
    for unit in units:
        found[kinds[unit]] += len(unit.table())
    return found


def _carried(graph: Graph, items: Sequence[Item]) -> Ints:
    """Return ``[items - 1]`` bytes of one inference that a cut behind each item carries over.

    A value is carried from the item that makes it to the last that reads it; what a matrix has
    summed up before all of its blocks are done is carried too. Outputs leave the chip at once.
    """
    first, last = dict[Mvm, int](), dict[Mvm, int]()
    for index, item in enumerate(items):
        for unit in item.units:
            first.setdefault(unit, index)
            last[unit] = index
    made: dict[Value, int] = dict.fromkeys(graph.inputs, 0)
    read: dict[Value, int] = {}
    for op in graph.ops:
        units = units_of(op)
        at = max((made[value] for value in op.present if value in made), default=0)
        at = last[units[0]] if units else at
        read |= dict.fromkeys(op.present, at)
        made |= dict.fromkeys(op.results, at)
    change = np.zeros(len(items) + 1, np.int64)
    sizes = batching(graph).one()
    for value, at in read.items():
        if not isinstance(value, Weight) and at > made[value]:
            bytes_ = elements(value, sizes) * value.type.dtype.numpy.itemsize
            change[made[value]] += bytes_
            change[at] -= bytes_
    carried = np.cumsum(change)[: len(items) - 1]
    for unit, index in first.items():
        for at in range(index, last[unit]):
            done = unit.table()[: items[at].first + items[at].size]
            carried[at] += _sums(unit, done) * bind(unit.windows, sizes)
    return carried


def _sums(unit: Mvm, done: NDArray[np.int32]) -> int:
    """Return the bytes that the sums of some blocks take for one window."""
    column = np.unique(done[:, [0, 1, 4, 5]].astype(np.int64), axis=0)
    neurons = (column[:, 1] - column[:, 0]) * (column[:, 3] - column[:, 2])
    return int(neurons.sum()) * unit.result.type.dtype.numpy.itemsize


def _cell_too_large(op: Run, taken: Ints, have: Ints) -> Diagnostic:
    message = f"one step of `{op.cell.name}` takes {taken.sum()} crossbars of {have.sum()}"
    fault = error("NT0404", message)
    fault = fault.at(op.where).note("steps follow one another, so one round must hold them whole")
    return fault.help("choose a larger chip, or cells of more bits")
