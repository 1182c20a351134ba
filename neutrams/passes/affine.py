"""The affine map between the integers a chip holds and the real numbers they stand for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, log2

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.elementwise import Where
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.quantization import Quantize as QuantizeOp
from neutrams.ir.ranges import stated_range
from neutrams.ir.types import Array, DType
from neutrams.passes.match import constant

Codes = tuple[int, int]
"""The least and the largest integer."""


CLIPPED = 0.5 - log2(1.2)
"""A power of two may cover ``1 / 1.2`` of a range; where it covers less, the next one is taken."""


def narrowest(low: int, high: int) -> DType:
    """Return the narrowest type of some integers, unsigned where none is below 0."""
    kinds = (DType.U8, DType.U16, DType.U32) if low >= 0 else (DType.I8, DType.I16, DType.I32)
    held = (
        kind
        for kind in kinds
        if np.iinfo(kind.numpy).min <= low and high <= np.iinfo(kind.numpy).max
    )
    return next(held)


@dataclass(frozen=True, slots=True)
class Affine:
    """``real = scale · (integer - zero)`` for integers in ``[low, high]``; one map per tensor."""

    scale: float
    """Exactly a float32."""
    zero: int
    low: int
    high: int
    dtype: DType

    @staticmethod
    def of_range(low: float, high: float, *, bits: int) -> Affine:
        """Return the unsigned map of ``bits`` that covers a range and 0, which it holds exactly."""
        return Affine.onto(low, high, codes=(0, 2**bits - 1))

    @staticmethod
    def onto(
        low: float, high: float, *, codes: Codes, centred: bool = False, power_of_two: bool = False
    ) -> Affine:
        """Return the map of some codes that covers a range and 0, which it holds exactly.

        ``centred`` wants code 0 to stand for 0, if codes below it exist or the range needs none.
        ``power_of_two`` wants such a scale: the nearest one, so that ends may be clipped a little.
        """
        low, high, (least, most) = min(low, 0.0), max(high, 0.0), codes
        if centred and (least < 0 or low == 0.0):
            scale = np.float32(max(high / most, low / least if least else 0.0))
        else:
            centred, scale = False, np.float32((high - low) / (most - least))
        if not np.isfinite(scale) or scale < 1e-20:
            scale = np.float32(1.0)
        if power_of_two:
            scale = np.float32(2.0 ** np.rint(np.log2(scale) + CLIPPED))
        zero = 0 if centred else int(np.clip(np.rint(least - low / float(scale)), least, most))
        return Affine(float(scale), zero, least, most, narrowest(least, most))

    @property
    def constants(self) -> tuple[Array, Array]:
        """The scale and zero as operands of quantise and dequantise ops."""
        zero = np.array(self.zero, self.dtype.numpy)
        return np.array(self.scale, np.float32), zero

    def held_within(self, low: float, high: float) -> Affine:
        """Return the map whose integers stand for numbers within ``[low, high]`` only.

        Quantising never swaps two numbers, so clipping before it equals clipping after it.
        """
        least = self.low if low == -inf else self._place(low)
        most = self.high if high == inf else self._place(high)
        return replace(self, low=least, high=most)

    def _place(self, x: float) -> int:
        place = np.rint(np.float32(x) / np.float32(self.scale)) + self.zero
        return int(np.clip(place, self.low, self.high))


@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """A float value that is known as integers: ``scale · (ints - zero)``, along ``axis``."""

    ints: Value
    scale: Array
    """f32, one number or one for each place along ``axis``."""
    zero: Array
    """i64, of the shape of ``scale``."""
    axis: int
    op: Dequantize

    @property
    def per_tensor(self) -> bool:
        return self.scale.size == 1

    @property
    def affine(self) -> Affine:
        """The map; only where it is one for the whole tensor."""
        low, high = integer_range(self.ints)
        scale, zero = float(self.scale.reshape(-1)[0]), int(self.zero.reshape(-1)[0])
        return Affine(scale, zero, low, high, self.ints.type.dtype)


def is_quantized(graph: Graph) -> bool:
    """Whether some value of a graph is rounded to integers already."""
    return any(isinstance(op, QuantizeOp | Dequantize) for op in graph.ops)


def real(value: Value | None) -> Real | None:
    """Return what a value is dequantised from, by constants; ``None`` where it is not."""
    op = value.op if value is not None else None
    if not isinstance(op, Dequantize):
        return None
    scale = constant(op.scale)
    zero = np.zeros((), np.int64) if op.zero is None else constant(op.zero)
    if scale is None or zero is None or scale.ndim > 1:
        return None
    wide = np.broadcast_to(zero.astype(np.int64), scale.shape)
    return Real(op.x, scale.astype(np.float32), wide, op.axis, op)


def target_affine(op: QuantizeOp) -> Affine | None:
    """Return the map that an op quantises by; ``None`` where it is not constant or per axis."""
    scale = constant(op.scale)
    zero = np.zeros((), np.int64) if op.zero is None else constant(op.zero)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1:
        return None
    low, high = integer_range(op.result)
    low, high = max(low, int(op.low)), min(high, int(op.high))
    value, offset = float(np.float32(scale.reshape(-1)[0])), int(zero.reshape(-1)[0])
    return Affine(value, offset, low, high, op.result.type.dtype)


def integer_range(value: Value) -> tuple[int, int]:
    """Return the bounds of an integer value: known, or seen from how it is made, or its type's."""
    if value.type.range is None and isinstance(value.op, QuantizeOp):
        return value.op.low, value.op.high
    if value.type.range is None and isinstance(value.op, Where):
        a, b = constant(value.op.a), constant(value.op.b)
        if a is not None and b is not None:
            return int(min(a.min(), b.min())), int(max(a.max(), b.max()))
    return stated_range(value)


def insert(graph: Graph, op: Op, *, like: Op, name: str, held: Affine | None = None) -> Value:
    """Put an op before another, at its location, and note the integers it makes."""
    op.where = like.where
    value = graph.add(op, before=like, name=name)
    if held is not None:
        value.type = value.type.with_range(held.low, held.high)
    return value
