"""Units on crossbars: which kind of core holds each, and which crossbars of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.blocks import used
from neutrams.ir.cores import crossbars_by_kind, on_chip
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Machine, Target
from neutrams.ir.traffic import Mesh
from neutrams.mapper.assign import assign
from neutrams.mapper.pack import pack

Ints = NDArray[np.int64]


def kinds_of_units(units: Sequence[Mvm], target: Target) -> Ints:
    """Return the kind of core for each unit: of those that its blocks fit, as many as possible at
    once, and then those that leave fewest cells unused.
    """
    kinds = target.machine.kinds
    counts = np.full((len(units), len(kinds)), -1, np.int64)
    for place, unit in enumerate(units):
        table = unit.table()
        rows, neurons = (int(most.max(initial=0)) for most in used(table))
        columns = neurons * unit.encoding.columns_per_neuron
        for index, kind in enumerate(kinds):
            if rows <= kind.rows and columns <= kind.columns:
                counts[place, index] = len(table)
    cells = np.array([kind.cells for kind in kinds])
    return assign(counts, cells, crossbars_by_kind(target.machine))


def pack_blocks(sizes: Ints, target: Target, kinds: Ints | None = None) -> list[Ints]:
    """Return the crossbars of units of so many blocks each, one unit after the other in each kind.

    Raises:
        NeutramsError: NT0401, the chip has too few.
    """
    machine, network = target.machine, target.machine.network
    found: list[Ints] = [np.zeros(0, np.int64) for _ in sizes]
    for index, kind in enumerate(machine.kinds):
        here = np.arange(len(sizes)) if kinds is None else np.flatnonzero(kinds == index)
        try:
            packing = pack(
                sizes[here],
                crossbars_per_core=machine.core.crossbars,
                cores_per_tile=kind.per_tile,
                tiles=machine.tiles,
                mesh=Mesh(network.columns, network.rows),
                per_router=network.tiles_per_router,
            )
        except NeutramsError as fault:
            raise _explained(fault, machine, index) from None
        for place, unit in enumerate(here):
            found[unit] = on_chip(packing.crossbars_of(place).astype(np.int64), machine, index)
        if kinds is None:
            break
    return found


def _explained(fault: NeutramsError, machine: Machine, index: int) -> NeutramsError:
    kind = machine.kinds[index]
    size = f"these are crossbars of {kind.rows} × {kind.columns}, of the cores `{kind.name}`"
    return NeutramsError(
        *(
            (d.note(size) if machine.smaller else d).help("or run it in rounds: --rounds auto")
            for d in fault.diagnostics
        )
    )
