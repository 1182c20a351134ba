"""Check that a graph is well formed and, given a target, that every unit obeys its limits."""

from __future__ import annotations

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.target import Target


def verify(graph: Graph, target: Target | None = None) -> list[Diagnostic]:
    """Return every fault of a graph: NT0140 to NT0144, and the limits of ``target``."""
    faults = [*_structure(graph), *_types(graph)]
    if target is not None and graph.level == "unit":
        faults += [fault for op in graph.ops for fault in op.violations(target)]
    return faults


def check(graph: Graph, target: Target | None = None) -> None:
    """Raise every fault of a graph at once.

    Raises:
        NeutramsError: the graph is not valid.
    """
    if faults := verify(graph, target):
        raise NeutramsError(*faults)


def _structure(graph: Graph) -> list[Diagnostic]:
    faults = []
    made: set[Value] = {*graph.inputs, *graph.weights.values()}
    names: set[str] = set()
    for value in graph.values():
        if value.name in names:
            faults.append(
                error("NT0140", f"two values of `@{graph.name}` are called `{value.name}`")
            )
        names.add(value.name)
    for op in graph.ops:
        if graph.level not in op.levels:
            levels = " or ".join(sorted(op.levels))
            message = f"`{op.name}` cannot stand in a graph of level `{graph.level}`"
            faults.append(error("NT0141", message).at(op.where).note(f"it belongs to {levels}"))
        faults += [_unmade(op, value) for value in op.present if value not in made]
        made.update(op.results)
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        if value not in made:
            faults.append(error("NT0142", f"output `{name}` is never made"))
    return faults


def _unmade(op: Op, value: Value) -> Diagnostic:
    message = f"`{op.name}` reads `%{value.name}` before it is made"
    return error("NT0142", message).at(op.where).note("ops stand in the order they run in")


def _types(graph: Graph) -> list[Diagnostic]:
    faults = []
    for weight in graph.weights.values():
        if weight.data is not None and weight.data.shape != weight.type.shape:
            faults.append(error("NT0143", f"weight `@{weight.name}` is not of its own type"))
    for op in graph.ops:
        inferred = op.infer()
        types = inferred if isinstance(inferred, tuple) else (inferred,)
        for value, type in zip(op.results, types, strict=True):
            if value.type.plain() != type.plain():
                stated, made = value.type.plain(), type.plain()
                message = f"`%{value.name}` is `{stated}`, but `{op.name}` makes `{made}`"
                faults.append(error("NT0143", message).at(op.where))
            if value.type.range is not None and not value.type.range[0] <= value.type.range[1]:
                faults.append(error("NT0144", f"`%{value.name}` has an empty range").at(op.where))
    return faults
