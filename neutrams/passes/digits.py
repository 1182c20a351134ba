"""Digits of numbers that are wider than what a crossbar holds or reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from neutrams.ir.target import Target, paired
from neutrams.ir.types import Array

DigitsOf = Literal["none", "named", "inputs", "all"]
"""What crossbars read in digits: nothing, what layers read whose bits say so, what no product comes
before, or all."""


@dataclass(frozen=True, slots=True)
class WeightDigits:
    """Signed weights as digits of fewer bits, each of which is a weight of its own."""

    bits: int
    """Of a digit."""
    shift: int
    """By which each digit outweighs the next: all of its bits where weights reach -2^(bits - 1),
    else one fewer, for the lower digits take all of 2^shift values around 0."""

    @staticmethod
    def of(bits: int, *, coding: str) -> WeightDigits:
        return WeightDigits(bits, bits - paired(coding))

    @staticmethod
    def for_target(target: Target) -> WeightDigits | None:
        """Return those of a chip; ``None`` where it states which weights it has."""
        if target.limits.weight_range is not None or target.limits.weight_bits < 2:
            return None
        return WeightDigits.of(target.limits.weight_bits, coding=target.machine.core.coding)

    def most(self, count: int) -> int:
        """Return the largest weight, of either sign, that so many digits hold."""
        each = [2 ** (self.shift - 1) - 1] * (count - 1) + [2 ** (self.bits - 1) - 1]
        return sum(digit << self.shift * place for place, digit in enumerate(each))

    def needed(self, largest: int) -> int:
        """Return how many digits hold weights up to some size."""
        count = 1
        while self.most(count) < largest:
            count += 1
        return count

    def split(self, weights: Array, count: int) -> list[Array]:
        """Return the digits of weights, the highest first."""
        rest, half, found = weights.astype(np.int64), 2 ** (self.shift - 1), list[Array]()
        for _ in range(count - 1):
            low = (rest + half) % (2 * half) - half
            found.insert(0, low)
            rest = (rest - low) >> self.shift
        return [rest, *found]
