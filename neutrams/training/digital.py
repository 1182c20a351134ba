"""Scales of digital units, which are no part of a product's own unit."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from neutrams.ir.op import Op, Weight
from neutrams.ir.ops.unit import Add, AveragePool, Rescale
from neutrams.ir.types import Array

Digital = Add | AveragePool | Rescale
"""Ops of the vector unit that multiply by scales and round to a grid of their own."""
SCALES: dict[type[Op], tuple[str, ...]] = {
    Add: ("a_scale", "b_scale"),
    AveragePool: ("scale",),
    Rescale: ("scale",),
}


def adjustable(ops: Iterable[Op], ends: Collection[Op]) -> list[Digital]:
    """Return the digital ops whose scales are free to change; ``ends`` are parts of units."""
    found = [op for op in ops if isinstance(op, Digital) and op not in ends]
    return [op for op in found if not isinstance(op, Rescale) or _owns(op)]


def scale_of(op: Digital, name: str) -> Array:
    """Return a scale as float32, a number or one for each place along an axis."""
    held = getattr(op, name)
    if isinstance(held, Weight):
        assert held.data is not None
        held = held.data
    return np.asarray(held, np.float32)


def set_scale(op: Digital, name: str, scale: Array) -> None:
    """Replace a scale by another of its shape, as float32."""
    held, scale = getattr(op, name), np.array(scale, np.float32)
    if isinstance(held, Weight):
        held.data = scale
    else:
        setattr(op, name, float(scale))


def multiply(op: Digital, factor: float) -> None:
    """Make the numbers that an op makes larger by a factor, its zero apart."""
    for name in SCALES[type(op)]:
        set_scale(op, name, scale_of(op, name).astype(np.float64) * factor)


def _owns(op: Rescale) -> bool:
    scale = op.scale
    return isinstance(scale, Weight) and scale.data is not None and len(scale.users) <= 1
