"""Products by constant matrices: ``unit.mvm`` on crossbars, then ``unit.reduce``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neutrams.ir.functions import FLOAT, has
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target, paired
from neutrams.ir.types import Array, DType
from neutrams.passes.affine import Affine, Real, insert, integer_range, real
from neutrams.passes.digits import WeightDigits
from neutrams.passes.match import channel_vector, constant, read_once

I32_MAX = 2**31 - 1
WIDEST = 16
"""Bits of what crossbars read or hold in digits."""
COARSE = 2048
"""Sums that reach fewer steps than this cannot take a bias that falls between two steps."""
EXACT_STEP = 1e-3
"""A bias this near to a step was meant to be one; float32 cannot say."""


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A matched ``w · x + b`` of dequantised integers."""

    op: Conv | Matmul
    last: Op
    """The op whose result is the product with its bias: ``op``, or the sum behind it."""
    x: Real
    weights: Array
    """``[neurons, inputs of a neuron]`` i64 without zero points."""
    scale: Array
    """``[neurons]`` f32: what one step of the integer sum stands for."""
    bias: Array
    """``[neurons]`` f64 real numbers."""
    floats: bool
    """Whether a bias may be added as real numbers."""

    @property
    def axis(self) -> int:
        """Axis of the result along which the neurons lie."""
        return 1 if isinstance(self.op, Conv) else self.op.result.type.rank - 1

    @property
    def bias_is_fine(self) -> bool:
        """Whether rounding the bias to steps of the sum moves no sum by more than 1 in 4096.

        Where few narrow inputs meet narrow weights, a step may be as large as an activation.
        """
        steps = self.bias / self.scale
        if not self.floats:
            return True
        if np.abs(steps - np.rint(steps)).max(initial=0) < EXACT_STEP:
            return True
        low, high = integer_range(self.x.ints)
        zero = int(self.x.zero.reshape(-1)[0])
        reach = np.abs(self.weights).sum(axis=1) * max(high - zero, zero - low)
        return bool(reach.max(initial=0) >= COARSE)


