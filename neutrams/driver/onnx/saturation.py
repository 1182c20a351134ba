"""How float32 numbers become integers within bounds."""

from __future__ import annotations

from neutrams.driver.onnx.emitter import Emitter
from neutrams.ir.types import DType


def saturated(
    emit: Emitter, x: str, *, zero: int, low: int, high: int, dtype: DType, work: DType = DType.F32
) -> str:
    """Write ``clip(rint(x) + zero, low, high)`` of a float tensor of type ``work``."""
    rounded = emit.add("Round", x)
    if zero:
        rounded = emit.add("Add", rounded, emit.scalar(zero, work))
    held = emit.add("Clip", rounded, emit.scalar(low, work), emit.scalar(high, work))
    return emit.cast(held, work, dtype)
