"""Check that a graph is well formed and, given a target, that every unit obeys its limits."""

from __future__ import annotations

from neutrams.ir import fan_out
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.limits import missing_functions
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.time import Next, State
from neutrams.ir.target import Target


def verify(graph: Graph, target: Target | None = None) -> list[Diagnostic]:
    """Return every fault of a graph and of those it calls: NT0140 to NT0148, and limits broken."""
    faults: list[Diagnostic] = []
    for each in [*graph.cells(), graph]:
        faults += [*_structure(each), *_types(each), *_states(each)]
    if target is not None and graph.level == "unit":
        faults += beyond_units(graph, target)
        if not faults:
            faults += fan_out.faults(graph, target)
    return faults


def beyond_units(graph: Graph, target: Target) -> list[Diagnostic]:
    """Return what of a target's limits each op breaks by itself: NT0145, NT0146 and NT0149."""
    return [
        fault
        for each in [*graph.cells(), graph]
        for op in each.ops
        if each.level == "unit"
        for fault in [*missing_functions(op, target), *op.violations(target)]
    ]


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
        faults += [_other_level(op, graph, cell) for cell in op.graphs if cell.level != graph.level]
        made.update(op.results)
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        if value not in made:
            faults.append(error("NT0142", f"output `{name}` is never made"))
    return faults


def _unmade(op: Op, value: Value) -> Diagnostic:
    message = f"`{op.name}` reads `%{value.name}` before it is made"
    return error("NT0142", message).at(op.where).note("ops stand in the order they run in")


def _other_level(op: Op, graph: Graph, cell: Graph) -> Diagnostic:
    message = f"`@{graph.name}` is of level `{graph.level}` and calls `@{cell.name}`"
    return error("NT0148", message).at(op.where).note(f"that is of level `{cell.level}`")


def _states(graph: Graph) -> list[Diagnostic]:
    """Every slot is read as what it is written, and written once."""
    writes: dict[str, list[Next]] = {}
    for op in graph.ops:
        if isinstance(op, Next):
            writes.setdefault(op.slot, []).append(op)
    faults = []
    for op in graph.ops:
        if not isinstance(op, State):
            continue
        found = writes.get(op.slot, [])
        if len(found) != 1:
            message = f"slot `{op.slot}` of `@{graph.name}` is written {len(found)} times a step"
            faults.append(error("NT0147", message).at(op.where).note("each is written once"))
        elif (given := found[0].value.type.plain()) != op.result.type.plain():
            message = f"slot `{op.slot}` holds `{op.result.type.plain()}`, and is given `{given}`"
            faults.append(error("NT0147", message).at(found[0].where))
    read = {op.slot for op in graph.ops if isinstance(op, State)}
    for slot in writes:
        if slot not in read:
            message = f"slot `{slot}` of `@{graph.name}` is written, but no state reads it"
            faults.append(error("NT0147", message).at(writes[slot][0].where))
    return faults


def _types(graph: Graph) -> list[Diagnostic]:
    faults = []
    for weight in graph.weights.values():
        if weight.data is not None and weight.data.shape != weight.type.shape:
            faults.append(error("NT0143", f"weight `@{weight.name}` is not of its own type"))
    for op in graph.ops:
        try:
            inferred = op.infer()
        except NeutramsError as fault:
            faults += [d.at(op.where) if not d.labels else d for d in fault.diagnostics]
            continue
        types = inferred if isinstance(inferred, tuple) else (inferred,)
        for value, type in zip(op.results, types, strict=True):
            if value.type.plain() != type.plain():
                stated, made = value.type.plain(), type.plain()
                message = f"`%{value.name}` is `{stated}`, but `{op.name}` makes `{made}`"
                faults.append(error("NT0143", message).at(op.where))
            if value.type.range is not None and not value.type.range[0] <= value.type.range[1]:
                faults.append(error("NT0144", f"`%{value.name}` has an empty range").at(op.where))
    return faults
