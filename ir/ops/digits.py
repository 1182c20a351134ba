"""Numbers taken apart into digits, which crossbars of few bits take, and sums of them joined."""

from __future__ import annotations

import numpy as np

from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.limits import more
from neutrams.ir.op import Op, Value, attr, op, operand
from neutrams.ir.ops.base import Mixes, axis_of, size_of, want, want_rank
from neutrams.ir.target import Target
from neutrams.ir.types import Array, Dim, DType, TensorType, times

FEWER = "read fewer bits, on a chip that adds nothing up between crossbars"


@op("unit.digits")
class Digits(Op):
    """Take ``x + offset`` apart into digits, side by side along ``axis``, the highest first.

    ``x + offset`` lies in ``[0, 2^(count · bits))``.
    """

    x: Value = operand()
    """Integers."""
    count: int = attr(default=2)
    bits: int = attr(default=4)
    """Of a digit."""
    offset: int = attr(default=0)
    axis: int = attr(default=-1)

    def infer(self) -> TensorType:
        shape = list(want_rank(self, self.x, 1))
        want(self, self.count >= 1, f"no number has {self.count} digits")
        want(self, 1 <= self.bits <= 16, f"digits have 1 to 16 bits, not {self.bits}")
        if self.x.type.dtype.is_float:
            raise self.fault("NT0130", f"expects integers, got `{self.x.type}`")
        axis = axis_of(self, self.axis, len(shape))
        shape[axis] = times(shape[axis], self.count)
        return TensorType(DType.U8 if self.bits <= 8 else DType.U16, tuple(shape))

    def evaluate(self, x: Array) -> Array:
        wide = x.astype(np.int64) + self.offset
        parts = [wide >> shift & 2**self.bits - 1 for shift in self.shifts]
        return np.concatenate(parts, axis=self.axis).astype(self.result.type.dtype.numpy)

    @property
    def shifts(self) -> tuple[int, ...]:
        """Return where each digit begins, the highest first."""
        return shifts(self.count, self.bits)

    def mixes(self) -> Mixes:
        return (frozenset({self.axis % self.x.type.rank}),)


@op("unit.join")
class Join(Op):
    """Add up the sums of ``count`` digits, each shifted to its place: what a whole number gives.

    Along ``axis`` lie the sums of each of ``groups``, those of its highest digit first.
    """

    x: Value = operand()
    count: int = attr(default=2)
    bits: int = attr(default=4)
    """By which each sum outweighs the next."""
    groups: int = attr(default=1)
    axis: int = attr(default=-1)
    dtype: DType = attr(default=DType.I32)

    def infer(self) -> TensorType:
        shape: list[Dim] = list(want_rank(self, self.x, 1))
        want(self, min(self.count, self.bits, self.groups) >= 1, "needs a digit of a bit")
        axis = axis_of(self, self.axis, len(shape))
        size = size_of(self, shape[axis], "the number of sums")
        each = self.count * self.groups
        want(self, size % each == 0, f"{size} sums are no {self.count} digits of {self.groups}")
        shape[axis] = size // self.count
        return TensorType(self.dtype, tuple(shape))

    def evaluate(self, x: Array) -> Array:
        axis = self.axis % x.ndim
        apart = x.astype(np.int64).reshape(self.apart(x.shape))
        places = np.array(self.shifts).reshape(-1, *(1,) * (x.ndim - axis))
        total: Array = (apart << places).sum(axis=axis + 1)
        whole = total.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
        return np.asarray(whole, self.dtype.numpy)

    def apart(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape of ``x`` with axes of their own for groups, digits and sums."""
        axis = self.axis % len(shape)
        each = shape[axis] // (self.count * self.groups)
        return (*shape[:axis], self.groups, self.count, each, *shape[axis + 1 :])

    @property
    def shifts(self) -> tuple[int, ...]:
        """Return by how much the sum of each digit is shifted, the highest first."""
        return shifts(self.count, self.bits)

    def violations(self, target: Target) -> list[Diagnostic]:
        """Return a fault where a chip does not add up so many sums digitally."""
        allowed = target.limits.partial_sums
        if not allowed:
            return []
        return more(self, target, "partial-sums", self.count, allowed, "digits to add up", FEWER)

    def mixes(self) -> Mixes:
        return (frozenset({self.axis % self.x.type.rank}),)


def shifts(count: int, bits: int) -> tuple[int, ...]:
    return tuple(bits * place for place in reversed(range(count)))
