"""Adds ops to the graph being imported, and computes at once what is known at once."""

from __future__ import annotations

import numpy as np

from neutrams.frontends.onnx.shapes import shape_value
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.types import Array, Dim, TensorType

KEPT = frozenset({"nn.dequantize"})
"""Ops of constants that stay, so that the integers of a quantised model survive."""


class Builder:
    """The graph under construction, with what is known of its values while compiling."""

    def __init__(self, graph: Graph, *, memory_limit: int = 1 << 33) -> None:
        self.graph = graph
        self.memory_limit = memory_limit
        """Most bytes one value may have."""
        self.where: Place | None = None
        """The node being imported; ops added are located there."""
        self.hint = ""
        """Prefix of the names of constants made for that node."""
        self._dims: dict[Value, Array] = {}

    def add(self, op: Op) -> Value:
        """Add an op and return its first result, a :class:`Weight` where it is constant."""
        return self.add_all(op)[0]

    def add_all(self, op: Op) -> tuple[Value, ...]:
        """Add an op and return its results; it is evaluated at once if all it reads is constant.

        Raises:
            NeutramsError: NT0604, a result would be larger than memory allows.
        """
        op.where = op.where or self.where
        for value in op.results:
            self._check_size(value.type)
        if op.name not in KEPT and all(isinstance(v, Weight) for v in op.present):
            return self._fold(op)
        dims = shape_value(op, [None if v is None else self._known(v) for v in op.operands])
        if dims is not None and all(isinstance(d, int) for d in dims.flat):
            return (self.constant(dims.astype(op.result.type.dtype.numpy)),)
        self.graph.insert(op)
        if dims is not None:
            self._dims[op.result] = dims
        return op.results

    def constant(self, array: Array | float | bool, name: str = "") -> Weight:
        """Return a weight that holds ``array``; pass a typed array, Python numbers are 64 bit."""
        return self.graph.weight(name or f"{self.hint or 'constant'}.const", np.asarray(array))

    def const_of(self, value: Value) -> Array | None:
        """Return what ``value`` holds if it is known now, looking through dequantisation."""
        if isinstance(value, Weight):
            return value.data
        if value.op is None or value.op.name not in KEPT:
            return None
        operands = [None if v is None else self.const_of(v) for v in value.op.operands]
        if any(a is None and v is not None for a, v in zip(operands, value.op.operands)):
            return None
        return np.asarray(value.op.evaluate(*operands))

    def dims_of(self, value: Value) -> tuple[Dim, ...] | None:
        """Return the integers of a scalar or vector, symbols among them; ``None`` if not known."""
        known = self._known(value)
        if known is None or known.ndim > 1:
            return None
        return tuple(d if not isinstance(d, np.integer) else int(d) for d in known.flat)

    def _known(self, value: Value) -> Array | None:
        """Return a small integer tensor as an array of dimensions, if it is known."""
        if value in self._dims:
            return self._dims[value]
        if isinstance(value, Weight) and value.data is not None and value.data.size <= 4096:
            return value.data.astype(object) if value.data.dtype.kind in "iub" else None
        return None

    def _fold(self, op: Op) -> tuple[Value, ...]:
        data = [v.data if isinstance(v, Weight) else None for v in op.operands]
        if any(a is None and v is not None for a, v in zip(data, op.operands)):
            self.graph.insert(op)
            return op.results
        with np.errstate(all="ignore"):
            made = op.evaluate(*data)
        arrays = made if isinstance(made, tuple) else (made,)
        return tuple(self.constant(array) for array in arrays)

    def _check_size(self, type: TensorType) -> None:
        dims = [d for d in type.shape if isinstance(d, int)]
        size = type.dtype.bits // 8
        for dim in dims:
            size *= dim
        if size <= self.memory_limit:
            return
        raise NeutramsError(
            error("NT0604", f"a value of type `{type}` takes {size} bytes")
            .at(self.where)
            .note(f"a value may take {self.memory_limit} bytes")
        )
