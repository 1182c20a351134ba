"""Which weights of the network a unit holds, or why it holds none; for whoever compares them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

    @staticmethod
    def of(unit: Mvm) -> Counterpart:
        """Return the places of a unit that holds a product's whole matrix."""
        rows = np.broadcast_to(np.arange(unit.fan_in), (unit.groups, unit.fan_in))
        return Counterpart(unit.result.origin, np.arange(unit.outputs), rows)

    def some(self, neurons: Ints) -> Counterpart:
        """Return what is left of some neurons, as many of each group."""
        return Counterpart(self.product, self.neurons[neurons], self.rows)

    def to_manifest(self) -> dict[str, Any]:
        return {
            "product": self.product,
            "neurons": self.neurons.tolist(),
            "rows": self.rows.tolist(),
        }

    @staticmethod
    def from_manifest(held: Mapping[str, Any]) -> Counterpart:
        return Counterpart(
            str(held["product"]),
            np.asarray(held["neurons"], np.int64),
            np.asarray(held["rows"], np.int64),
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
