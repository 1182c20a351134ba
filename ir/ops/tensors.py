"""Ops that give elements another place, type or number, and compute nothing."""

from __future__ import annotations

from math import prod

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand, operands
from neutrams.ir.ops.base import (
    NONE,
    Mixes,
    Unary,
    axes_of,
    axis_of,
    digital,
    same_dtype,
    size_of,
    want,
    want_same,
)  # fmt: skip
from neutrams.ir.types import (
    Array,
    Dim,
    DType,
    Symbol,
    TensorType,
    broadcast,
    product,
    tensor,
    times,
)  # fmt: skip


@digital("tensor.reshape")
class Reshape(Unary):
    """The elements of ``x``, in order, in another shape; it may name the symbols of ``x``."""

    shape: tuple[Dim, ...] = attr()

    def infer(self) -> TensorType:
        if product(self.shape) != self.x.type.elements:
            shape = ", ".join(map(str, self.shape))
            raise self.fault("NT0109", f"`{self.x.type}` has other elements than [{shape}]")
        return self.x.type.with_shape(self.shape)

    def evaluate(self, x: Array) -> Array:
        return x.reshape(solve(self.shape, self.x.type.shape, x.shape))

    def mixes(self) -> Mixes | None:
        return None


@digital("tensor.expand")
class Expand(Unary):
    """``x`` repeated along axes of size 1, and along new leading axes, up to ``shape``."""

    shape: tuple[Dim, ...] = attr()

    def infer(self) -> TensorType:
        if broadcast(self.x.type.shape, self.shape) != self.shape:
            shape = ", ".join(map(str, self.shape))
            raise self.fault("NT0107", f"`{self.x.type}` does not expand to [{shape}]")
        return self.x.type.with_shape(self.shape)

    def evaluate(self, x: Array) -> Array:
        return np.broadcast_to(x, solve(self.shape, self.x.type.shape, x.shape))


@digital("tensor.transpose")
class Transpose(Unary):
    """Axis ``i`` of the result is axis ``permutation[i]`` of ``x``."""

    permutation: tuple[int, ...] = attr()

    def infer(self) -> TensorType:
        shape = self.x.type.shape
        if sorted(self.permutation) != list(range(len(shape))):
            raise self.fault("NT0106", f"{self.permutation} does not permute `{self.x.type}`")
        return self.x.type.with_shape([shape[axis] for axis in self.permutation])

    def evaluate(self, x: Array) -> Array:
        return np.transpose(x, self.permutation)


@digital("tensor.concat")
class Concat(Op):
    """The parts, one after another along ``axis``."""

    parts: tuple[Value, ...] = operands()
    axis: int = attr()

    def infer(self) -> TensorType:
        want(self, len(self.parts) > 0, "nothing to join")
        first = self.parts[0].type
        dtype = same_dtype(self, *self.parts)
        axis = axis_of(self, self.axis, first.rank)
        total = 0
        for part in self.parts:
            want_same(self, part.type.rank, first.rank, "ranks differ")
            for i in range(first.rank):
                if i != axis:
                    want_same(self, part.type.shape[i], first.shape[i], f"sizes of axis {i} differ")
            if len(self.parts) > 1:
                total += size_of(self, part.type.shape[axis], "a joined size")
        size = total if len(self.parts) > 1 else first.shape[axis]
        return TensorType(dtype, (*first.shape[:axis], size, *first.shape[axis + 1 :]))

    def evaluate(self, *parts: Array) -> Array:
        return np.concatenate(parts, axis=self.axis)

    def mixes(self) -> Mixes:
        axis = self.axis % self.parts[0].type.rank
        return tuple(frozenset({axis}) for _ in self.parts)


@digital("tensor.split")
class Split(Op):
    """``x`` cut along ``axis`` into pieces of ``sizes``, one result each."""

    x: Value = operand()
    axis: int = attr()
    sizes: tuple[int, ...] = attr()

    def infer(self) -> tuple[TensorType, ...]:
        shape = self.x.type.shape
        axis = axis_of(self, self.axis, len(shape))
        want_same(self, sum(self.sizes), shape[axis], "the pieces do not add up to the size")
        return tuple(
            self.x.type.with_shape((*shape[:axis], size, *shape[axis + 1 :])) for size in self.sizes
        )

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return tuple(np.split(x, np.cumsum(self.sizes)[:-1], axis=self.axis))

    def mixes(self) -> Mixes:
        return (frozenset({self.axis % self.x.type.rank}),)


