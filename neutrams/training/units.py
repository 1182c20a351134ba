"""What retraining may change in a unit graph: weights, biases and scales of units, and grids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops import unit as words
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.tensors import Reshape, Slice, Transpose
from neutrams.ir.ops.time import Next, State
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import least_of
from neutrams.ir.types import Array, DType, TensorType
from neutrams.training.digital import adjustable, multiply

MOVES = (Gather, MaxPool, Reshape, Slice, Transpose)
"""Ops that give integers on without a look at their grid."""


@dataclass(frozen=True, slots=True)
class Grid:
    """``real = step · (integer - zero)``."""

    step: float
    zero: int


@dataclass(slots=True, eq=False)
class Unit:
    """A product on crossbars with its sum and what follows: the thing that is retrained."""

    mvm: Mvm
    reduce: words.Reduce
    post: words.Rescale | Dequantize
    w: Tensor
    """``[groups·M, K]`` float: the teacher's weights."""
    shift: Tensor
    """``[groups·M]`` float: what is added after ``post`` rather than in the sum."""

    @property
    def low(self) -> int:
        least = least_of(self.mvm.weight_bits, self.mvm.coding)
        held = self.mvm.w.type.range
        return least if held is None else max(least, int(held[0]))

    @property
    def high(self) -> int:
        most = int(2 ** (self.mvm.weight_bits - 1) - 1)
        held = self.mvm.w.type.range
        return most if held is None else min(most, int(held[1]))

    @property
    def ints(self) -> Tensor:
        """``[groups·M, K]``: the integers in the crossbars now."""
        return torch.from_numpy(_data(self.mvm.w).astype(np.float32))

    @property
    def factor(self) -> Tensor:
        """``[groups·M]``: what ``post`` multiplies sums by now."""
        held = _data(self.post.scale).astype(np.float32)
        return torch.from_numpy(np.broadcast_to(held, (self.mvm.outputs,)).copy())

    def bias_of(self, zero: int) -> Tensor:
        """``[groups·M]``: the bias now, without what undoes offset and zero of the input."""
        held = torch.from_numpy(_data(self.reduce.bias).astype(np.float64))
        return (held + (self.mvm.input_offset + zero) * self.ints.double().sum(dim=1)).float()

    def store(self, ints: Tensor, bias: Tensor, factor: Tensor, zero: int) -> None:
        """Write integers, a bias as of :meth:`bias_of`, and factors into the graph."""
        whole = ints.detach().cpu().double().round()
        undone = (self.mvm.input_offset + zero) * whole.sum(dim=1)
        _write(self.mvm.w, whole.numpy())
        _write(self.reduce.bias, (bias.detach().cpu().double().round() - undone).numpy())
        _write(self.post.scale, factor.detach().cpu().numpy())


def find_unit(mvm: Mvm, graph: Graph) -> tuple[words.Reduce, words.Rescale | Dequantize] | str:
    """Return the sum and the step that follow a product, or why it cannot be retrained."""
    reduce = _only_user(graph, mvm.result)
    if not isinstance(reduce, words.Reduce):
        return "something else than one sum reads its partial sums"
    post = _only_user(graph, reduce.result)
    if not isinstance(post, words.Rescale | Dequantize):
        return "its sums are neither rescaled nor dequantised"
    for weight in (mvm.w, reduce.bias, post.scale):
        if not isinstance(weight, Weight) or weight.data is None:
            return "its weights are not constant"
        if len(weight.users) > 1:
            return "it shares its weights with another unit"
    return reduce, post


