"""What the original network says of each unit: its weights, and what it should make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.passes.linear import Linear, linear
from neutrams.passes.match import channel_vector, constant, read_once
from neutrams.training.units import Unit, find_unit


class Teacher:
    """The float network, looked up by the names that unit values come from."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._homes = {v: home for home in (*graph.cells(), graph) for v in home.values()}
        self._by_name = {value.origin: value for value in self._homes if value.origin}
        self._by_name |= {value.name: value for value in self._homes}
        self.extra: list[Op] = []
        """Ops beside those of the network, of what it makes only as parts of a sum."""

    def value(self, of: Value) -> Value | None:
        """Return the float value that a value of the unit graph stands for.

        Floats that are made as before keep their names.
        """
        name = of.origin or (of.name if of.type.dtype.is_float else "")
        return self._by_name.get(name)

    def home(self, value: Value) -> Graph:
        """Return the graph that a value is in, or is made beside: the network, or a cell."""
        return self._homes.get(value, self.graph)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A unit, and the float value that its sums stand for."""

    unit: Unit
    sums: Value
    bias: Array
    """``[groups·M]``: the teacher's bias."""


def lesson(op: Mvm, graph: Graph, teacher: Teacher, matrix: Array | None = None) -> Lesson | str:
    """Return what the teacher knows of a product, or why it cannot be retrained.

    ``matrix`` stands in for the teacher's weights, which are then taken to have another shape.
    """
    found = find_unit(op, graph)
    if isinstance(found, str):
        return found
    made = teacher.value(op.result)
    item = linear(made.op) if made is not None else None
    if made is None or item is None or not isinstance(item.op, Conv | Matmul):
        return "the original network has no such product"
    if matrix is None:
        matrix = whole_matrix(item, op.fan_in)
    if matrix.shape != op.w.type.shape:
        return "the original's weights have another shape"
    sums, bias = _with_bias(teacher.home(made), made, item.neurons)
    if item.b is not None:
        bias = item.b
    reduce, post = found
    shift = _shift(post.result, item.neurons, axis=reduce.axis)
    unit = Unit(
        op,
        reduce,
        post,
        torch.from_numpy(np.array(matrix, np.float32, order="C")),
        torch.from_numpy(np.array(shift, np.float32)),
    )
    return Lesson(unit, sums, np.asarray(bias, np.float64))


def whole_matrix(item: Linear, fan_in: int) -> Array:
    """Return ``[neurons, inputs]``, repeated where a unit reads several copies of its inputs."""
    matrix = item.w.T if isinstance(item.op, Matmul) else item.w.reshape(item.neurons, -1)
    copies = fan_in // matrix.shape[1]
    exact = matrix.shape[1] * copies == fan_in and copies > 1
    return np.tile(matrix, copies) / copies if exact else matrix


def _with_bias(graph: Graph, made: Value, neurons: int) -> tuple[Value, Array]:
    """Return the sum behind a matrix product that adds a constant for each neuron."""
    none = np.zeros(neurons)
    if not isinstance(made.op, Matmul) or not read_once(graph, made):
        return made, none
    add = made.users[0]
    if not isinstance(add, Add) or add.result.type.plain() != made.type.plain():
        return made, none
    other = add.b if add.a is made else add.a
    vector = channel_vector(other, made.type.rank, made.type.rank - 1, neurons)
    return (made, none) if vector is None else (add.result, vector)


def _shift(value: Value, neurons: int, *, axis: int) -> Array:
    """Return the constant that an addition right behind a unit adds for each neuron."""
    adds = [user for user in value.users if isinstance(user, Add)]
    if len(value.users) != 1 or not adds:
        return np.zeros(neurons)
    other = adds[0].b if adds[0].a is value else adds[0].a
    data = constant(other)
    if not isinstance(other, Weight) or data is None or not other.name.endswith(".shift"):
        return np.zeros(neurons)
    rank = value.type.rank
    vector = channel_vector(other, rank, axis % rank, neurons)
    return np.zeros(neurons) if vector is None else vector
