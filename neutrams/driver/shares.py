"""Which part of a network crossbars do, and which the digital unit, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.time import State, working_ops
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import bind
from neutrams.simulator.batching import batching
from neutrams.simulator.digital import elements, multiply_adds


@dataclass(frozen=True, slots=True)
class Share:
    """A number of things, by where they are."""

    crossbars: int
    digital: int

    @property
    def total(self) -> int:
        return self.crossbars + self.digital

    @property
    def part(self) -> float:
        """Part that crossbars have; all of nothing."""
        return self.crossbars / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True)
class Shares:
    """Where the parameters of a network are, and the multiply-adds of one inference."""

    parameters: Share = Share(0, 0)
    multiply_adds: Share = Share(0, 0)
    """Of products of matrices, by constants or by each other."""

    def to_manifest(self) -> dict[str, dict[str, int]]:
        return asdict(self)

    @staticmethod
    def from_manifest(manifest: Mapping[str, Any]) -> Shares:
        """Return what a program's manifest says; nothing where it says nothing."""
        found = manifest.get("shares", {})
        return Shares(**{name: Share(**value) for name, value in found.items()})


def shares(network: Graph, units: Graph) -> Shares:
    """Return the shares of an ``nn`` graph that was lowered to units.

    Of a product that crossbars do, they hold the matrix; biases, norms, tables of embeddings and
    other products are the digital unit's. What units are added for merging, relays or tables is
    no part of the network, nor are copies. Single numbers, indices, shapes and the scales of a
    quantised network are no parameters.
    """
    sizes = batching(network).one()
    placed = _placed(network, units)
    done = {True: 0, False: 0}
    for op, times in working_ops(network):
        done[op in placed] += multiply_adds(op, sizes) * bind(times, sizes)
    ops = [op for each in (network, *network.cells()) for op in each.ops]
    every = {w for op in ops for w in _constants(op)}
    held = {w for op in placed if (w := _matrix(op)) is not None}
    on, whole = (sum(elements(w, {}) for w in found) for found in (held, every | held))
    return Shares(Share(on, whole - on), Share(done[True], done[False]))


def _placed(network: Graph, units: Graph) -> set[Op]:
    """Return the products of a network that crossbars do, known by the values they stand for."""
    found: set[Op] = set()
    pairs = zip((network, *network.cells()), (units, *units.cells()), strict=True)
    for before, after in pairs:
        made = [op.result.origin for op in after.ops if isinstance(op, Mvm | Reduce)]
        products = {op.result.name: op for op in before.ops if isinstance(op, Conv | Matmul)}
        found |= {products[name] for name in made if name in products}
    return found


def _matrix(op: Op) -> Weight | None:
    """Return the constant that a product multiplies by, quantised or not."""
    value = op.w if isinstance(op, Conv) else op.operands[1]
    while value is not None and isinstance(value.op, Quantize | Dequantize):
        value = value.op.x
    return value if isinstance(value, Weight) else None


def _constants(op: Op) -> list[Value]:
    if isinstance(op, Dequantize):
        return [op.x] if isinstance(op.x, Weight) and op.x.type.rank else []
    if isinstance(op, State):
        return []
    read = [op.x] if isinstance(op, Quantize) else list(op.present)
    return [v for v in read if isinstance(v, Weight) and v.type.rank and v.type.dtype.is_float]
