"""One link of the parity chain, and how two executors' values are compared."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np

from neutrams.ir.types import Array

State = Literal["passed", "broken", "not run"]
PASSED: State = "passed"
BROKEN: State = "broken"
NOT_RUN: State = "not run"

NEAR = 1e-4
"""Largest difference of numbers behind float functions, as a part of the largest of their value."""
STRAY = 1000
"""One in so many of them, and one of a small value, may be further off: the last bit of a float
function decides what is rounded to the next integer."""


@dataclass(frozen=True, slots=True)
class Link:
    """Two executors, and how far apart they are."""

    name: str
    state: State
    compared: int = 0
    """Numbers held against each other."""
    difference: float = 0.0
    """Largest, absolute; of numbers that should be equal where a link compares both kinds."""
    first: str = ""
    """The first value, in the order of the graph, that is not as it should be."""
    retention: float | None = None
    near: int = 0
    """Of ``compared``, numbers that follow float functions, each executor's own."""
    near_difference: float = 0.0
    """Largest difference of those, as a part of the largest number of their value."""
    note: str = ""


def compare(
    name: str,
    wanted: Mapping[str, Array],
    found: Mapping[str, Array],
    *,
    exact: Set[str],
    whole: Set[str] = frozenset(),
) -> Link:
    """Compare all values that both executors have; those in ``exact`` bit for bit.

    The others follow float functions, of which each executor has its own: they must be near. The
    link breaks where a value differs, has another type or shape, where one of ``whole`` is
    missing, or nothing was compared.
    """
    compared = near = 0
    difference = apart = 0.0
    first = ""
    if missing := [value for value in wanted if value in whole and value not in found]:
        return Link(name, BROKEN, first=missing[0], note=f"there is no `{missing[0]}`")
    for value in [key for key in wanted if key in found]:
        a, b = wanted[value], found[value]
        if a.dtype != b.dtype or a.shape != b.shape:
            note = f"`{value}` is {_type(b)}, not {_type(a)}"
            return Link(name, BROKEN, compared, difference, first or value, note=note)
        compared += a.size
        moved = _largest(a, b)
        if value in exact:
            difference = max(difference, moved)
            wrong = not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        else:
            near += a.size
            size = float(np.abs(a.astype(np.float64)).max(initial=0)) or 1.0
            apart = max(apart, moved / size)
            beyond = np.abs(a.astype(np.float64) - b) > NEAR * size
            strays = int(np.count_nonzero(beyond))
            wrong = strays > max(1, a.size // STRAY) or not isfinite(moved)
        if wrong and not first:
            first = value
    return Link(
        name,
        PASSED if compared and not first else BROKEN,
        compared=compared,
        difference=difference,
        first=first,
        near=near,
        near_difference=apart,
        note="" if compared else "no value was compared",
    )


def _largest(a: Array, b: Array) -> float:
    with np.errstate(invalid="ignore"):
        moved = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return float(np.nan_to_num(moved, nan=0.0, posinf=np.inf).max(initial=0))


def _type(array: Array) -> str:
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]"
