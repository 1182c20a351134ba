"""The real numbers that integers of a unit graph stand for: a step and a zero for each value.

A unit graph states ratios of steps only. Where floats are quantised or dequantised the step is
known; from there it follows through sums, averages and moves. Steps that nothing fixes are free:
they are set to what the calibrated range of the original value suggests.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.links import Links
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.tensors import Concat, Pad, Reshape, Slice, Split, Transpose
from neutrams.ir.ops.unit import Add, AveragePool, Rescale

_MOVES = (MaxPool, Reshape, Slice, Split, Transpose, Pad)
Edge = tuple[Value, Value, float]
"""The step of the first value is that of the second times a ratio."""


class Grids:
    """Steps and zeros of the integer values of a graph and its cells."""

    def __init__(self, graph: Graph, original: Graph | None = None) -> None:
        self.steps: dict[Value, float] = {}
        self.zeros: dict[Value, int] = {}
        self._original = _ranges(original)
        ops = [op for each in (*graph.cells(), graph) for op in each.ops]
        edges = [edge for op in ops for edge in _edges(op)]
        edges += [(inner, outer, 1.0) for inner, outer in Links.of(graph).sources.items()]
        self._near: dict[Value, list[tuple[Value, float]]] = {}
        for a, b, ratio in edges:
            self._near.setdefault(b, []).append((a, ratio))
            self._near.setdefault(a, []).append((b, 1 / ratio))
        for op in ops:
            self._anchor(op)
        for value in (value for each in (*graph.cells(), graph) for value in each.values()):
            if not value.type.dtype.is_float and value not in self.steps:
                self._spread(value, self._suggested(value))
        self._spread_zeros(edges)

    def _anchor(self, op: Op) -> None:
        match op:
            case Quantize(scale=Weight() as scale) if _single(scale):
                self._spread(op.result, float(_numbers(scale)[0]))
            case Dequantize(scale=Weight() as scale) if _single(scale):
                self._spread(op.x, float(_numbers(scale)[0]))
        match op:
            case Quantize(zero=Weight() as zero) if _single(zero):
                self.zeros[op.result] = int(_numbers(zero)[0])
            case Rescale() | Add() | AveragePool():
                self.zeros[op.result] = op.zero

    def _spread(self, value: Value, step: float) -> None:
        """Give a value a step, and all whose steps follow from it; what is known stays."""
        waiting = [(value, step)]
        while waiting:
            each, size = waiting.pop()
            if each in self.steps or each.type.dtype.is_float:
                continue
            self.steps[each] = size
            waiting += [(other, size * ratio) for other, ratio in self._near.get(each, [])]

    def _spread_zeros(self, edges: list[Edge]) -> None:
        """Moves give their zero on; sums and averages have their own."""
        for made, source, _ in edges:
            if source in self.zeros:
                self.zeros.setdefault(made, self.zeros[source])

    def _suggested(self, value: Value) -> float:
        low, high = self._original.get(value.origin, (0.0, 1.0))
        places = (1 << min(value.type.dtype.bits, 16)) - 1
        return max(high - low, 1e-6) / places


def _edges(op: Op) -> Iterator[Edge]:
    match op:
        case Add():
            yield op.a, op.result, abs(op.a_scale) or 1.0
            yield op.b, op.result, abs(op.b_scale) or 1.0
        case AveragePool():
            yield op.x, op.result, abs(op.scale) or 1.0
        case Concat():
            yield from ((op.result, each, 1.0) for each in op.parts)
        case _ if isinstance(op, _MOVES):
            yield from ((made, op.x, 1.0) for made in op.results)


def _ranges(graph: Graph | None) -> dict[str, tuple[float, float]]:
    """Return the calibrated range of every value of the original network, by name and origin."""
    found: dict[str, tuple[float, float]] = {}
    for value in () if graph is None else graph.values():
        if value.type.range is not None:
            for name in (value.name, value.origin):
                found.setdefault(name, value.type.range)
    return found


def _single(weight: Weight) -> bool:
    return weight.data is not None and weight.data.size == 1


def _numbers(weight: Weight) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    assert weight.data is not None
    return weight.data.reshape(-1).astype(np.float64)
