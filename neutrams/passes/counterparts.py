"""Which weights of the network a unit holds, or why it holds none; for whoever compares them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.op import Value
from neutrams.ir.ops.unit_mvm import Mvm

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Counterpart:
    """The places of a product's matrix ``[neurons, inputs]`` that a unit's weights stand for."""

    product: str
    """Name of what the product makes in the float network."""
    neurons: Ints
    """``[groups·M]``; -1 where a neuron stands for none."""
    rows: Ints
    """``[groups, K]``; -1 where no weight is held."""
    sides: Ints
    """``[groups·M]``: 1 where only positive weights are held, -1 where negative ones are, as
    positive numbers, 0 where all are."""
    turned: bool = False
    """Whether weights of some neurons may have changed sign."""

    @staticmethod
    def of(unit: Mvm, digits: tuple[int, int] = (1, 1)) -> Counterpart:
        """Return the places of a unit that holds a product's whole matrix.

        Perhaps once for each digit of its inputs, and in digits of weights.
        """
        rows = np.broadcast_to(np.arange(unit.fan_in), (unit.groups // digits[0], unit.fan_in))
        neurons = np.arange(unit.outputs // (digits[0] * digits[1]))
        return Counterpart(unit.result.origin, neurons, rows, np.zeros_like(neurons))

    def some(self, neurons: Ints) -> Counterpart:
        """Return what is left of some neurons, as many of each group."""
        return replace(self, neurons=self.neurons[neurons], sides=self.sides[neurons])

    def by_sign(self) -> Counterpart:
        """Return the places where negative weights have neurons behind the others of a group."""
        groups = len(self.rows)
        twice = np.stack([self.neurons.reshape(groups, -1)] * 2, axis=1)
        sides = np.broadcast_to(np.array([1, -1])[:, None], twice.shape)
        return replace(self, neurons=twice.reshape(-1), sides=sides.reshape(-1))

    def to_manifest(self) -> dict[str, Any]:
        return {
            "product": self.product,
            "neurons": self.neurons.tolist(),
            "rows": self.rows.tolist(),
            "sides": self.sides.tolist(),
            "turned": self.turned,
        }

    @staticmethod
    def from_manifest(held: Mapping[str, Any]) -> Counterpart:
        return Counterpart(
            str(held["product"]),
            np.asarray(held["neurons"], np.int64),
            np.asarray(held["rows"], np.int64),
            np.asarray(held["sides"], np.int64),
            bool(held["turned"]),
        )


Known = dict[Value, Counterpart | str]
"""By the weights of a unit: their places, or why the network has no such weights. Units that hold a
product's whole matrix are not in it."""


def to_manifest(known: Known, units: Iterable[Mvm]) -> dict[str, Any]:
    """Return what is known of units, by the names of what they make."""
    found = {unit.result.name: known[unit.w] for unit in units if unit.w in known}
    return {
        name: held if isinstance(held, str) else held.to_manifest() for name, held in found.items()
    }


def carry(known: Known, old: Value, new: Value) -> None:
    """Let what is known of some weights be known of what became of them."""
    if old in known:
        known[new] = known[old]
