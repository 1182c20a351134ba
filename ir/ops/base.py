"""What op families share: bases of one- and two-operand ops, and checks of types and axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar, dataclass_transform

import numpy as np

from neutrams.ir.op import Op, Value, attr, op, operand, operands
from neutrams.ir.types import Array, Dim, DType, Shape, TensorType, broadcast

T = TypeVar("T", bound=Op)
Mixes = tuple[frozenset[int], ...]

NONE: frozenset[int] = frozenset()


@dataclass_transform(eq_default=False, field_specifiers=(operand, operands, attr))
def base(cls: type[T]) -> type[T]:
    """Turn a class that only bears fields for its subclasses into a dataclass."""
    return dataclasses.dataclass(eq=False, repr=False)(cls)


@dataclass_transform(eq_default=False, field_specifiers=(operand, operands, attr))
def digital(name: str) -> Callable[[type[T]], type[T]]:
    """Register an op that nn graphs hold, and unit graphs too (on a tile's vector unit)."""
    return op(name, levels="nn unit")


@base
class Unary(Op):
    """One result element for each element of ``x``, of the same type."""

    x: Value = operand()

    def infer(self) -> TensorType:
        return self.x.type

    def mixes(self) -> Mixes | None:
        return (NONE,)


@base
class FloatUnary(Unary):
    """A :class:`Unary` that is defined on floats only."""

    def infer(self) -> TensorType:
        return want_float(self, self.x)


@base
class Predicate(Unary):
    """One truth value for each element of ``x``."""

    def infer(self) -> TensorType:
        return self.x.type.with_dtype(DType.BOOL)


@base
class Binary(Op):
    """Two operands of one element type that broadcast as in NumPy."""

    a: Value = operand()
    b: Value = operand()

    def infer(self) -> TensorType:
        same_dtype(self, self.a, self.b)
        return TensorType(self.a.type.dtype, broadcast(self.a.type.shape, self.b.type.shape))

    def mixes(self) -> Mixes:
        return (NONE, NONE)


@base
class Compare(Binary):
    """A :class:`Binary` whose result is a truth value."""

    def infer(self) -> TensorType:
        return super().infer().with_dtype(DType.BOOL)


def want_float(op: Op, value: Value) -> TensorType:
    """Return the type of a float value; raise NT0105 for any other."""
    if not value.type.dtype.is_float:
        raise op.fault("NT0105", f"expects floats, got `{value.type}`")
    return value.type


def want_rank(op: Op, value: Value, low: int, high: int | None = None) -> Shape:
    """Return a value's shape; raise NT0106 where its rank is not within ``[low, high]``."""
    if value.type.rank < low or (high is not None and value.type.rank > high):
        wanted = f"{low}" if high == low else f"{low} to {high}" if high else f"at least {low}"
        raise op.fault("NT0106", f"expects {wanted} dimensions, got `{value.type}`")
    return value.type.shape


def same_dtype(op: Op, *values: Value | None) -> DType:
    """Return the one element type of the values that are there; raise NT0104 where they differ."""
    dtypes = [v.type.dtype for v in values if v is not None]
    if len(set(dtypes)) != 1:
        raise op.fault("NT0104", "element types differ: " + ", ".join(d.value for d in dtypes))
    return dtypes[0]


def axis_of(op: Op, axis: int, rank: int) -> int:
    """Return an axis counted from the front; raise NT0106 where there is none such."""
    if not -rank <= axis < max(rank, 1):
        raise op.fault("NT0106", f"axis {axis} is out of range for {rank} dimensions")
    return axis % max(rank, 1)


def axes_of(op: Op, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Return axes counted from the front; raise NT0106 where one is missing or named twice."""
    found = tuple(axis_of(op, axis, rank) for axis in axes)
    if len(set(found)) != len(found):
        raise op.fault("NT0106", f"axes {tuple(axes)} name one axis twice")
    return found


def want_same(op: Op, a: Dim, b: Dim, what: str) -> None:
    """Raise NT0107 where two sizes that must agree do not."""
    if a != b:
        raise op.fault("NT0107", f"{what}: {a} and {b}")


def want(op: Op, fine: bool, message: str) -> None:
    """Raise NT0108 where attributes are not what the op allows."""
    if not fine:
        raise op.fault("NT0108", message)


def size_of(op: Op, dim: Dim, what: str) -> int:
    """Return a dimension as a number; raise NT0102 where it is only a symbol."""
    if isinstance(dim, (int, np.integer)):
        return int(dim)
    raise op.fault("NT0102", f"{what} is needed in numbers, but is `{dim}`")


def keep(x: Array, like: Array) -> Array:
    """Return ``x`` in the element type of ``like``; NumPy widens scalars and small sums."""
    return np.asarray(x).astype(like.dtype, copy=False)