def spread_grids(graph: Graph, known: dict[Value, Grid]) -> None:
    """Give values that are moved from others, into them, or on in time, the grid of those."""
    for cell in graph.cells():
        spread_grids(cell, known)
    written = {op.slot: op.value for op in graph.ops if isinstance(op, Next)}
    for op in graph.ops:
        if isinstance(op, State) and written.get(op.slot) in known:
            known.setdefault(op.result, known[written[op.slot]])
        if isinstance(op, MOVES) and op.x in known:
            known.setdefault(op.result, known[op.x])
    for op in reversed(graph.ops):
        if isinstance(op, MOVES) and op.result in known and not op.x.type.dtype.is_float:
            known.setdefault(op.x, known[op.result])


class Grids:
    """The grid of each integer value; a change of one is passed on to all that reads the value."""

    def __init__(
        self,
        graph: Graph,
        known: dict[Value, Grid],
        units: dict[Mvm, Unit],
        *,
        powers: bool = False,
    ) -> None:
        spread_grids(graph, known)
        self.known = known
        self.powers = powers
        """Whether steps and factors are powers of two, and must stay so."""
        self._outputs = set(graph.outputs)
        self._units = units

    def __getitem__(self, value: Value) -> Grid:
        return self.known[value]

    def __contains__(self, value: Value) -> bool:
        return value in self.known

    def real(self, x: Tensor, value: Value) -> Tensor:
        """Return what a value's tensor stands for: integers off their grid, floats as they are."""
        if value.type.dtype.is_float:
            return x
        grid = self.known[value]
        return (x - grid.zero) * grid.step

    def whole(self, x: Tensor, value: Value) -> Tensor:
        """Return real numbers as a value's integers, within its known range."""
        if value.type.dtype.is_float:
            return x
        grid, held = self.known[value], value.type.range
        steps = torch.round(x / grid.step) + grid.zero
        return steps if held is None else torch.clamp(steps, held[0], held[1])

    def free(self, value: Value) -> bool:
        """Whether every reader of a value, moves apart, can be told of a new step."""
        if value in self._outputs or value not in self.known:
            return False
        return all(self._tellable(user, value) for user in value.users)

    def change(self, value: Value, step: float) -> None:
        """Give a value another step; its zero stays."""
        factor = step / self.known[value].step
        self.known[value] = Grid(step, self.known[value].zero)
        for user in dict.fromkeys(value.users):
            self._tell(user, value, factor, step)

    def _tellable(self, user: Op, value: Value) -> bool:
        if isinstance(user, MOVES):
            return self.free(user.result)
        if isinstance(user, Mvm):
            return user in self._units
        return bool(adjustable([user], ()))

    def _tell(self, user: Op, value: Value, factor: float, step: float) -> None:
        if isinstance(user, MOVES):
            self.change(user.result, step)
        elif isinstance(user, Mvm):
            unit = self._units[user]
            _write(unit.post.scale, (unit.factor * factor).numpy())
        elif isinstance(user, words.AveragePool | words.Rescale):
            multiply(user, factor)
        elif isinstance(user, words.Add):
            if user.a is value:
                user.a_scale = single(user.a_scale * factor)
            if user.b is value:
                user.b_scale = single(user.b_scale * factor)


def single(x: float) -> float:
    """Return the nearest float32, which is what an op computes with."""
    return float(np.float32(x))


def _only_user(graph: Graph, value: Value) -> Op | None:
    read = len(value.users) == 1 and not any(value is out for out in graph.outputs)
    return value.users[0] if read else None


def _data(value: Value | None) -> Array:
    assert isinstance(value, Weight)
    assert value.data is not None
    return value.data


def _write(value: Value | None, numbers: Array) -> None:
    """Replace the numbers of a weight, which keeps its element type."""
    assert isinstance(value, Weight)
    dtype = value.type.dtype.numpy
    if dtype.kind == "i":
        info = np.iinfo(dtype)
        assert numbers.min(initial=0) >= info.min
        assert numbers.max(initial=0) <= info.max
    value.data = np.ascontiguousarray(numbers.astype(dtype))
    made = TensorType(DType.of(dtype), value.data.shape)
    value.type = made if value.type.range is None else made.with_range(*value.type.range)
