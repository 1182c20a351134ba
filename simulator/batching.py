"""How samples become batches: what inputs must look like, and how many fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.time import step_symbols
from neutrams.ir.types import Array, Symbol, TensorType, bind, symbol

_BATCH_BYTES = 96 << 20
"""Memory for the values of one batch; smaller batches cost speed, larger ones memory."""
_LARGEST = 1024


@dataclass(frozen=True, slots=True)
class Batching:
    """How the samples of a graph are counted.

    A graph with a symbolic leading size takes any number of samples at once. One with a fixed
    leading size takes exactly that many, and is run as often as needed. Sizes that count the steps
    of a run are of one sample: a batch is then symbolic on another axis, or a run is one sample.
    """

    name: str
    """The symbol of the batch; empty where the graph's size is fixed."""
    fixed: int
    """Samples of one run where the size is fixed; else 0."""
    sizes: dict[str, int]
    """What every symbol but the batch stands for."""

    @property
    def each(self) -> int:
        """Samples that one inference stands for: 1, or the fixed batch."""
        return self.fixed or 1

    def one(self) -> dict[str, int]:
        """Return the size of every symbol in one inference."""
        return {**self.sizes, self.name: 1} if self.name else dict(self.sizes)

    def carries(self, type: TensorType) -> int | None:
        """Return the axis along which a value holds the samples, if it does."""
        for axis, dim in enumerate(type.shape):
            if isinstance(dim, Symbol) and self.name in dim.names:
                return axis
        return None


def batching(graph: Graph, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Batching:
    """Find out how a graph counts samples; ``shapes`` of inputs tell the other symbols' sizes.

    Without shapes every symbol stands for 1.
    """
    steps = step_symbols(graph)
    leading = [v.type.shape[0] for v in graph.inputs if v.type.rank]
    inner = [dim for v in graph.inputs for dim in v.type.shape[1:]] if steps else []
    symbols = [dim.names[0] for dim in (*leading, *inner) if isinstance(dim, Symbol)]
    name = next((name for name in symbols if name not in steps), "")
    fixed = 0 if name else next((dim for dim in leading if isinstance(dim, int)), 1)
    sizes: dict[str, int] = {}
    for value in graph.values():
        for axis, dim in enumerate(value.type.shape):
            if not isinstance(dim, Symbol):
                continue
            for part in dim.names:
                sizes.setdefault(part, 1)
            given = (shapes or {}).get(value.name)
            if given is not None and dim == symbol(dim.names[0]):
                sizes[dim.names[0]] = given[axis]
    sizes.pop(name, None)
    return Batching(name, fixed, sizes)


def checked(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the inputs as arrays of the graph's element types, in its order.

    Raises:
        NeutramsError: NT0521, an array is missing; NT0522, a shape does not fit; NT0523, an
            element type does not; NT0524, there is no sample. Every fault at once.
    """
    faults: list[Diagnostic] = []
    found: dict[str, Array] = {}
    sizes: dict[Symbol, int] = {}
    for value in graph.inputs:
        if value.name not in inputs:
            faults.append(
                error("NT0521", f"no array for input `{value.name}`").note(
                    "given: " + (", ".join(f"`{name}`" for name in inputs) or "nothing")
                )
            )
            continue
        array = np.asarray(inputs[value.name])
        if (fault := _fault(value, array, sizes)) is not None:
            faults.append(fault)
            continue
        found[value.name] = array.astype(value.type.dtype.numpy, copy=False)
    if faults:
        raise NeutramsError(*faults)
    return found


def batch_size(graph: Graph, how: Batching) -> int:
    """Return how many samples to run at once so that their values fit in memory."""
    if how.fixed:
        return how.fixed
    sizes = how.one()
    live = 1
    for op in graph.ops:
        values = [*(v for v in op.present if how.carries(v.type) is not None), *op.results]
        live = max(live, sum(_bytes(v, sizes) for v in values))
    return int(min(max(_BATCH_BYTES // live, 1), _LARGEST))


def batches(
    graph: Graph, inputs: Mapping[str, Array], how: Batching, size: int
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Yield the samples in turn, and how many of them count; a last fixed batch is filled up."""
    total = count(graph, inputs, how)
    for low in range(0, total, size):
        real = min(size, total - low)
        yield real, {v.name: _part(v, inputs[v.name], how, low, real) for v in graph.inputs}


def count(graph: Graph, inputs: Mapping[str, Array], how: Batching) -> int:
    """Return the number of samples in the inputs."""
    for value in graph.inputs:
        axis = _fixed_axis(value) if how.fixed else how.carries(value.type)
        if axis is not None:
            return len(inputs[value.name]) if axis == 0 else inputs[value.name].shape[axis]
    return 1


def _part(value: Value, array: Array, how: Batching, low: int, real: int) -> Array:
    """Return one batch of an input; an input without samples is shared by all batches."""
    if not how.fixed:
        axis = how.carries(value.type)
        if axis is None:
            return array
        return array[(slice(None),) * axis + (slice(low, low + real),)]
    if _fixed_axis(value) is None or value.type.shape[0] == len(array):
        return array
    places = np.arange(low, low + how.fixed).clip(max=len(array) - 1)
    return np.take(array, places, axis=0)


def _fixed_axis(value: Value) -> int | None:
    """Return the axis of the samples of a fixed batch; a sequence has none."""
    return 0 if value.type.rank and isinstance(value.type.shape[0], int) else None


def _fault(value: Value, array: Array, sizes: dict[Symbol, int]) -> Diagnostic | None:
    name, type = value.name, value.type.plain()
    given = f"`{name}` is `{type}`, given {array.dtype}[{', '.join(map(str, array.shape))}]"
    if not array.size:
        return error("NT0524", f"the array for input `{name}` is empty").note(given)
    fits = array.ndim == type.rank
    for axis, (dim, size) in enumerate(zip(type.shape, array.shape, strict=False)):
        if isinstance(dim, Symbol):
            fits = fits and sizes.setdefault(dim, size) == size
        elif axis:
            fits = fits and dim == size
    if not fits:
        return error("NT0522", f"the array for input `{name}` has the wrong shape").note(given)
    if not np.can_cast(array.dtype, type.dtype.numpy, casting="same_kind"):
        return error("NT0523", f"the array for input `{name}` has the wrong element type").note(
            given
        )
    return None


def _bytes(value: Value, sizes: dict[str, int]) -> int:
    return bind(value.type.elements, sizes) * value.type.dtype.numpy.itemsize
