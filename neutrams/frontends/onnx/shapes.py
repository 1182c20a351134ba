"""Integer arithmetic on shapes: what small tensors hold, symbols such as the batch among it.

An exporter computes the shape of a reshape with ops (``Shape``, ``Gather``, ``Mul``, ``Concat``).
Those ops are imported like any other; beside them, this follows the integers they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from neutrams.ir.op import Op
from neutrams.ir.types import Array, Dim, Shape, Symbol, bind, product, quotient, symbol, times

LARGEST = 4096
"""Elements of the largest tensor that is followed."""

MOVES = frozenset(
    {
        "tensor.concat",
        "tensor.expand",
        "tensor.gather",
        "tensor.reshape",
        "tensor.slice",
        "tensor.tile",
        "tensor.transpose",
    }
)
"""Ops that only move elements, so that their NumPy meaning serves arrays of dimensions."""


def shape_value(op: Op, operands: Sequence[Array | None]) -> Array | None:
    """Return what the op's first result holds as an object array of dimensions.

    Args:
        op: any op.
        operands: what each operand holds, ``None`` where that is not known.
    """
    if op.name == "tensor.shape":
        return _array(_shape_of(op))
    if op.result.type.dtype.is_float or not op.result.type.is_static:
        return None
    known = [a for a in operands if a is not None]
    if len(known) != len(list(op.present)) or any(a.size > LARGEST for a in known):
        return None
    if op.name in MOVES:
        return _moved(op, operands)
    if op.name == "tensor.cast":
        return known[0]
    rule = _ARITHMETIC.get(op.name)
    if rule is not None:
        return _elementwise(rule, known)
    if op.name == "nn.reduce_prod":
        return _array((product(known[0].flat),)).reshape(op.result.type.static_shape())
    return None


def _shape_of(op: Op) -> tuple[Dim, ...]:
    source = next(op.present).type.shape
    count = op.result.type.shape[0]
    start = getattr(op, "start", 0)
    start = start + len(source) if start < 0 else start
    return source[start:][:count] if isinstance(count, int) else source


def _moved(op: Op, operands: Sequence[Array | None]) -> Array | None:
    indices = op.name == "tensor.gather"
    arrays = list(operands)
    if indices and arrays[1] is not None:
        if any(isinstance(d, Symbol) for d in arrays[1].flat):
            return None
        arrays[1] = arrays[1].astype(np.int64)
    return np.asarray(op.evaluate(*arrays), dtype=object)


def _elementwise(rule: Callable[..., Dim | None], arrays: Sequence[Array]) -> Array | None:
    result = np.asarray(np.frompyfunc(rule, len(arrays), 1)(*arrays), dtype=object)
    return None if any(d is None for d in result.flat) else result


def _add(a: Dim, b: Dim) -> Dim | None:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    return a if b == 0 else b if a == 0 else None


def _sub(a: Dim, b: Dim) -> Dim | None:
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    return 0 if a == b else a if b == 0 else None


def _div(a: Dim, b: Dim) -> Dim | None:
    """Divide as ONNX does integers: towards zero."""
    if isinstance(a, int) and isinstance(b, int):
        return None if b == 0 else int(np.sign(a) * np.sign(b)) * (abs(a) // abs(b))
    return quotient(a, b)


def _integers(function: Callable[..., int]) -> Callable[..., Dim | None]:
    """Lift a function of integers; it knows nothing of symbols."""

    def lifted(*values: Dim) -> Dim | None:
        return function(*values) if all(isinstance(v, int) for v in values) else None

    return lifted


def _equal(a: Dim, b: Dim) -> Dim | None:
    """Compare sizes; a symbol is a size, so never negative, but may be any other number."""
    if a == b:
        return 1
    if isinstance(a, int) and isinstance(b, int):
        return 0
    number = a if isinstance(a, int) else b
    return 0 if isinstance(number, int) and number < 0 else None


def _where(condition: Dim, a: Dim, b: Dim) -> Dim | None:
    return a if condition else b


def insert_batch(dims: Sequence[Dim], shape: Shape, name: str) -> tuple[Dim, ...]:
    """Return the target of a reshape that was written for a batch of one, with the batch in it.

    Args:
        dims: numbers, ``0`` for "as in ``shape``" and ``-1`` for "what is left".
        shape: that of the value to reshape; at most one axis holds the batch.
        name: the batch's symbol.

    Returns:
        ``dims`` with the symbol on the axis where its digit of an element's row-major number
        falls; ``dims`` as they are where they already carry it or no axis fits.
    """
    axes = [i for i, d in enumerate(shape) if isinstance(d, Symbol)]
    if len(axes) != 1 or any(isinstance(d, Symbol) for d in dims):
        return tuple(dims)
    ones = [bind(d, {name: 1}) for d in shape]
    if any(d == 0 and i in (axes[0], *range(len(shape), len(dims))) for i, d in enumerate(dims)):
        return tuple(dims)
    full = [ones[i] if d == 0 else int(str(d)) for i, d in enumerate(dims)]
    rest = prod(d for d in full if d != -1)
    full = [prod(ones) // max(rest, 1) if d == -1 else d for d in full]
    stride = prod(ones[axes[0] :])
    fits = [i for i in range(len(full)) if _holds(full, i, stride)]
    axis = next((i for i in fits if full[i] == 1), fits[0] if fits else None)
    if axis is None or dims[axis] == -1:
        return tuple(dims)
    return (*dims[:axis], times(full[axis], symbol(name)), *dims[axis + 1 :])


def keep_batch(dims: Sequence[Dim], shape: Shape, name: str) -> tuple[Dim, ...]:
    """Return sizes that were written for a batch of one, with the batch on the axis it has.

    Args:
        dims: a size for each axis of ``shape``.
        shape: that of the value they resize.
        name: the batch's symbol.
    """
    if len(dims) != len(shape):
        return tuple(dims)
    batch = symbol(name)
    return tuple(batch if d == 1 and s == batch else d for d, s in zip(dims, shape, strict=True))


def _holds(sizes: Sequence[int], axis: int, stride: int) -> bool:
    tail = prod(sizes[axis + 1 :])
    if not tail or stride % tail:
        return False
    return sizes[axis] % (stride // tail) == 0


_ARITHMETIC: dict[str, Callable[..., Dim | None]] = {
    "nn.add": _add,
    "nn.sub": _sub,
    "nn.mul": times,
    "nn.div": _div,
    "nn.neg": _integers(lambda a: -a),
    "nn.minimum": _integers(min),
    "nn.maximum": _integers(max),
    "nn.equal": _equal,
    "tensor.where": _where,
}


def _array(dims: Sequence[Dim]) -> Array:
    """Return a vector of dimensions; NumPy must not look inside them."""
    result = np.empty(len(dims), dtype=object)
    for index, dim in enumerate(dims):
        result[index] = dim
    return result