@digital("tensor.slice")
class Slice(Unary):
    """Every ``steps``-th element from ``starts`` up to ``ends``, along ``axes``, as in NumPy."""

    starts: tuple[int, ...] = attr()
    ends: tuple[int, ...] = attr()
    axes: tuple[int, ...] = attr()
    steps: tuple[int, ...] = attr(default=())

    def infer(self) -> TensorType:
        shape = list(self.x.type.shape)
        steps = self._steps()
        fits = len(self.starts) == len(self.ends) == len(self.axes) == len(steps)
        want(self, fits and 0 not in steps, "starts, ends, axes and steps do not fit together")
        for axis, cut in zip(axes_of(self, self.axes, len(shape)), self._cuts(), strict=True):
            if not _whole(cut, shape[axis]):
                shape[axis] = len(range(*cut.indices(size_of(self, shape[axis], "a cut size"))))
        return self.x.type.with_shape(shape)

    def evaluate(self, x: Array) -> Array:
        index = [slice(None)] * x.ndim
        for axis, cut in zip(self.axes, self._cuts(), strict=True):
            index[axis] = cut
        return x[tuple(index)]

    def mixes(self) -> Mixes:
        shape = self.x.type.shape
        cuts = zip(self.axes, self._cuts(), strict=True)
        return (frozenset(a % len(shape) for a, cut in cuts if not _whole(cut, shape[a])),)

    def _steps(self) -> tuple[int, ...]:
        return self.steps or (1,) * len(self.axes)

    def _cuts(self) -> list[slice]:
        cuts = zip(self.starts, self.ends, self._steps(), strict=True)
        return [slice(b, _end(e, step), step) for b, e, step in cuts]


