"""What a recipe is: published numbers, each beside what our own code gives for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One published number, and ours."""

    quantity: str
    published: str
    """As printed, unit apart; several numbers are parted by commas and blanks."""
    ours: float | Numbers | None
    """``None`` where we do not reproduce it."""
    unit: str = ""
    within: float | None = None
    """Relative error to be held; ``None`` asks for every published digit."""
    why: str = ""
    """Why it is missed, where it is."""
    note: str = ""
    """What else there is to say."""
    given: str = ""
    """Where constants of the target come from this very number: from what of it."""
    most: bool = False
    """The published number is itself a bound: ours is to be no larger."""

    @property
    def error(self) -> float | None:
        """Ours over the published number, less 1; ``None`` where there is no such number."""
        if self.most or not isinstance(self.ours, int | float):
            return None
        return self.ours / float(self.published.replace(",", "")) - 1

    @property
    def holds(self) -> bool:
        if self.ours is None:
            return False
        if self.most and not isinstance(self.ours, tuple):
            return self.ours <= float(self.published)
        if isinstance(self.ours, tuple):
            return ", ".join(map(str, self.ours)) == self.published
        if self.within is not None:
            return abs(self.error or 0.0) <= self.within
        digits = len(self.published.partition(".")[2])
        return f"{self.ours:.{digits}f}" == self.published.replace(",", "")


class Absent(Exception):
    """What a recipe needs is not on this machine; says what, by name."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Published numbers of one work and how they are computed here."""

    name: str
    title: str
    source: str
    about: str
    """What of ours is run, and what is assumed; one paragraph."""
    rows: Callable[[], Sequence[Row]]
    """Compute all rows.

    Raises:
        Absent: data that the recipe needs is not there.
    """


@dataclass(frozen=True, slots=True)
class Result:
    recipe: Recipe
    rows: tuple[Row, ...]
    absent: str = ""
    """Why the recipe could not be run; empty where it was."""

    @property
    def missed(self) -> tuple[Row, ...]:
        """Rows outside of their bound, or not reproduced."""
        return tuple(row for row in self.rows if not row.holds)


def run(recipe: Recipe) -> Result:
    try:
        return Result(recipe, tuple(recipe.rows()))
    except Absent as missing:
        return Result(recipe, (), str(missing))
