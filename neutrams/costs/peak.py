"""What a chip could do at best: the figures by which papers compare."""

from __future__ import annotations

from dataclasses import dataclass

from neutrams.costs.area import roll_up
from neutrams.ir.target import Target

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Peak:
    """Every crossbar full and busy; a multiplication with its addition is two operations."""

    gops: float
    gops_per_w: float
    gops_per_mm2: float
    storage_mib_per_mm2: float


def peak(target: Target) -> Peak:
    """Return the peak figures at the precision of the target's limits."""
    machine, limits = target.machine, target.limits
    core = machine.core
    each = machine.tiles * core.crossbars
    sizes = target.block_limits(limits.weight_bits)
    blocks = zip(machine.kinds, sizes, strict=True)
    operations = 2 * sum(each * kind.per_tile * rows * held for kind, (rows, held) in blocks)
    gops = operations / (target.phases * core.read_ns)
    whole = roll_up(target).chip
    stored_bits = sum(each * kind.per_tile * kind.cells for kind in machine.kinds) * core.cell_bits
    return Peak(
        gops=gops,
        gops_per_w=_ratio(gops, whole.power_w),
        gops_per_mm2=_ratio(gops, whole.area_mm2),
        storage_mib_per_mm2=_ratio(stored_bits / 8 / _MIB, whole.area_mm2),
    )


def _ratio(value: float, by: float) -> float:
    """Return the ratio; nought for a target that states no costs."""
    return value / by if by else 0.0
