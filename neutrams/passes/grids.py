"""Which integers a chip has for numbers of some width."""

from __future__ import annotations

from dataclasses import dataclass

from neutrams.ir.target import Target
from neutrams.passes.affine import Affine, Codes
from neutrams.passes.digits import WeightDigits


@dataclass(frozen=True, slots=True)
class Grids:
    """The integers of a target; without one, or beyond it, all that the bits hold."""

    target: Target | None
    power_of_two: bool = False
    """Scales are powers of two, and so is what sums are multiplied by."""

    @staticmethod
    def of(target: Target | None, *, power_of_two: bool = False) -> Grids:
        """Return the grids of a target, which may insist on powers of two."""
        shifts = target is not None and target.limits.rescale == "power-of-two"
        return Grids(target, power_of_two or shifts)

    def activations(self, low: float, high: float, *, bits: int) -> Affine:
        """Return the map that covers a range of real numbers."""
        codes = (0, 2**bits - 1)
        if self.target is not None and bits <= self.target.limits.input_bits:
            narrow = self.target.at_precision(
                weight_bits=self.target.limits.weight_bits, input_bits=bits
            )
            codes = narrow.activation_codes
        return Affine.onto(
            low,
            high,
            codes=codes,
            centred=self.biases is not None,
            power_of_two=self.power_of_two,
        )

    def weights(self, bits: int) -> Codes:
        """Return the least and the largest weight."""
        if self.target is not None and bits > self.target.limits.weight_bits:
            digits = WeightDigits.for_target(self.target)
            if digits is not None:
                most = digits.most(-(-bits // digits.bits))
                return -most, most
        if self.target is None or bits > self.target.limits.weight_bits:
            return 1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1
        narrow = self.target.at_precision(
            weight_bits=bits, input_bits=self.target.limits.input_bits
        )
        return narrow.chosen_weights

    @property
    def biases(self) -> Codes | None:
        """What is added to sums of products of codes; ``None`` for what 32 bits leave room for."""
        held = self.target.limits.bias_range if self.target is not None else None
        return None if held is None else held.codes


def fewest(target: Target | None) -> int:
    """Return how many integers the coarser of weights and activations has; 256 of no chip."""
    if target is None:
        return 256
    ends = target.chosen_weights, target.activation_codes
    return min(high - low + 1 for low, high in ends)
