"""Cut calibration data into batches that a graph takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.time import step_symbols
from neutrams.ir.types import Array, Symbol

LONGEST = 4096
"""Steps of a sequence without end that are read, at least."""


def batches(
    graph: Graph, data: Mapping[str, Array], *, limit: int, size: int = 32
) -> Iterator[dict[str, Array]]:
    """Yield up to ``limit`` samples, ``size`` or what a fixed batch asks for at a time.

    An input that has no sample axis (a scalar, or an array of exactly its static shape beside
    inputs that have more samples) is repeated. A rest that does not fill a fixed batch is left.
    Where the first axis counts the steps of a run, it is one sequence, and stays one: of up to
    ``LONGEST`` steps, or ``limit`` if that is more.

    Raises:
        NeutramsError: NT0208, an input is missing, mis-shaped, empty or not finite, or the data
            names an input that the graph does not have.
    """
    arrays = _checked(graph, data)
    sampled = [v for v in graph.inputs if _has_samples(v, arrays[v.name])]
    fixed = _fixed_batch(sampled)
    step = fixed or size
    if is_sequence(graph):
        step = limit = max(limit, LONGEST)
    count = min([limit, *(len(arrays[v.name]) for v in sampled)]) if sampled else step
    if fixed:
        count = max(count - count % fixed, fixed)
    for start in range(0, count, step):
        stop = min(start + step, count)
        yield {
            v.name: arrays[v.name][start:stop] if v in sampled else arrays[v.name]
            for v in graph.inputs
        }


def first(graph: Graph, data: Mapping[str, Array], *, limit: int) -> dict[str, Array]:
    """Return up to ``limit`` samples in one piece; what fills whole batches where those are fixed.

    One sequence is cut as by :func:`batches`.

    Raises:
        NeutramsError: NT0208, as for :func:`batches`.
    """
    arrays = _checked(graph, data)
    sampled = [v for v in graph.inputs if _has_samples(v, arrays[v.name])]
    if not sampled:
        return arrays
    fixed = _fixed_batch(sampled) or 1
    if is_sequence(graph):
        limit = max(limit, LONGEST)
    count = min([limit, *(len(arrays[v.name]) for v in sampled)])
    cut = slice(max(count - count % fixed, fixed))
    return {**arrays, **{v.name: arrays[v.name][cut] for v in sampled}}


def is_sequence(graph: Graph) -> bool:
    """Whether what lies along the first axis are the steps of one sequence, not samples."""
    steps = step_symbols(graph)
    firsts = (value.type.shape[0] for value in graph.inputs if value.type.rank)
    return any(isinstance(dim, Symbol) and steps & set(dim.names) for dim in firsts)


def _has_samples(value: Value, array: Array) -> bool:
    return value.type.rank > 0 and array.shape != value.type.shape


def _fixed_batch(sampled: list[Value]) -> int:
    """Return the batch size that inputs insist on; 0 where they take any."""
    firsts = (value.type.shape[0] for value in sampled)
    return next((dim for dim in firsts if isinstance(dim, int)), 0)


def _checked(graph: Graph, data: Mapping[str, Array]) -> dict[str, Array]:
    names = [value.name for value in graph.inputs]
    faults = [
        _fault(f"the graph has no input `{name}`", f"its inputs: {', '.join(names)}")
        for name in data
        if name not in names
    ]
    arrays: dict[str, Array] = {}
    for value in graph.inputs:
        if value.name not in data:
            faults.append(_fault(f"input `{value.name}` has no calibration data"))
            continue
        arrays[value.name] = array = np.asarray(data[value.name])
        if reason := _misfit(value, array):
            faults.append(_fault(f"calibration data of input `{value.name}` {reason}"))
    if faults:
        raise NeutramsError(*faults)
    counts = {v.name: len(arrays[v.name]) for v in graph.inputs if _has_samples(v, arrays[v.name])}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"`{name}` {count}" for name, count in counts.items())
        raise NeutramsError(_fault("inputs differ in how many samples they have", shown))
    return arrays


def _misfit(value: Value, array: Array) -> str:
    """Return why an array does not serve an input; empty where it does."""
    if array.dtype.kind not in "fiub":
        return f"holds no numbers but `{array.dtype}`"
    if not array.size:
        return "is empty"
    if array.shape == value.type.shape:
        pass
    elif array.ndim != value.type.rank or not _same_sample(value, array):
        return f"has shape {_show(array.shape)}, but the input is `{value.type.plain()}`"
    elif isinstance(value.type.shape[0], int) and len(array) < value.type.shape[0]:
        return f"holds {len(array)} samples, fewer than the {value.type.shape[0]} of one run"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return "holds NaN or infinite numbers"
    return ""


def _same_sample(value: Value, array: Array) -> bool:
    pairs = zip(value.type.shape[1:], array.shape[1:], strict=True)
    return all(isinstance(dim, Symbol) or dim == size for dim, size in pairs)


def _fault(message: str, note: str = "") -> Diagnostic:
    fault = error("NT0208", message)
    fault = fault.note(note) if note else fault
    return fault.help("give one array an input, with the samples along the first axis")


def _show(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
