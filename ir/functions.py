"""Which functions a chip has beside its products, and which of them an op needs.

A function is named after the ops that compute it, without their family: ``add`` is what
``unit.add`` does and, on floats, ``nn.add``. Two words stand for more: ``float``, floating point on
the vector unit, and ``all``. What only moves elements, keeps states, adds partial sums or goes
between integers and real numbers needs none; the ends of a range saturate without one.
"""

from __future__ import annotations

from neutrams.ir.op import Op
from neutrams.ir.target import ALL, Target

FLOAT = "float"
FAMILIES = ("nn", "unit")
FREE = frozenset({"mvm", "reduce", "rescale", "quantize", "dequantize"})
"""Ops of these families that need no function by their name."""


def has(target: Target, *functions: str) -> bool:
    """Say whether a chip has all of some functions."""
    held = target.limits.functions
    return ALL in held or all(name in held for name in functions)


def lacks(target: Target | None, op: Op) -> bool:
    """Say whether an op needs a function that a chip does not have."""
    return target is not None and not has(target, *needed(op))


def needed(op: Op) -> tuple[str, ...]:
    """Return the functions that an op of a unit graph needs, whatever the chip."""
    family, _, short = op.name.partition(".")
    if family not in FAMILIES or short in FREE:
        return ()
    floats = any(value.type.dtype.is_float for value in op.results)
    return (short, FLOAT) if floats else (short,)
