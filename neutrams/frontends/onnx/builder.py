"""Adds ops to the graph being imported, and computes at once what is known at once."""

from __future__ import annotations

import numpy as np

from neutrams.frontends.onnx.dequantised import moved_before
from neutrams.frontends.onnx.limits import ImportLimits
from neutrams.frontends.onnx.shapes import shape_value
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.types import Array, Dim, TensorType, product

KEPT = frozenset({"nn.dequantize"})
"""Ops of constants that stay, so that the integers of a quantised model survive."""


class Builder:
    """The graph under construction, with what is known of its values while compiling."""

    def __init__(
        self, graph: Graph, *, limits: ImportLimits | None = None, batch: str = ""
    ) -> None:
        self.graph = graph
        self.batch = batch
        """The symbol that replaces a batch of one; reshapes written for one sample carry it on."""
        self.limits = limits or ImportLimits()
        self.where: Place | None = None
        """The node being imported; ops added are located there."""
        self.hint = ""
        """Prefix of the names of constants made for that node."""
        self._folded = 0
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
            self.check_size(value.type, self.where)
        if op.name not in KEPT and all(isinstance(v, Weight) for v in op.present):
            return self._fold(op)
        if (moved := moved_before(op, self.add)) is not None:
            return self.add_all(moved)
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
        if any(
            a is None and v is not None for a, v in zip(operands, value.op.operands, strict=True)
        ):
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

    def check_size(self, type: TensorType, where: Place | None) -> None:
        """Refuse a value that could not be held; symbols count as 1.

        Raises:
            NeutramsError: NT0604.
        """
        elements = product(d if isinstance(d, int) else d.factor for d in type.shape)
        assert isinstance(elements, int)
        size = elements * type.dtype.bits // 8
        if size > self.limits.memory_bytes:
            raise NeutramsError(
                error("NT0604", f"a value of type `{type}` takes {size} bytes")
                .at(where)
                .note(f"a value may take {self.limits.memory_bytes} bytes")
            )

    def _fold(self, op: Op) -> tuple[Value, ...]:
        weights = [v for v in op.operands if isinstance(v, Weight)]
        if any(weight.data is None for weight in weights):
            self.graph.insert(op)
            return op.results
        self._charge(op, weights)
        data = [v.data if isinstance(v, Weight) else None for v in op.operands]
        try:
            with np.errstate(all="ignore"):
                made = op.evaluate(*data)
        except (ValueError, IndexError, OverflowError) as fault:
            raise op.fault("NT0610", f"cannot be computed on these constants: {fault}") from None
        arrays = made if isinstance(made, tuple) else (made,)
        largest = max(weights, key=lambda w: w.data.size if w.data is not None else 0, default=None)
        return tuple(
            self._folded_weight(np.asarray(array, value.type.dtype.numpy), largest)
            for array, value in zip(arrays, op.results, strict=True)
        )

    def _folded_weight(self, array: Array, largest: Weight | None) -> Weight:
        """Return a weight named after the one it was made from, such as a transposed matrix."""
        if largest is None or array.size == 1 or not largest.origin:
            return self.constant(array)
        weight = self.graph.weight(largest.name, array)
        weight.origin = largest.origin
        return weight

    def _charge(self, op: Op, weights: list[Weight]) -> None:
        made = sum(_bytes(value.type) for value in op.results)
        self._folded += max(0, made - sum(_bytes(weight.type) for weight in weights))
        if self._folded > self.limits.folded_bytes:
            raise NeutramsError(
                error("NT0604", f"constants computed while compiling take {self._folded} bytes")
                .at(self.where)
                .note(f"they may take {self.limits.folded_bytes} bytes")
            )


def _bytes(type: TensorType) -> int:
    sizes = [d for d in type.shape if isinstance(d, int)]
    return int(np.prod(sizes, dtype=object)) * type.dtype.bits // 8
