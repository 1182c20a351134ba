"""The type of a value: element type, shape with symbolic dimensions, and a known range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.diagnostics import NeutramsError, error

Array = NDArray[Any]


class DType(Enum):
    """Element types, spelt as in the text form."""

    F16 = "f16"
    F32 = "f32"
    F64 = "f64"
    I8 = "i8"
    I16 = "i16"
    I32 = "i32"
    I64 = "i64"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(_NUMPY[self.value])

    @property
    def is_float(self) -> bool:
        return self.value.startswith("f")

    @property
    def bits(self) -> int:
        return 8 * self.numpy.itemsize

    @staticmethod
    def of(dtype: Any) -> DType:
        """Return the element type of a NumPy dtype.

        Raises:
            NeutramsError: NT0101, the dtype has no counterpart here (strings, complex).
        """
        name = np.dtype(dtype).name
        if name not in _FROM_NUMPY:
            raise NeutramsError(
                error("NT0101", f"element type `{name}` is not supported").note(
                    "supported: " + ", ".join(d.value for d in DType)
                )
            )
        return _FROM_NUMPY[name]


_NUMPY = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "bool": "bool",
}
_FROM_NUMPY = {numpy: DType(name) for name, numpy in _NUMPY.items()}


@dataclass(frozen=True, slots=True, order=True)
class Symbol:
    """A dimension known only as a product: ``factor`` × named sizes, such as ``4*N``.

    Products and exact quotients cover batches and flattened batches; sums do not occur where a
    batch is carried through untouched, and raise.
    """

    factor: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        parts = ([str(self.factor)] if self.factor != 1 else []) + list(self.names)
        return "*".join(parts)


Dim = int | Symbol
Shape = tuple[Dim, ...]


def symbol(name: str) -> Symbol:
    return Symbol(1, (name,))


def times(a: Dim, b: Dim) -> Dim:
    """Return the product of two dimensions."""
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    factor = _factor(a) * _factor(b)
    return _dim(factor, (*_names(a), *_names(b)))


def quotient(a: Dim, b: Dim) -> Dim | None:
    """Return a / b where it is exact, else ``None``."""
    if _factor(b) == 0 or _factor(a) % _factor(b):
        return None
    rest = list(_names(a))
    for name in _names(b):
        if name not in rest:
            return None
        rest.remove(name)
    return _dim(_factor(a) // _factor(b), tuple(rest))


def product(dims: Iterable[Dim]) -> Dim:
    total: Dim = 1
    for dim in dims:
        total = times(total, dim)
    return total


def bind(dim: Dim, sizes: dict[str, int]) -> int:
    """Return the size of a dimension once its symbols are known."""
    if isinstance(dim, int):
        return dim
    total = dim.factor
    for name in dim.names:
        total *= sizes[name]
    return total


def _factor(dim: Dim) -> int:
    return dim if isinstance(dim, int) else dim.factor


def _names(dim: Dim) -> tuple[str, ...]:
    return () if isinstance(dim, int) else dim.names


def _dim(factor: int, names: tuple[str, ...]) -> Dim:
    return Symbol(factor, tuple(sorted(names))) if names and factor else factor


@dataclass(frozen=True, slots=True)
class TensorType:
    """``f32[N, 64] in [0, 6.02]``: the range, where known, bounds every element."""

    dtype: DType
    shape: Shape
    range: tuple[float, float] | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> Dim:
        return product(self.shape)

    @property
    def is_static(self) -> bool:
        return all(isinstance(d, int) for d in self.shape)

    def static_shape(self) -> tuple[int, ...]:
        """Return the shape as plain integers.

        Raises:
            NeutramsError: NT0102, a dimension is a symbol.
        """
        if not self.is_static:
            raise NeutramsError(
                error("NT0102", f"the shape `{self}` is needed in numbers, but is not known")
                .note("a symbolic dimension can be carried along, not computed with")
                .help("fix it when exporting the model, or with `--dim NAME=SIZE`")
            )
        return tuple(d for d in self.shape if isinstance(d, int))

    def with_shape(self, shape: Sequence[Dim]) -> TensorType:
        return replace(self, shape=tuple(shape))

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def with_range(self, low: float, high: float) -> TensorType:
        return replace(self, range=(float(low), float(high)))

    def plain(self) -> TensorType:
        """Return the type without its range: what shape inference sees."""
        return replace(self, range=None)

    def __str__(self) -> str:
        text = f"{self.dtype.value}[{', '.join(str(d) for d in self.shape)}]"
        if self.range is None:
            return text
        low, high = self.range
        return f"{text} in [{show_number(low)}, {show_number(high)}]"


def show_number(number: float) -> str:
    """Return the shortest text that reads back as the same number: ``6``, ``0.1``, ``-0.0``."""
    text = repr(number)
    return text[:-2] if text.endswith(".0") and text != "-0.0" else text


def tensor(dtype: DType, *shape: Dim) -> TensorType:
    return TensorType(dtype, shape)


def broadcast(*shapes: Shape) -> Shape:
    """Return the NumPy broadcast of shapes that may hold symbols.

    Raises:
        NeutramsError: NT0103, two dimensions differ and neither is 1.
    """
    rank = max((len(s) for s in shapes), default=0)
    result: list[Dim] = [1] * rank
    for shape in shapes:
        for axis, dim in enumerate(shape, start=rank - len(shape)):
            if result[axis] == 1:
                result[axis] = dim
            elif dim not in (1, result[axis]):
                raise NeutramsError(
                    error("NT0103", f"shapes {_show(shapes)} do not broadcast").note(
                        f"sizes {result[axis]} and {dim} meet on one axis"
                    )
                )
    return tuple(result)


def _show(shapes: Iterable[Shape]) -> str:
    return " and ".join("[" + ", ".join(map(str, shape)) + "]" for shape in shapes)


def raw_bytes(array: Array) -> memoryview:
    """Return the bytes of an array in C order, little endian, without a copy where it lies so."""
    ordered = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data
