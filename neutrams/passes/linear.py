"""Convolutions and matrix products with constant weights, seen alike: what maps onto crossbars."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.products import Matmul
from neutrams.ir.types import Array
from neutrams.passes.match import constant, located, name_of

LinearOp = Conv | ConvTranspose | Matmul


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A float op ``y = w · x + b`` whose ``w`` and ``b`` are known.

    Factors and offsets are given in float64, so that weights are rounded once, by ``build``.
    """

    op: LinearOp
    w: Array
    b: Array | None
    """``[neurons]``; always absent in a matrix product."""

    @property
    def x(self) -> Value:
        return self.op.a if isinstance(self.op, Matmul) else self.op.x

    @property
    def axis(self) -> int:
        """Axis of the result along which the neurons lie."""
        return self.op.result.type.rank - 1 if isinstance(self.op, Matmul) else 1

    @property
    def neurons(self) -> int:
        match self.op:
            case Matmul():
                return int(self.w.shape[1])
            case Conv():
                return len(self.w)
            case ConvTranspose(groups=groups):
                return int(self.w.shape[1]) * groups

    @property
    def inputs(self) -> int:
        """Channels of ``x``."""
        groups = self.op.groups if isinstance(self.op, Conv) else 1
        return int(self.w.shape[1]) * groups if isinstance(self.op, Conv) else len(self.w)

    @property
    def input_axis(self) -> int:
        return self.x.type.rank - 1 if isinstance(self.op, Matmul) else 1

    @property
    def padded(self) -> bool:
        """Whether some window reads zeros around ``x``, or some output fewer inputs than others."""
        return not isinstance(self.op, Matmul) and (
            any(self.op.pads) or isinstance(self.op, ConvTranspose)
        )

    def outputs_scaled(self, factor: Array) -> Linear:
        """Return ``factor · y``; ``factor`` is ``[neurons]``."""
        bias = None if self.b is None else self.b * factor
        return replace(self, w=self.w * self._by_neuron(factor), b=bias)

    def inputs_scaled(self, factor: Array) -> Linear:
        """Return ``w · (factor · x) + b``; ``factor`` is ``[inputs]``."""
        return replace(self, w=self.w * self._by_input(factor))

    def shift_of(self, offset: Array) -> Array:
        """Return ``[neurons]`` ``w · offset`` for a constant input; only where not ``padded``."""
        spread = self.w * self._by_input(offset)
        if isinstance(self.op, Matmul):
            return np.asarray(spread.sum(axis=0))
        return np.asarray(spread.sum(axis=tuple(range(1, spread.ndim))))

    def shifted(self, offset: Array) -> Linear:
        """Return ``y + offset``; not for a matrix product, which has no bias."""
        return replace(self, b=offset if self.b is None else self.b + offset)

    def build(self, graph: Graph, x: Value | None = None) -> Op:
        """Return a new op with these weights, which are added to the graph; it reads ``x``."""
        source = self.x if x is None else x
        dtype = source.type.dtype.numpy
        old = self.op.b if isinstance(self.op, Matmul) else self.op.w
        w = graph.weight(name_of(graph, old, self.op), self.w.astype(dtype))
        if isinstance(self.op, Matmul):
            return located(replace(self.op, a=source, b=w), self.op)
        before = self.op.b
        bias = before
        if self.b is not None:
            name = f"{w.name}.bias" if before is None else name_of(graph, before, self.op)
            bias = graph.weight(name, self.b.astype(dtype))
        return located(replace(self.op, x=source, w=w, b=bias), self.op)

    def _by_neuron(self, vector: Array) -> Array:
        match self.op:
            case Matmul():
                return vector[None, :]
            case Conv():
                return vector.reshape(-1, *(1,) * (self.w.ndim - 1))
            case ConvTranspose(groups=groups):
                each = np.repeat(vector.reshape(groups, -1), len(self.w) // groups, axis=0)
                return each.reshape(*each.shape, *(1,) * (self.w.ndim - 2))

    def _by_input(self, vector: Array) -> Array:
        if not isinstance(self.op, Conv):
            return vector.reshape(-1, *(1,) * (self.w.ndim - 1))
        each = np.repeat(vector.reshape(self.op.groups, -1), len(self.w) // self.op.groups, axis=0)
        return each.reshape(*each.shape, *(1,) * (self.w.ndim - 2))


def linear(op: Op | None) -> Linear | None:
    """Return an op as a :class:`Linear`; ``None`` where it is none, or not constant."""
    if not isinstance(op, Conv | ConvTranspose | Matmul) or not op.result.type.dtype.is_float:
        return None
    if isinstance(op, Matmul):
        w = constant(op.b)
        fits = w is not None and w.ndim == 2
        return Linear(op, w, None) if w is not None and fits else None
    w, b = constant(op.w), constant(op.b)
    if w is None or (op.b is not None and b is None):
        return None
    return Linear(op, w, b)
