"""How well matrices fill the crossbars that hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutrams.ir.blocks import used
from neutrams.ir.cores import kinds_of_crossbars
from neutrams.ir.ops.chip import Group
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.simulator.constants import constant


@dataclass(frozen=True, slots=True)
class Usage:
    """Cells of one matrix or of a whole program, all copies counted."""

    crossbars: int
    cells: int
    """Cells that hold weights; the unit columns are not counted."""
    capacity: int
    """Cells of those crossbars."""

    @property
    def share(self) -> float:
        return self.cells / self.capacity if self.capacity else 0.0


def usage(program: Program) -> dict[str, Usage]:
    """Return the usage of each ``unit.mvm`` by the name of its result.

    Only cells of a neuron's own group count: those off the diagonal of packed groups hold zeros.
    """
    chip = program.module.graphs.get("chip")
    groups = {op.unit: op for op in chip.ops if isinstance(op, Group)} if chip else {}
    machine = program.target.machine
    sizes = np.array([kind.cells for kind in machine.kinds])
    found = {}
    for op, _ in working_ops(program.module["main"]):
        if not isinstance(op, Mvm):
            continue
        table = op.table()
        rows, neurons = used(table)
        packed = (table[:, 1] - table[:, 0]).astype(np.int64)
        cells = int((rows * neurons // packed).sum()) * op.encoding.columns_per_neuron
        group = groups.get(op.result.name)
        count = 1 if group is None else group.copies
        held = np.zeros(len(table), np.int64) if group is None else constant(group.crossbars)
        capacity = int(sizes[kinds_of_crossbars(held, machine)].sum())
        found[op.result.name] = Usage(count * len(table), count * cells, capacity)
    return found
