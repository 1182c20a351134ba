"""The reference interpreter: every op's NumPy meaning, one op at a time. Short, obvious, slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Watch
from neutrams.ir.types import Array, Symbol

__all__ = ["Watch", "bind_inputs", "evaluate", "interpret", "weights_of"]


def interpret(
    graph: Graph, inputs: Mapping[str, Array], *, watch: Watch | None = None
) -> dict[str, Array]:
    """Run a graph on arrays named as its inputs and return its outputs by output name.

    An array no longer needed is freed at once, so peak memory is that of the live values.

    Raises:
        NeutramsError: NT0110, an input is missing, has a wrong shape, or is unknown;
            NT0111, a weight is abstract.
    """
    live: dict[Value, Array] = {**bind_inputs(graph, inputs), **weights_of(graph)}
    reads = Counter(value for op in graph.ops for value in op.present)
    reads.update(graph.outputs)
    if watch is not None:
        for value, array in live.items():
            watch(value, array)
    for op in graph.ops:
        for value, array in zip(op.results, evaluate(op, live, watch), strict=True):
            live[value] = array
            if watch is not None:
                watch(value, array)
        _release(op, reads, live)
    return dict(zip(graph.output_names, (live[v] for v in graph.outputs), strict=True))


def evaluate(op: Op, live: Mapping[Value, Array], watch: Watch | None = None) -> tuple[Array, ...]:
    """Return the results of one op, of exactly the element types it declares.

    Floats are given in C order: NumPy's sums depend on how an array lies in memory, to the last
    bit, and every executor must give the same. ``watch`` is told of values inside the graphs that
    the op calls.
    """
    found = op.watched(watch, *(None if v is None else _in_order(live[v]) for v in op.operands))
    arrays = found if isinstance(found, tuple) else (found,)
    return tuple(
        np.asarray(array, dtype=value.type.dtype.numpy)
        for array, value in zip(arrays, op.results, strict=True)
    )


def _in_order(array: Array) -> Array:
    return np.asarray(array, order="C") if array.dtype.kind == "f" else array


def bind_inputs(graph: Graph, inputs: Mapping[str, Array]) -> dict[Value, Array]:
    """Match arrays to graph inputs and check their shapes against each other."""
    faults = []
    names = [value.name for value in graph.inputs]
    if unknown := [name for name in inputs if name not in names]:
        faults.append(error("NT0110", f"`@{graph.name}` has no input `{unknown[0]}`"))
    sizes: dict[Symbol, int] = {}
    bound = {}
    for value in graph.inputs:
        if value.name not in inputs:
            faults.append(error("NT0110", f"input `{value.name}` of `@{graph.name}` is missing"))
            continue
        array = np.asarray(inputs[value.name])
        if not _fits(value, array, sizes):
            shape = ", ".join(map(str, array.shape))
            message = f"input `{value.name}` is `{value.type.plain()}`, given [{shape}]"
            faults.append(error("NT0110", message))
            continue
        bound[value] = array.astype(value.type.dtype.numpy, copy=False)
    if faults:
        raise NeutramsError(*(f.note("inputs: " + ", ".join(names)) for f in faults))
    return bound


def _fits(value: Value, array: Array, sizes: dict[Symbol, int]) -> bool:
    if array.ndim != value.type.rank:
        return False
    for dim, size in zip(value.type.shape, array.shape, strict=True):
        known = dim if isinstance(dim, int) else sizes.setdefault(dim, size)
        if known != size:
            return False
    return True


def weights_of(graph: Graph) -> dict[Value, Array]:
    """Return the numbers of every weight.

    Raises:
        NeutramsError: NT0111, a weight is abstract.
    """
    found: dict[Value, Array] = {}
    for weight in graph.weights.values():
        if weight.data is None:
            raise NeutramsError(
                error("NT0111", f"weight `@{weight.name}` is abstract, so nothing can run")
                .note("only its shape is known; that serves estimates")
                .help("compile from a model that holds its numbers")
            )
        found[weight] = weight.data
    return found


def _release(op: Op, reads: Counter[Value], live: dict[Value, Array]) -> None:
    for value in op.present:
        reads[value] -= 1
        if not reads[value]:
            live.pop(value, None)
    for value in op.results:
        if not reads[value]:
            live.pop(value, None)
