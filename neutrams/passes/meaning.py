"""Whether a pass kept what a graph means, and where it first did not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph, Module
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.text import parse, print_module
from neutrams.ir.types import Array
from neutrams.passes.base import Pass, PassContext

Grids = Mapping[str, tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a graph made of some samples: outputs, and every value on the way."""

    outputs: dict[str, Array]
    values: dict[str, Array]
    """By name; of a cell the values of its last step."""
    stands_for: dict[str, str]
    """By the name of a value of the original network the last value that stands for it."""

    @staticmethod
    def of(graph: Graph, samples: Mapping[str, Array], *, converters: bool) -> Seen:
        """Run samples; unless with ``converters`` they lose nothing.

        What they lose of a matrix depends on the blocks it is cut into, and is no pass's doing.
        """
        graph = graph if converters else _lossless(graph)
        values: dict[str, Array] = {}
        stands_for: dict[str, str] = {}

        def note(value: Value, array: Array) -> None:
            if not isinstance(value, Weight):
                values[value.name] = array
                if value.origin:
                    stands_for[value.origin] = value.name

        return Seen(interpret(graph, samples, watch=note), values, stands_for)

    def counterpart(self, value: Value) -> str | None:
        """Return the name of the value that was what another is: of its name, or its origin."""
        if value.name in self.values:
            return value.name
        found = self.stands_for.get(value.origin, value.origin)
        return found if found in self.values else None


def _lossless(graph: Graph) -> Graph:
    """Return a copy of a graph with ideal converters, or the graph if it has no others."""
    if not any(isinstance(op, Mvm) and op.adc_bits for op in _computing(graph)):
        return graph
    store: dict[str, Array] = {}
    copy = parse(print_module(Module([graph]), store), weights=store).main
    for op in _computing(copy):
        if isinstance(op, Mvm):
            op.adc_bits = 0
    return copy


def compare(made: Pass, before: Seen, after: Seen, graph: Graph, ctx: PassContext) -> None:
    """Hold outputs before and after a pass against its bound.

    Raises:
        NeutramsError: NT0209, some moved further; the first op on the way that did is named.
    """
    bound, faults = made.bound(ctx.target), list[Diagnostic]()
    for name, old in before.outputs.items():
        moved = distance(old, after.outputs[name])
        if not moved <= bound:
            faults.append(
                error("NT0209", f"`{made.name}` changed what output `{name}` means")
                .note(f"it moved by {moved:.3g} of its own size (RMS); the bound is {bound:.3g}")
                .note(f"compared on {_samples(old)} calibration samples")
                .help(f"see what it did there: --print-after {made.name}")
            )
    if faults:
        found = first_moved(graph, before, after, ctx.grids, bound)
        raise NeutramsError(*(_with_place(fault, found) for fault in faults))


def first_moved(
    graph: Graph, before: Seen, after: Seen, grids: Grids, bound: float
) -> tuple[Op, float] | None:
    """Return the first op whose value is further than a bound from what it was, and how far.

    Integers are compared as the numbers they stand for, where their scale is known.
    """
    for op in _computing(graph):
        for value in op.results:
            name = before.counterpart(value)
            if name is None or value.name not in after.values:
                continue
            old = _real(before.values[name], grids.get(name))
            new = _real(after.values[value.name], grids.get(value.name))
            if old is None or new is None or old.shape != new.shape:
                continue
            if not (moved := distance(old, new)) <= bound:
                return op, moved
    return None


def distance(old: Array, new: Array) -> float:
    """Return the RMS of the change over the RMS of the output; 0 where both are equal."""
    a, b = np.asarray(old, np.float64), np.asarray(new, np.float64)
    if a.shape != b.shape:
        return float("inf")
    if np.array_equal(a, b, equal_nan=True):
        return 0.0
    change, size = float(np.sqrt(np.mean((a - b) ** 2))), float(np.sqrt(np.mean(a**2)))
    return change / max(size, 1e-12)


def _computing(graph: Graph) -> Iterable[Op]:
    return (op for op, _ in working_ops(graph))


def _real(array: Array, grid: tuple[float, int] | None) -> Array | None:
    if array.dtype.kind == "f":
        return array
    if grid is None:
        return None
    return (array.astype(np.float64) - grid[1]) * grid[0]


def _samples(array: Array) -> int:
    return len(array) if array.ndim else 1


def _with_place(fault: Diagnostic, found: tuple[Op, float] | None) -> Diagnostic:
    if found is None:
        return fault.note("no value on the way to it can be compared with one before the pass")
    op, moved = found
    text = f"the first that moved is `%{op.result.name}` (`{op.name}`), by {moved:.3g}"
    return fault.at(op.where, "moved first").note(text)