@dataclass(frozen=True, slots=True)
class Encoding:
    """Attributes of a ``unit.mvm`` that come from the target, within which a product must fit."""

    input_bits: int
    weight_bits: int
    floats: bool
    """Whether the chip adds real numbers to what products give."""
    weights: tuple[int, int] | None
    """The least and the largest weight, where the chip states a range of its own."""
    crossbar: dict[str, Any]
    """Cells and converters, by the names of a ``unit.mvm``'s attributes."""
    digits: WeightDigits | None = None
    """Those in which the chip holds weights of more bits; ``None`` where it does not."""

    @staticmethod
    def of(target: Target | None) -> Encoding:
        if target is None:
            return Encoding(8, 8, True, None, {})
        core = target.machine.core
        names = ("cell_bits", "dac_bits", "adc_bits", "coding", "column_flip", "adc_mode")
        crossbar = {name: getattr(core, name) for name in names}
        limits, floats = target.limits, has(target, FLOAT, "add")
        stated = None if limits.weight_range is None else target.chosen_weights
        return Encoding(limits.input_bits, limits.weight_bits, floats, stated, crossbar)

    def in_digits(self, target: Target | None) -> Encoding:
        """Return the encoding of products whose inputs and weights `split-digits` takes apart."""
        if target is None or (digits := WeightDigits.for_target(target)) is None:
            return replace(self, input_bits=WIDEST)
        return replace(self, input_bits=WIDEST, weight_bits=WIDEST, digits=digits)

    def weights_of(self, bits: int) -> tuple[int, int] | None:
        """Return the range that weights of so many bits must keep to, if it is a narrower one."""
        if self.digits is None or bits <= self.digits.bits:
            return self.weights
        most = self.digits.most(-(-bits // self.digits.bits))
        return -most, most

    @property
    def paired(self) -> bool:
        return paired(str(self.crossbar.get("coding")))

    def weight_limits(self, bits: int) -> tuple[int, int]:
        high = 2 ** (bits - 1) - 1
        return -high - (not self.paired), high


def match(graph: Graph, op: Conv | Matmul, encoding: Encoding) -> Product | str:
    """Return a product with its bias, or why crossbars cannot do it."""
    last, bias_operand = _bias_behind(graph, op)
    x, w = real(op.operands[0]), real(op.operands[1])
    if x is None or not x.per_tensor:
        return "its input is not quantised as one tensor"
    if w is None or (ints := constant(w.ints)) is None:
        return "its weights are no quantised constants"
    if isinstance(op, Matmul) and ints.ndim != 2:
        return "a stack of matrices, not one"
    out = 0 if isinstance(op, Conv) else 1
    if not w.per_tensor and w.axis % ints.ndim != out:
        return "its weight scales run along another axis than its neurons"
    neurons = ints.shape[out]
    operand = op.b if isinstance(op, Conv) else bias_operand
    bias = _bias(operand, op.result.type.rank if isinstance(op, Matmul) else 1, neurons)
    if bias is None and last is not op:
        last, bias = op, np.zeros(neurons)
    if bias is None:
        return "its bias is not constant for each neuron"
    found = _product(op, last, x, w, ints, bias, encoding.floats)
    return _misfit(found, encoding) or found


def _bias_behind(graph: Graph, op: Conv | Matmul) -> tuple[Op, Value | None]:
    """Return the sum that may add the bias of a matrix product, and what it adds."""
    if isinstance(op, Matmul) and read_once(graph, op.result):
        add = op.result.users[0]
        if isinstance(add, Add) and add.result.type.plain() == op.result.type.plain():
            return add, add.b if add.a is op.result else add.a
    return op, None


def _product(
    op: Conv | Matmul, last: Op, x: Real, w: Real, ints: Array, bias: Array, floats: bool
) -> Product:
    matrix, neurons = ints.astype(np.int64), len(bias)
    flat = matrix.T if isinstance(op, Matmul) else matrix.reshape(neurons, -1)
    zero = np.broadcast_to(w.zero.reshape(-1), (neurons,))
    scale = np.broadcast_to(x.scale.reshape(-1) * w.scale.reshape(-1), (neurons,))
    return Product(op, last, x, flat - zero[:, None], scale, bias, floats)


def _bias(value: Value | None, rank: int, neurons: int) -> Array | None:
    """Return ``[neurons]`` real numbers of a constant bias, float or dequantised."""
    if value is None:
        return np.zeros(neurons)
    found = real(value)
    if found is None:
        vector = channel_vector(value, rank, rank - 1, neurons)
        return None if vector is None else vector.astype(np.float64)
    ints = constant(found.ints)
    if ints is None or ints.size not in (1, neurons) or ints.ndim > rank:
        return None
    exact = (ints.reshape(-1) - found.zero.reshape(-1)) * found.scale.reshape(-1).astype(np.float64)
    return np.broadcast_to(exact, (neurons,))


def _misfit(found: Product, encoding: Encoding) -> str:
    """Return why a product is beyond what the crossbars encode; empty where it fits."""
    bits = input_bits(found.x)
    if bits > encoding.input_bits:
        return f"its inputs take {bits} bits, and the crossbars read {encoding.input_bits}"
    least, most = int(found.weights.min(initial=0)), int(found.weights.max(initial=0))
    low, high = encoding.weight_limits(encoding.weight_bits)
    if least < low or most > high:
        return f"its weights reach from {least} to {most}, and cells hold {low} to {high}"
    return ""


def input_bits(x: Real) -> int:
    """Return the bits that drive a row, once the least input is moved to 0 where negative."""
    low, high = integer_range(x.ints)
    return max(1, (high - min(low, 0)).bit_length())


def multiply(graph: Graph, found: Product, encoding: Encoding, before: Op) -> Value:
    """Insert ``unit.mvm`` and ``unit.reduce`` before an op and return the integer sums.

    Zero points go into the bias: ``Σ (x - z) w = Σ (x + o) w - (o + z) Σ w``, where the offset
    ``o`` makes inputs non-negative and pads hold ``z``.
    """
    op, zero = found.op, int(found.x.zero.reshape(-1)[0])
    offset = -min(integer_range(found.x.ints)[0], 0)
    name = op.result.name
    w = graph.weight(f"{name}.weights", _narrowest(found.weights))
    weight_bits = _weight_bits(found, encoding)
    if (held := encoding.weights_of(weight_bits)) is not None:
        w.type = w.type.with_range(*held)
    mvm = Mvm(
        found.x.ints,
        w,
        input_offset=offset,
        input_bits=input_bits(found.x),
        weight_bits=weight_bits,
        **_geometry(op, zero),
        **encoding.crossbar,
    )
    mvm.where = op.where
    partials = graph.add(mvm, before=before, name=f"{name}.mvm")
    partials.origin = name
    steps = -(offset + zero) * found.weights.sum(axis=1)
    if found.bias_is_fine:
        steps = steps + np.rint(found.bias / found.scale)
    wide = partials.type.dtype is DType.I64 or np.abs(steps).max(initial=0) > I32_MAX
    bias = graph.weight(f"{name}.bias", steps.astype(np.int64 if wide else np.int32))
    return insert(graph, Reduce(partials, bias, axis=found.axis), like=before, name=f"{name}.sum")


def dequantized(graph: Graph, found: Product, sums: Value) -> Op:
    """Return the op that gives the real numbers that integer sums stand for, bias included."""
    name = found.op.result.name
    scale = graph.weight(f"{name}.scale", np.array(found.scale, np.float32))
    zero = graph.weight(f"{name}.zero", np.zeros(len(found.scale), sums.type.dtype.numpy))
    back = Dequantize(sums, scale, zero, axis=found.axis)
    if found.bias_is_fine:
        return back
    product = insert(graph, back, like=found.last, name=f"{name}.product")
    shape = (-1, *(1,) * (sums.type.rank - 1 - found.axis))
    shift = graph.weight(f"{name}.shift", found.bias.astype(np.float32).reshape(shape))
    return Add(product, shift)


def rescaled(graph: Graph, sums: Real, to: Affine) -> Op | None:
    """Return the op that turns sums into the integers of a quantised value.

    ``None`` where they have a zero point, which only narrow integers have.
    """
    if sums.zero.any() or sums.ints.type.dtype not in (DType.I32, DType.I64):
        return None
    scale = (sums.scale.astype(np.float64) / to.scale).astype(np.float32)
    factor = graph.weight(f"{sums.ints.name.removesuffix('.sum')}.rescale", scale)
    return Rescale(
        sums.ints, factor, axis=sums.axis, zero=to.zero, low=to.low, high=to.high, dtype=to.dtype
    )


def _narrowest(weights: Array) -> Array:
    info = np.iinfo(np.int8)
    wide = weights.min(initial=0) < info.min or weights.max(initial=0) > info.max
    return weights.astype(np.int16 if wide else np.int8)


def _geometry(op: Conv | Matmul, zero: int) -> dict[str, Any]:
    """Return the attributes of a ``unit.mvm`` that say which window it reads."""
    if isinstance(op, Matmul):
        return {}
    kernel = tuple(int(dim) for dim in op.w.type.static_shape()[2:])
    return {
        "kernel": kernel,
        "strides": op.strides,
        "pads": op.pads,
        "dilations": op.dilations,
        "groups": op.groups,
        "pad_value": zero,
    }


def _weight_bits(found: Product, encoding: Encoding) -> int:
    """Return the fewest bits that hold all weights."""
    low, high = int(found.weights.min(initial=0)), int(found.weights.max(initial=0))
    bits = max(2, high.bit_length() + 1, (-low - (not encoding.paired)).bit_length() + 1)
    return min(bits, encoding.weight_bits)
