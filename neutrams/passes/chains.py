"""Chains of ops through which a factor on each channel passes, up to where it can be taken up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.activations import LeakyRelu, Relu
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.elementwise import Add, Div, Mul
from neutrams.ir.ops.normalization import LayerNorm
from neutrams.ir.ops.pooling import AveragePool, MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.reductions import ReduceMean, Softmax
from neutrams.ir.ops.tensors import Pad, Reshape, Transpose
from neutrams.ir.ops.unary import Sqrt
from neutrams.ir.types import Array
from neutrams.passes.linear import Linear, linear
from neutrams.passes.match import channel_vector, constant, read_once

FLOAT = (Div, Matmul, Mul, Softmax, Sqrt)
"""Ops on float values that no unit does, so that one op more by their side costs little."""


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """A product and what makes its input, element by element or by moves and pools alone."""

    behind: Linear
    """The product that reads the channels."""
    source: Value
    """Where the channels are made: what the product reads, or a value that this follows from."""
    axis: int
    """Of the channels in ``source``."""
    before: Linear | None
    """The product that makes ``source``, if one does."""
    add: Add | None
    """The op that adds a bias to it."""

    @property
    def channels(self) -> int:
        size = self.source.type.shape[self.axis]
        assert isinstance(size, int)
        return size

    @property
    def weights(self) -> Array:
        """``[neurons, channels, weights of each]`` of the product behind; 0 where it has none."""
        op, w, neurons = self.behind.op, self.behind.w, self.behind.neurons
        if not isinstance(op, Conv) or op.groups == 1:
            flat = w.T if isinstance(op, Matmul) else w
            return flat.reshape(neurons, self.channels, -1)
        part = w.reshape(op.groups, neurons // op.groups, w.shape[1], -1)
        wide = np.zeros((*part.shape[:2], op.groups, *part.shape[2:]), w.dtype)
        wide[range(op.groups), :, range(op.groups)] = part
        return wide.reshape(neurons, self.channels, -1)


def chain(graph: Graph, op: Op) -> Chain | None:
    """Return the chain that ends in a product; ``None`` where it cannot take up factors."""
    behind = linear(op)
    if behind is None or isinstance(behind.op, ConvTranspose):
        return None
    value, axis = behind.x, behind.input_axis
    while True:
        if not read_once(graph, value) or value.op is None:
            return None
        found = _passed(value.op, axis)
        if found is None:
            break
        value, axis = found
    add, made = _product(graph, value)
    size = value.type.shape[axis]
    if not isinstance(size, int) or behind.inputs % size:
        return None
    if (before := linear(made.op)) is not None:
        whole = before.axis == axis and not isinstance(before.op, ConvTranspose)
        return Chain(behind, value, axis, before, add) if whole else None
    scaled = isinstance(value.op, FLOAT) and _of_values(value.op)
    return Chain(behind, value, axis, None, None) if scaled or _normed(value, axis) else None


def _passed(op: Op, axis: int) -> tuple[Value, int] | None:
    """Return what an op of which a factor passes through reads, and where its channels lie."""
    match op:
        case Relu(x=x) | LeakyRelu(x=x):
            return x, axis
        case MaxPool(x=x) | AveragePool(x=x) if axis == 1:
            return x, axis
        case ReduceMean(x=x, axes=axes) if axes and axis < min(a % x.type.rank for a in axes):
            return x, axis
        case Pad(x=x, mode=mode, value=filler) if mode != "constant" or _zero(filler):
            pads = op.pads
            return None if pads[axis] or pads[axis + x.type.rank] else (x, axis)
        case Transpose(x=x, permutation=order):
            return x, order[axis] % x.type.rank
        case Reshape(x=x):
            place = _before_reshape(x, op.result, axis)
            return None if place is None else (x, place)
    return None


def _before_reshape(x: Value, result: Value, axis: int) -> int | None:
    """Return the axis whose every entry becomes neighbours along an axis of a reshape."""
    old, new = x.type.shape, result.type.shape
    if any(not isinstance(dim, int) for dim in (*old[1:], *new[1:])) or not axis:
        return None
    before, after = _entries(new[1:axis]), _entries(new[axis + 1 :])
    for place in range(1, len(old)):
        if old[place] == 1 or _entries(old[1:place]) != before:
            continue
        return place if _entries(old[place + 1 :]) % after == 0 else None
    return None


def _entries(dims: tuple[object, ...]) -> int:
    return int(np.prod([d for d in dims if isinstance(d, int)], dtype=np.int64))


def _product(graph: Graph, value: Value) -> tuple[Add | None, Value]:
    """Return the sum that adds a bias, and the product itself."""
    op = value.op
    if isinstance(op, Add) and linear(op.a.op) is not None and read_once(graph, op.a):
        item = linear(op.a.op)
        assert item is not None
        same = op.a.type.plain() == value.type.plain()
        if same and channel_vector(op.b, value.type.rank, item.axis, item.neurons) is not None:
            return op, op.a
    return None, value


def _of_values(op: Op) -> bool:
    return not any(isinstance(value, Weight) for value in op.present)


def _normed(value: Value, axis: int) -> bool:
    op, last = value.op, value.type.rank - 1
    if not isinstance(op, LayerNorm) or not axis == last == op.axis % value.type.rank:
        return False
    return all(constant(each) is not None for each in list(op.present)[1:])


def _zero(value: Value | None) -> bool:
    data = constant(value)
    return value is None or (data is not None and not data.any())
