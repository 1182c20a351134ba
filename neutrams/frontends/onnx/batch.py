"""Frees a model that was exported for one sample from its batch of one, where that is provable."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from onnx import ModelProto

from neutrams.frontends.onnx.importer import ImportOptions, import_graph
from neutrams.frontends.onnx.inputs import BATCH
from neutrams.ir.batching import Obstacle, batch_axes
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.types import Array, Dim, DType, Symbol, TensorType, bind

TRIES = 16
"""Ways to choose batch axes that are tried before giving up."""


def import_batched(
    model: ModelProto, options: ImportOptions | None = None
) -> tuple[Graph, Diagnostic]:
    """Import a model, with a symbolic batch where it treats samples independently.

    A model exported for one sample is imported again with the symbol ``N`` in place of the ones.
    That graph is taken if it is the same as the first for ``N = 1`` and computes each sample by
    itself (:func:`batch_axes`); otherwise the model stays as exported, one sample a run.

    Returns:
        The graph, and a note that says what became of the batch and why.

    Raises:
        NeutramsError: as :func:`import_graph`.
    """
    options = options or ImportOptions()
    graph = import_graph(model, options)
    where = Place(options.file or "(memory)")
    symbols = sorted({n for v in graph.inputs for d in v.type.shape for n in _names(d)})
    if symbols:
        return graph, _note(_judge(graph, symbols), where)
    reason = "no input has an axis of size 1 for every sample"
    for batch in itertools.islice(_choices(graph), TRIES):
        try:
            general = import_graph(model, replace(options, batch=batch))
        except NeutramsError as fault:
            reason = f"with a batch, {fault.diagnostics[0].message}"
            continue
        found = batch_axes(general, BATCH)
        if isinstance(found, Obstacle):
            reason = str(found)
        elif not same_for(general, graph, {BATCH: 1}):
            reason = "with a batch, it would be another network"
        elif not all(value in found for value in general.outputs):
            reason = "an output does not depend on the inputs"
        else:
            return general, _note(
                f"the batch of 1 became `{BATCH}`: samples are independent", where
            )
    return graph, _note(f"the batch stays 1, so samples run one by one: {reason}", where)


def same_for(general: Graph, plain: Graph, sizes: Mapping[str, int]) -> bool:
    """Say whether two graphs are the same network once symbols have sizes."""
    numbers = {}
    for graph in (general, plain):
        made = [*graph.inputs, *(value for op in graph.ops for value in op.results)]
        numbers.update({value: index for index, value in enumerate(made)})
    same = _Same(numbers, dict(sizes))
    return (
        len(general.ops) == len(plain.ops)
        and len(general.outputs) == len(plain.outputs)
        and all(map(same.values, general.inputs, plain.inputs))
        and all(map(same.ops, general.ops, plain.ops))
        and all(map(same.values, general.outputs, plain.outputs))
    )


class _Same:
    """Compares parts of two graphs by position, not by name."""

    def __init__(self, numbers: Mapping[Value, int], sizes: dict[str, int]) -> None:
        self.numbers = numbers
        self.sizes = sizes

    def ops(self, a: Op, b: Op) -> bool:
        return (
            type(a) is type(b)
            and len(a.operands) == len(b.operands)
            and all(map(self.values, a.operands, b.operands))
            and all(map(self.types, (v.type for v in a.results), (v.type for v in b.results)))
            and all(map(self.attributes, a.attributes().values(), b.attributes().values()))
        )

    def values(self, a: Value | None, b: Value | None) -> bool:
        if a is None or b is None:
            return a is b
        if isinstance(a, Weight) and isinstance(b, Weight):
            return _equal(a.data, b.data)
        return self.numbers.get(a) == self.numbers.get(b) and self.types(a.type, b.type)

    def types(self, a: TensorType, b: TensorType) -> bool:
        return a.dtype is b.dtype and self.shape(a.shape) == self.shape(b.shape)

    def attributes(self, a: object, b: object) -> bool:
        if isinstance(a, tuple) and isinstance(b, tuple):
            return len(a) == len(b) and all(map(self.attributes, a, b))
        if isinstance(a, Symbol):
            a = bind(a, self.sizes)
        return a == b or (a != a and b != b)

    def shape(self, shape: tuple[Dim, ...]) -> tuple[int, ...]:
        return tuple(bind(d, self.sizes) for d in shape)


def _equal(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    exact = DType.of(a.dtype).is_float
    return a.dtype == b.dtype and bool(np.array_equal(a, b, equal_nan=exact))


def _choices(graph: Graph) -> Iterator[dict[str, int]]:
    """Every way to give each input that has axes a batch axis; leading axes come first."""
    tensors = [value for value in graph.inputs if value.type.rank]
    ones = [[i for i, d in enumerate(v.type.shape) if d == 1] for v in tensors]
    if not tensors or not all(ones):
        return
    for axes in sorted(itertools.product(*ones), key=lambda axes: (sum(axes), axes)):
        yield {value.name: axis for value, axis in zip(tensors, axes, strict=True)}


def _judge(graph: Graph, symbols: list[str]) -> str:
    reasons = []
    for name in symbols:
        found = batch_axes(graph, name)
        shown = (
            f"not a batch: {found}"
            if isinstance(found, Obstacle)
            else "a batch: samples are independent"
        )
        reasons.append(f"`{name}` is {shown}")
    return "; ".join(reasons)


def _names(dim: Dim) -> tuple[str, ...]:
    return dim.names if isinstance(dim, Symbol) else ()


def _note(message: str, where: Place) -> Diagnostic:
    return Diagnostic("note", "NT0618", message).at(where)
