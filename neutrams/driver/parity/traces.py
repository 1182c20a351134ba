"""A unit graph that shows what is inside: its every intermediate value is an output as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from neutrams.driver.sources import clone
from neutrams.ir.graph import Graph, Module
from neutrams.ir.op import Op, Value
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator.steps import steps

_EXACT = frozenset({
    "nn.abs", "nn.add", "nn.argmax", "nn.argmin", "nn.bit_shift", "nn.bitwise_and",
    "nn.bitwise_not", "nn.bitwise_or", "nn.bitwise_xor", "nn.ceil", "nn.clip", "nn.dequantize",
    "nn.div", "nn.equal", "nn.floor", "nn.greater", "nn.greater_equal", "nn.less",
    "nn.less_equal", "nn.logical_and", "nn.logical_not", "nn.logical_or", "nn.logical_xor",
    "nn.max_pool", "nn.max_pool_indices", "nn.maximum", "nn.minimum", "nn.mul", "nn.neg",
    "nn.quantize", "nn.relu", "nn.reduce_max", "nn.reduce_min", "nn.round", "nn.sign", "nn.sqrt",
    "nn.sub", "nn.topk",
})  # fmt: skip
"""Float functions that IEEE 754 or their definition fixes to the last bit."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A copy of a graph whose values are outputs."""

    graph: Graph
    shown: dict[str, str]
    """For each value, in the order of the graph, the output that holds it."""
    outputs: dict[str, str]
    """For each output of the graph itself the value it is."""

    @staticmethod
    def of(graph: Graph, only: Set[str] | None = None, *, inside: bool = False) -> Trace:
        """Copy a graph and show its values, or only some of them beside its outputs.

        With ``inside`` partial and merged sums are shown too, which the simulator makes as one.
        """
        copy = clone(graph, name=graph.name)
        own = dict(zip(copy.output_names, copy.outputs, strict=True))
        names = {value: name for name, value in reversed(own.items())}
        shown = {}
        for op in copy.ops if inside else [step.ops[-1] for step in steps(copy)]:
            for value in op.results:
                if value not in names and (only is None or value.name in only):
                    names[value] = _unlike(f"value {value.name}", own)
                    copy.output(value, names[value])
                if value in names:
                    shown[value.name] = names[value]
        for value in copy.outputs:
            shown.setdefault(value.name, names[value])
        return Trace(copy, shown, {name: value.name for name, value in own.items()})

    def program(self, program: Program) -> Program:
        """Return the program with this graph as its ``main``."""
        others = [g for name, g in program.module.graphs.items() if name != self.graph.name]
        return Program(Module([self.graph, *others]), program.target, program.manifest)

    def values_of(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        return {value: outputs[name] for value, name in self.shown.items()}


def exact_values(graph: Graph) -> set[str]:
    """Return the values that every correct executor must give bit for bit."""
    loose = _behind(graph, (op for op in graph.ops if not _is_exact(op)))
    return {value.name for value in graph.values() if value not in loose}


def after_loss(graph: Graph, units: Iterable[str]) -> set[str]:
    """Return the values that depend on the results of some units."""
    chosen = set(units)
    ops = (op for op in graph.ops if any(value.name in chosen for value in op.results))
    return {value.name for value in _behind(graph, ops)}


def _behind(graph: Graph, ops: Iterable[Op]) -> set[Value]:
    """Return the results of some ops, and all that depends on them."""
    found = {value for op in ops for value in op.results}
    for op in graph.ops:
        if any(value in found for value in op.present):
            found.update(op.results)
    return found


def _is_exact(op: Op) -> bool:
    if op.graphs:
        return all(_is_exact(inner) for graph in op.graphs for inner in graph.ops)
    if op.name.startswith(("unit.", "tensor.", "time.")) or op.name in _EXACT:
        return True
    return not any(value.type.dtype.is_float for value in (*op.present, *op.results))


def _unlike(name: str, taken: Mapping[str, object]) -> str:
    while name in taken:
        name += "'"
    return name
