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

    It begins where ``is_source`` says so, where another kind of op makes the value, or where
    several values meet. ``None`` where ``result`` is such a value itself.
    """
    begins: dict[Value, Value] = {}

    def beginning(value: Value) -> Value:
        if value not in begins:
            begins[value] = _beginning(value)
        return begins[value]

    def _beginning(value: Value) -> Value:
        if is_source(value) or not elementwise(value.op, result):
            return value
        assert value.op is not None
        found = {beginning(x): None for x in value.op.present if not isinstance(x, Weight)}
        return next(iter(found)) if len(found) == 1 else value

    source = beginning(result)
    if source is result:
        return None
    ops = _between(source, result)
    return None if len(ops) > LIMIT else Cone(source, ops, result)


def _between(source: Value, result: Value) -> tuple[Op, ...]:
    """Return the ops that make ``result`` from ``source``, operands first."""
    found: dict[Op, None] = {}

    def visit(value: Value) -> None:
        if value is source or isinstance(value, Weight) or value.op in found:
            return
        assert value.op is not None
        for operand in value.op.present:
            visit(operand)
        found[value.op] = None

    visit(result)
    return tuple(found)


def elementwise(op: Op | None, like: Value) -> bool:
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
