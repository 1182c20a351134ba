"""How well matrices fill the crossbars that hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutrams.ir.blocks import used
from neutrams.ir.ops.chip import Group
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program


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
    copies = {op.unit: op.copies for op in chip.ops if isinstance(op, Group)} if chip else {}
    core = program.target.machine.core
    found = {}
    for op, _ in working_ops(program.module["main"]):
        if not isinstance(op, Mvm):
            continue
        table = op.table()
        rows, neurons = used(table)
        groups = (table[:, 1] - table[:, 0]).astype(np.int64)
        count = copies.get(op.result.name, 1)
        cells = int((rows * neurons // groups).sum()) * op.encoding.columns_per_neuron
        capacity = len(table) * core.rows * core.columns
        found[op.result.name] = Usage(count * len(table), count * cells, count * capacity)
    return found
