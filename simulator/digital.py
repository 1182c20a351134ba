"""How much work a tile's vector unit has with one op, by class of work."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.digits import Digits, Join
from neutrams.ir.ops.products import Einsum
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import bind

Sizes = Mapping[str, int]

_TABLES = frozenset(
    (
        "nn.acos",
        "nn.acosh",
        "nn.asin",
        "nn.asinh",
        "nn.atan",
        "nn.atanh",
        "nn.celu",
        "nn.cos",
        "nn.cosh",
        "nn.elu",
        "nn.erf",
        "nn.exp",
        "nn.gelu",
        "nn.log",
        "nn.mish",
        "nn.reciprocal",
        "nn.selu",
        "nn.sigmoid",
        "nn.sin",
        "nn.sinh",
        "nn.softplus",
        "nn.softsign",
        "nn.sqrt",
        "nn.swish",
        "nn.tan",
        "nn.tanh",
        "unit.lut",
    )
)
"""Functions read from a table: one look-up an element."""

_MIXED: dict[str, tuple[int, int]] = {
    "unit.add": (3, 0),  # two scalings and a sum
    "nn.div": (1, 1),  # a reciprocal and a product
    "nn.pow": (1, 2),  # a logarithm, a product and an exponential
    "nn.softmax": (3, 1),  # maximum, difference, sum of exponentials, its reciprocal shared
    "nn.log_softmax": (4, 1),
    "nn.hardmax": (2, 0),
    "nn.batch_norm": (2, 0),
    "nn.layer_norm": (6, 0),  # sum, difference, square, sum, scale, shift; roots are few
    "nn.instance_norm": (6, 0),
    "nn.group_norm": (6, 0),
    "nn.rms_norm": (4, 0),
    "nn.lp_norm": (3, 0),
    "nn.lrn": (4, 1),
    "nn.quantize": (2, 0),
    "nn.dequantize": (2, 0),
    "nn.hard_sigmoid": (2, 0),
    "nn.hard_swish": (3, 0),
    "nn.leaky_relu": (2, 0),
    "nn.prelu": (2, 0),
    "nn.clip": (1, 0),
}
"""Vector operations and look-ups for each result element, where they are not (1, 0)."""


_GATES = {"nn.lstm": 5, "nn.gru": 3, "nn.rnn": 1}
"""Look-ups for each element that a recurrent layer makes."""


def work(op: Op, sizes: Sizes) -> dict[str, int]:
    """Return ``vector_ops``, ``lookups`` and ``pool_ops`` of a digital op; moves have none.

    A multiplication with an addition counts as one vector operation.
    """
    results = sum(elements(value, sizes) for value in op.results)
    family, _, kind = op.name.partition(".")
    if family == "tensor" or isinstance(op, Mvm | Digits):
        return {}
    if isinstance(op, Join):
        return {"reduce_adds": elements(op.x, sizes) - results}
    if isinstance(op, Reduce):
        return _reduce(op, results, sizes)
    if kind.endswith("_pool"):
        return {"pool_ops": results * prod(getattr(op, "kernel", ()))}
    if products := multiply_adds(op, sizes):
        tables = _GATES.get(op.name, 0) * elements(op.results[0], sizes)
        return {"vector_ops": products, **({"lookups": tables} if tables else {})}
    if op.name in _TABLES:
        return {"lookups": results}
    if kind.startswith(("reduce_", "arg", "topk")):
        return {"vector_ops": sum(elements(v, sizes) for v in _inputs(op))}
    vector, lookups = _MIXED.get(op.name, (1, 0))
    return {"vector_ops": vector * results, "lookups": lookups * results}


def traffic(op: Op, sizes: Sizes) -> dict[str, int]:
    """Return what a digital op reads from and writes to its tile's buffer.

    Sums stream from the output registers of cores through merging and rescaling; a reshape moves
    nothing; constants stay in the vector unit.
    """
    if op.name in ("tensor.reshape", "tensor.shape"):
        return {}
    read = sum(_bytes(v, sizes) for v in dict.fromkeys(_inputs(op)) if not streams(v))
    written = sum(_bytes(v, sizes) for v in op.results if not streams(v))
    return {"buffer_read_bytes": read, "buffer_write_bytes": written}


def streams(value: Value) -> bool:
    """Say whether a value goes straight to its reader, without a stop in the buffer."""
    return isinstance(value.op, Mvm) or (
        isinstance(value.op, Reduce | Join) and len(value.users) == 1
    )


def elements(value: Value, sizes: Sizes) -> int:
    return bind(value.type.elements, dict(sizes))


def _reduce(op: Reduce, results: int, sizes: Sizes) -> dict[str, int]:
    merged = elements(op.partials, sizes) - results
    return {"reduce_adds": merged, "vector_ops": 0 if op.bias is None else results}


def multiply_adds(op: Op, sizes: Sizes) -> int:
    """Return the multiply-adds of a product of matrices, on crossbars or not; else nought."""
    if isinstance(op, Mvm):
        return bind(op.windows, dict(sizes)) * elements(op.w, sizes)
    results = sum(elements(value, sizes) for value in op.results)
    operands = [v for v in op.operands if v is not None]
    if op.name == "nn.matmul":
        return results * bind(operands[0].type.shape[-1], dict(sizes))
    if op.name == "nn.conv":
        return results * _taps(operands[1], sizes)
    if op.name == "nn.conv_transpose":
        return elements(operands[0], sizes) * _taps(operands[1], sizes)
    if isinstance(op, Einsum):
        return prod(bind(size, dict(sizes)) for size in op.sizes().values())
    if op.name in _GATES:
        steps, batch = (bind(dim, dict(sizes)) for dim in operands[0].type.shape[:2])
        return steps * batch * sum(elements(v, sizes) for v in operands[1:3])
    return 0


def _taps(weights: Value, sizes: Sizes) -> int:
    """Return the weights of one place along the first axis."""
    return prod(bind(dim, dict(sizes)) for dim in weights.type.shape[1:])


def _inputs(op: Op) -> list[Value]:
    return [value for value in op.present if not isinstance(value, Weight)]


def _bytes(value: Value, sizes: Sizes) -> int:
    return elements(value, sizes) * value.type.dtype.numpy.itemsize
