"""Rules of ops that ONNX has one operator for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neutrams.driver.onnx.emitter import Emitter, rule
from neutrams.driver.onnx.widths import computed_in
from neutrams.ir.op import Op

Attributes = Callable[[Any], dict[str, Any]]


def same(kind: type[Op], op_type: str, attributes: Attributes | None = None) -> None:
    """Register an op as the operator that reads the same operands in the same order.

    Where onnxruntime has no kernel for the element type, a wider one computes the same numbers.
    """

    def write(op: Op, emit: Emitter) -> str:
        given = attributes(op) if attributes is not None else {}
        return node(op, emit, op_type, **given)

    rule(kind)(write)


def node(op: Op, emit: Emitter, op_type: str, *more: str, **attributes: Any) -> str:
    """Write one operator over all operands of an op, and ``more`` inputs behind them."""
    first = next(op.present).type.dtype
    work = computed_in(op_type, first)
    read = [
        ""
        if value is None
        else emit.cast(emit[value], first, work)
        if value.type.dtype is first
        else emit[value]
        for value in op.operands
    ]
    made = emit.add(op_type, *read, *more, **attributes)
    return emit.cast(made, work, first) if op.result.type.dtype is first else made
