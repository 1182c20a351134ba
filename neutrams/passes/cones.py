"""Element-wise functions of one value, however many ops they are written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.types import Array
from neutrams.passes.match import constant, floats

LIMIT = 64
"""Most ops in a cone; a longer one is no activation function."""


@dataclass(frozen=True, slots=True, eq=False)
class Cone:
    """Ops, in order of evaluation, that make ``result`` element by element from ``source``."""

    source: Value
    ops: tuple[Op, ...]
    result: Value

    def evaluate(self, x: Array) -> Array:
        """Return the function at ``x``, in the type of the result."""
        live: dict[Value, Array] = {self.source: x}
        for op in self.ops:
            arrays = [
                None if v is None else live[v] if v in live else _number(v) for v in op.operands
            ]
            with np.errstate(all="ignore"):
                found = op.evaluate(*arrays)
            live[op.results[0]] = np.asarray(found, op.results[0].type.dtype.numpy)
        return live[self.result]


def cone(result: Value, is_source: Callable[[Value], bool]) -> Cone | None:
    """Return the largest cone that ends in ``result`` and begins at one value.

    It begins at a value that is a source, or that no element-wise op makes. ``None`` where
    ``result`` depends on two such values, or is one itself.
    """
    ops: dict[Op, None] = {}
    sources: dict[Value, None] = {}

    def visit(value: Value) -> None:
        if isinstance(value, Weight) or value in sources:
            return
        if is_source(value) or not _elementwise(value.op, result):
            sources[value] = None
            return
        assert value.op is not None
        if value.op in ops or len(ops) > LIMIT:
            return
        for operand in value.op.present:
            visit(operand)
        ops[value.op] = None

    visit(result)
    found = list(sources)
    if len(found) != 1 or found[0] is result or len(ops) > LIMIT:
        return None
    return Cone(found[0], tuple(ops), result)


def _elementwise(op: Op | None, like: Value) -> bool:
    """Whether an op maps element to element, all other operands being single numbers."""
    if op is None or not op.name.startswith("nn.") or isinstance(op, Quantize | Dequantize):
        return False
    mixed = op.mixes()
    if mixed is None or any(mixed) or len(op.results) != 1:
        return False
    if op.results[0].type.shape != like.type.shape or not floats(op.results[0]):
        return False
    return all(
        _is_number(value) if isinstance(value, Weight) else value.type.shape == like.type.shape
        for value in op.present
    )


def _is_number(value: Value) -> bool:
    data = constant(value)
    return data is not None and data.size == 1


def _number(value: Value) -> Array:
    data = constant(value)
    assert data is not None, "a cone reads constants and its source only"
    return data.reshape(())
