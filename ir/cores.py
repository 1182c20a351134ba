"""Where crossbars are on a chip: a crossbar's index is (tile × cores of a tile + core) × crossbars
of a core + its place, and the cores of a tile stand kind by kind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.target import Machine

Ints = NDArray[np.int64]


def crossbars_by_kind(machine: Machine) -> Ints:
    """Return ``[kinds]`` crossbars of the chip."""
    cores = np.array([kind.per_tile for kind in machine.kinds], np.int64)
    return cores * machine.tiles * machine.core.crossbars


def kinds_of_crossbars(crossbars: Ints, machine: Machine) -> Ints:
    """Return the kind of core that each crossbar belongs to."""
    within = crossbars // machine.core.crossbars % machine.cores_per_tile
    ends = np.cumsum([kind.per_tile for kind in machine.kinds])
    found: Ints = np.searchsorted(ends, within, side="right")
    return found


def on_chip(local: Ints, machine: Machine, kind: int) -> Ints:
    """Return the index of crossbars given as if the chip had cores of one kind alone."""
    before = sum(each.per_tile for each in machine.kinds[:kind])
    core, place = np.divmod(local, machine.core.crossbars)
    tile, within = np.divmod(core, machine.kinds[kind].per_tile)
    found: Ints = (tile * machine.cores_per_tile + before + within) * machine.core.crossbars + place
    return found
