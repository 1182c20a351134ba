"""Products of two tensors: matrix products, and sums over named axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from neutrams.ir.op import Op, Value, attr, operand, operands
from neutrams.ir.ops.base import Mixes, digital, same_dtype, want, want_rank, want_same
from neutrams.ir.types import Array, Dim, TensorType, broadcast


@digital("nn.matmul")
class Matmul(Op):
    """The matrix product with NumPy's rules for stacks and vectors; integers wrap around."""

    a: Value = operand()
    b: Value = operand()

    def infer(self) -> TensorType:
        dtype = same_dtype(self, self.a, self.b)
        a, b = want_rank(self, self.a, 1), want_rank(self, self.b, 1)
        inner = b[-2] if len(b) > 1 else b[0]
        want_same(self, a[-1], inner, f"`{self.a.type}` and `{self.b.type}` do not multiply")
        stack = broadcast(a[:-2], b[:-2])
        rows = a[-2:-1]
        columns = b[-1:] if len(b) > 1 else ()
        return TensorType(dtype, (*stack, *rows, *columns))

    def evaluate(self, a: Array, b: Array) -> Array:
        return matmul(a, b)

    def mixes(self) -> Mixes:
        a, b = self.a.type.rank, self.b.type.rank
        return (frozenset({a - 1}), frozenset({max(b - 2, 0)}))


@digital("nn.einsum")
class Einsum(Op):
    """Products of the operands, summed over the letters that the result does not name."""

    parts: tuple[Value, ...] = operands()
    equation: str = attr()

    def infer(self) -> TensorType:
        dtype = same_dtype(self, *self.parts)
        _, result = self._terms()
        sizes = self.sizes()
        missing = [letter for letter in result if letter not in sizes]
        want(self, not missing, f"`{self.equation}` does not say what `{missing}` is")
        return TensorType(dtype, tuple(sizes[letter] for letter in result))

    def evaluate(self, *parts: Array) -> Array:
        equation = self.equation.replace(" ", "")
        return np.asarray(np.einsum(equation, *parts, optimize=len(parts) > 1))

    def sizes(self) -> dict[str, Dim]:
        """Return the size of each letter; every combination of places takes one product."""
        terms, _ = self._terms()
        sizes: dict[str, Dim] = {}
        for term, part in zip(terms, self.parts, strict=True):
            self._measure(term, part, sizes)
        return sizes

    def mixes(self) -> Mixes:
        terms, result = self._terms()
        return tuple(
            frozenset(
                i for i, letter in enumerate(t) if letter not in result or t.count(letter) > 1
            )
            for t in terms
        )

    def _terms(self) -> tuple[list[str], str]:
        """Operand terms and the result's, an ellipsis written as the digits of its axes."""
        left, arrow, right = self.equation.replace(" ", "").partition("->")
        terms = left.split(",")
        if not arrow:
            letters = sorted({c for c in left if c.isalpha() and left.count(c) == 1})
            right = ("..." if "..." in left else "") + "".join(letters)
        want(self, len(terms) == len(self.parts), f"`{self.equation}` names {len(terms)} operands")
        pairs = list(zip(terms, self.parts, strict=True))
        ranks = [part.type.rank - len(term.replace("...", "")) for term, part in pairs]
        widest = max([r for r, t in zip(ranks, terms, strict=True) if "..." in t], default=0)
        digits = "0123456789"[:widest]
        written = [
            term.replace("...", digits[widest - max(rank, 0) :])
            for term, rank in zip(terms, ranks, strict=True)
        ]
        return written, right.replace("...", digits)

    def _measure(self, term: str, part: Value, sizes: dict[str, Dim]) -> None:
        if len(term) != part.type.rank:
            raise self.fault("NT0106", f"`{term}` does not name the axes of `{part.type}`")
        for letter, dim in zip(term, part.type.shape, strict=True):
            if sizes.setdefault(letter, dim) == 1:
                sizes[letter] = dim
            if dim != 1:
                want_same(self, dim, sizes[letter], f"sizes of `{letter}` differ")


@digital("nn.det")
class Det(Op):
    """The determinant of each matrix in a stack."""

    x: Value = operand()

    def infer(self) -> TensorType:
        shape = want_rank(self, self.x, 2)
        want_same(self, shape[-1], shape[-2], "rows and columns")
        return self.x.type.with_shape(shape[:-2])

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.linalg.det(x.astype(np.float64))).astype(x.dtype)

    def mixes(self) -> Mixes:
        rank = self.x.type.rank
        return (frozenset({rank - 2, rank - 1}),)


def matmul(a: Array, b: Array) -> Array:
    """Return the matrix product.

    Half floats are summed in single precision; integers go through float64 BLAS where exact.
    """
    if a.dtype == np.float16:
        return _product(a, b, np.float32).astype(np.float16)
    if a.dtype.kind == "f" or b.size == 0 or a.size == 0:
        return _product(a, b, a.dtype)
    if _magnitude(a) * _magnitude(b) * a.shape[-1] >= 2**53:
        return _product(a, b, a.dtype)
    return _product(a, b, np.float64).astype(np.int64).astype(a.dtype, copy=False)


def _product(a: Array, b: Array, dtype: DTypeLike) -> Array:
    return np.asarray(np.matmul(a.astype(dtype, copy=False), b.astype(dtype, copy=False)))


def _magnitude(x: Array) -> float:
    return max(abs(float(x.min())), abs(float(x.max())))
