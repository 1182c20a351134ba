"""Which part of a network crossbars do, and which the digital unit, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.time import State, working_ops
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


def parameter_share(graph: Graph, parameters: int) -> Share:
    """Return how many of a network's parameters the crossbars of its unit graph hold.

    Copies count once. The rest (biases, norms, tables of embeddings) is the digital unit's.
    """
    held = sum(elements(w, {}) for w in _matrices(graph))
    return Share(held, max(parameters - held, 0))


def multiply_add_share(graph: Graph) -> Share:
    """Return where the multiply-adds of the products of one inference of a unit graph are done.

    Cells off the diagonal of packed groups do none; nor does what is no product of matrices.
    """
    sizes = batching(graph).one()
    done = {True: 0, False: 0}
    for op, times in working_ops(graph):
        done[isinstance(op, Mvm)] += multiply_adds(op, sizes) * bind(times, sizes)
    return Share(done[True], done[False])


def parameters(graph: Graph) -> int:
    """Return the parameters of an ``nn`` graph: every constant tensor that it computes with.

    Not counted are single numbers, indices and shapes, and the scales of a quantised network.
    """
    constants = {w for each in (graph, *graph.cells()) for op in each.ops for w in _constants(op)}
    return sum(elements(w, {}) for w in constants)


def _constants(op: Op) -> list[Value]:
    if isinstance(op, Dequantize):
        return [op.x] if isinstance(op.x, Weight) and op.x.type.rank else []
    if isinstance(op, State):
        return []
    read = [op.x] if isinstance(op, Quantize) else list(op.present)
    return [v for v in read if isinstance(v, Weight) and v.type.rank and v.type.dtype.is_float]


def _matrices(graph: Graph) -> set[Value]:
    return {op.w for op, _ in working_ops(graph) if isinstance(op, Mvm)}
