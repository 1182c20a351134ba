"""Write the product by a matrix of diagonal blocks as a grouped convolution between two gathers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight, operand_fields
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Reshape, Transpose
from neutrams.ir.types import Array
from neutrams.passes.cones import elementwise
from neutrams.passes.grouping import Grouping, Ints
from neutrams.passes.linear import Linear
from neutrams.passes.match import channel_vector, constant, located, read_once
from neutrams.passes.refit import Fit


def build(graph: Graph, item: Linear, found: Grouping, fit: Fit | None = None) -> Conv:
    """Replace a product by one whose weights off the blocks are zero, and return its grouped core.

    Smaller groups are filled with weights of zero and neurons that nobody reads. A bias that is
    added behind, and functions of single elements, move before the gather that restores the order
    of the neurons, so that they still end the same unit. With ``fit`` the weights are its own.
    """
    blocks = _Blocks.of(item, found, fit)
    tail = _tail(graph, item)
    maker = _Maker(graph, item)
    name = item.op.result.name
    held = blocks.weights.astype(np.float32)
    weights = graph.weight(f"{name}.blocks", held.reshape(*held.shape, *maker.kernel))
    bias = None
    if tail.bias is not None or fit is not None:
        start = np.zeros(item.neurons) if tail.bias is None else tail.bias
        moved = start if fit is None else start + fit.shift
        bias = graph.weight(f"{name}.blocks.bias", blocks.spread(moved).astype(np.float32))
    x = maker.enter(blocks.inputs)
    core = maker.core(x, weights, bias, found.groups)
    graph.insert(core, before=item.op, name=f"{name}.product")
    value = core.result
    for op in tail.functions:
        made = located(_applied(op, value), op)
        value = graph.add(made, before=tail.end, name=f"{op.result.name}.blocks")
    graph.replace(tail.end, maker.leave(value, blocks.outputs, before=tail.end))
    return core


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """Weights of equal groups, and what their rows and neurons are."""

    inputs: Ints
    """``[groups · rows]`` the input that each row reads."""
    weights: Array
    """``[groups · neurons, rows, *window]``."""
    slots: Ints
    """``[groups · neurons]`` the neuron in each place, -1 where there is none."""

    @staticmethod
    def of(item: Linear, found: Grouping, fit: Fit | None) -> _Blocks:
        whole = item.w if isinstance(item.op, Conv) else item.w.T
        rows = max(len(members) for members in found.rows)
        neurons = max(len(members) for members in found.columns)
        window = whole.shape[2:]
        weights = np.zeros((found.groups, neurons, rows, *window), whole.dtype)
        inputs = np.zeros((found.groups, rows), np.int64)
        slots = np.full((found.groups, neurons), -1, np.int64)
        for k, (read, made) in enumerate(zip(found.rows, found.columns, strict=True)):
            inputs[k, : len(read)] = read
            slots[k, : len(made)] = made
            held = whole[np.ix_(made, read)] if fit is None else fit.weights[k]
            weights[k, : len(made), : len(read)] = held
        flat = weights.reshape(-1, rows, *window)
        return _Blocks(inputs.reshape(-1), flat, slots.reshape(-1))

    @property
    def outputs(self) -> Ints:
        """``[neurons]`` the place of each neuron of the original."""
        places = np.flatnonzero(self.slots >= 0)
        return places[np.argsort(self.slots[places])]

    def spread(self, bias: Array) -> Array:
        """Return ``[groups · neurons]``: a value for each neuron, 0 in empty places."""
        return np.where(self.slots >= 0, bias[self.slots], 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Tail:
    """What follows a product and can be done in any order of its neurons."""

    bias: Array | None
    functions: tuple[Op, ...]
    end: Op
    """The last of it, whose value the new product makes."""


def _tail(graph: Graph, item: Linear) -> _Tail:
    end: Op = item.op
    bias = item.b
    if isinstance(item.op, Matmul) and (added := _added(graph, item)) is not None:
        end, bias = added
    functions: list[Op] = []
    while read_once(graph, end.result):
        user = end.result.users[0]
        others = [v for v in user.present if v is not end.result and not isinstance(v, Weight)]
        if others or not elementwise(user, end.result):
            break
        functions.append(user)
        end = user
    return _Tail(bias, tuple(functions), end)


def _added(graph: Graph, item: Linear) -> tuple[Op, Array] | None:
    """Return the sum behind a matrix product that adds a constant to each neuron."""
    value = item.op.result
    if not read_once(graph, value):
        return None
    add = value.users[0]
    if not isinstance(add, Add) or add.result.type.plain() != value.type.plain():
        return None
    other = add.b if add.a is value else add.a
    rank = value.type.rank
    vector = channel_vector(other, rank, rank - 1, item.neurons)
    return None if vector is None else (add, vector)


@dataclass(frozen=True, slots=True, eq=False)
class _Maker:
    """Builds before the product; channels of a grouped convolution lie along axis 1."""

    graph: Graph
    item: Linear

    @property
    def rank(self) -> int:
        return self.item.x.type.rank

    @property
    def turned(self) -> bool:
        """Whether channels lie last and positions before them."""
        return isinstance(self.item.op, Matmul) and self.rank > 2

    @property
    def axis(self) -> int:
        return self.item.input_axis

    @property
    def kernel(self) -> tuple[int, ...]:
        """Axes that the weights of a matrix product lack beside those of a convolution."""
        return () if isinstance(self.item.op, Conv) else (1,) * max(self.rank - 2, 1)

    def enter(self, inputs: Ints) -> Value:
        """Return the inputs in the order of the groups, channels along axis 1."""
        value = self._gather(self.item.x, inputs, before=self.item.op, name="inputs")
        if self.turned:
            order = (0, self.rank - 1, *range(1, self.rank - 1))
            return self._add(Transpose(value, permutation=order), "turned", self.item.op)
        if self.rank == 2:
            return self._add(Reshape(value, shape=(*value.type.shape, 1)), "window", self.item.op)
        return value

    def core(self, x: Value, weights: Value, bias: Value | None, groups: int) -> Conv:
        op = self.item.op
        if isinstance(op, Conv):
            made = dataclasses.replace(op, x=x, w=weights, b=bias, groups=groups)
        else:
            made = Conv(x, weights, bias, groups=groups)
        made.where = op.where
        return made

    def leave(self, value: Value, outputs: Ints, *, before: Op) -> Op:
        """Return the op that gives the neurons in their old order, where they were."""
        if self.turned:
            order = (0, *range(2, self.rank), 1)
            value = self._add(Transpose(value, permutation=order), "back", before)
        elif isinstance(self.item.op, Matmul):
            flat = Reshape(value, shape=value.type.shape[:2])
            value = self._add(flat, "flat", before)
        places = self.graph.weight(f"{self.item.op.result.name}.order", outputs)
        return located(Gather(value, places, axis=self.axis), before)

    def _gather(self, x: Value, indices: Ints, *, before: Op, name: str) -> Value:
        """Gather, at once from what another gather read, where it is one along this axis."""
        if isinstance(x.op, Gather) and x.op.axis % x.type.rank == self.axis:
            inner = constant(x.op.indices)
            if inner is not None and inner.ndim == 1:
                x, indices = x.op.x, inner[indices]
        places = self.graph.weight(
            f"{self.item.op.result.name}.{name}.index", indices.astype(np.int64)
        )
        return self._add(Gather(x, places, axis=self.axis), name, before)

    def _add(self, op: Op, name: str, before: Op) -> Value:
        hint = f"{self.item.op.result.name}.{name}"
        return self.graph.add(located(op, self.item.op), before=before, name=hint)


def _applied(op: Op, value: Value) -> Op:
    """Return an element-wise op that reads ``value`` for what it read."""
    source = next(v for v in op.present if constant(v) is None)
    fields = operand_fields(type(op))
    read = {f.name: value for f in fields if getattr(op, f.name) is source}
    made: Op = dataclasses.replace(op, **read)  # type: ignore[type-var]
    return made