@digital("tensor.pad")
class Pad(Op):
    """``x`` with ``pads`` (all begins, then all ends; negative ones cut) around it."""

    x: Value = operand()
    value: Value | None = operand(default=None)
    pads: tuple[int, ...] = attr(default=())
    mode: str = attr(default="constant")

    def infer(self) -> TensorType:
        shape = self.x.type.shape
        modes = ("constant", "reflect", "edge", "wrap")
        want(self, self.mode in modes, f"no mode `{self.mode}`")
        want(self, len(self.pads) == 2 * len(shape), f"{len(self.pads)} pads for `{self.x.type}`")
        if self.value is not None:
            same_dtype(self, self.x, self.value)
        sizes = [
            d if b == e == 0 else size_of(self, d, "a padded size") + b + e
            for d, b, e in zip(shape, *self._halves(), strict=True)
        ]
        want(self, all(not isinstance(d, int) or d >= 0 for d in sizes), "cuts more than there is")
        return self.x.type.with_shape(sizes)

    def evaluate(self, x: Array, value: Array | None = None) -> Array:
        begins, ends = self._halves()
        cut = (
            slice(max(-b, 0), d - max(-e, 0)) for b, e, d in zip(begins, ends, x.shape, strict=True)
        )
        around = [(max(b, 0), max(e, 0)) for b, e in zip(begins, ends, strict=True)]
        x = x[tuple(cut)]
        if self.mode == "constant":
            return np.pad(x, around, constant_values=0 if value is None else value.item())
        return np.pad(x, around, mode=self.mode)  # type: ignore[call-overload,no-any-return]

    def mixes(self) -> Mixes:
        padded = frozenset(i for i, be in enumerate(zip(*self._halves(), strict=True)) if any(be))
        return (padded, NONE)

    def _halves(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        rank = len(self.pads) // 2
        return self.pads[:rank], self.pads[rank:]


@digital("tensor.tile")
class Tile(Unary):
    """``x`` repeated ``repeats`` times along each axis."""

    repeats: tuple[int, ...] = attr()

    def infer(self) -> TensorType:
        want(self, len(self.repeats) == self.x.type.rank, "one repeat is needed for each axis")
        shape = self.x.type.shape
        return self.x.type.with_shape(
            [times(d, r) for d, r in zip(shape, self.repeats, strict=True)]
        )

    def evaluate(self, x: Array) -> Array:
        return np.tile(x, self.repeats)

    def mixes(self) -> Mixes:
        return (frozenset(i for i, repeat in enumerate(self.repeats) if repeat != 1),)


@digital("tensor.cast")
class Cast(Unary):
    """Each element in another type; a float loses its fraction on the way to an integer.

    With ``bits`` the bytes are kept and read as the other type, which has the same width.
    """

    dtype: DType = attr()
    bits: bool = attr(default=False)

    def infer(self) -> TensorType:
        source = self.x.type.dtype
        want(self, not self.bits or source.bits == self.dtype.bits, "the widths differ")
        return self.x.type.with_dtype(self.dtype)

    def evaluate(self, x: Array) -> Array:
        if self.bits:
            return np.ascontiguousarray(x).view(self.dtype.numpy).reshape(x.shape)
        with np.errstate(invalid="ignore", over="ignore"):
            return x.astype(self.dtype.numpy)


@digital("tensor.shape")
class Shape(Op):
    """The sizes of ``x``."""

    x: Value = operand()

    def infer(self) -> TensorType:
        return tensor(DType.I64, self.x.type.rank)

    def evaluate(self, x: Array) -> Array:
        return np.array(x.shape, np.int64)


@digital("tensor.reverse_sequence")
class ReverseSequence(Op):
    """The first ``lengths[i]`` steps of sample ``i`` in reverse order, the rest untouched."""

    x: Value = operand()
    lengths: Value = operand()
    batch_axis: int = attr(default=1)
    time_axis: int = attr(default=0)

    def infer(self) -> TensorType:
        want(self, {self.batch_axis, self.time_axis} == {0, 1}, "the axes must be 0 and 1")
        batch = self.x.type.shape[self.batch_axis]
        want_same(self, self.lengths.type.shape[0], batch, "lengths and samples differ in number")
        return self.x.type

    def evaluate(self, x: Array, lengths: Array) -> Array:
        result = x.copy()
        moved = np.moveaxis(result, (self.batch_axis, self.time_axis), (0, 1))
        for sample, length in enumerate(lengths):
            moved[sample, :length] = moved[sample, :length][::-1].copy()
        return result

    def mixes(self) -> Mixes:
        return (frozenset({self.time_axis}), NONE)


def solve(
    shape: tuple[Dim, ...], known: tuple[Dim, ...], sizes: tuple[int, ...]
) -> tuple[int, ...]:
    """Return ``shape`` in numbers, its symbols learnt from ``known`` dimensions of ``sizes``."""
    names: dict[Dim, int] = {}
    for dim, size in zip(known, sizes, strict=True):
        names[dim] = size
        if isinstance(dim, Symbol) and len(dim.names) == 1:
            names[Symbol(1, dim.names)] = size // dim.factor
    return tuple(_size(dim, names, prod(sizes), shape) for dim in shape)


def _size(dim: Dim, names: dict[Dim, int], total: int, shape: tuple[Dim, ...]) -> int:
    if not isinstance(dim, Symbol):
        return dim
    if dim in names:
        return names[dim]
    parts = [names.get(Symbol(1, (name,))) for name in dim.names]
    if None not in parts:
        return dim.factor * prod(p for p in parts if p is not None)
    rest = [d for d in shape if d != dim]
    assert all(isinstance(d, int) or d in names for d in rest), f"cannot tell {dim} of {shape}"
    return total // prod(_size(d, names, total, shape) for d in rest)


def _end(end: int, step: int) -> int | None:
    """ONNX's far-away ends, as Python's slices take them."""
    return None if step < 0 and end < -(2**31) else end


def _whole(cut: slice, size: Dim) -> bool:
    if cut.step != 1 or cut.start != 0:
        return False
    return bool(cut.stop >= (size if isinstance(size, int) else 2**31 - 1))
