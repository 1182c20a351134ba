"""``expand-recurrence``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.recurrent import DIRECTIONS, Lstm, Recurrent
from neutrams.ir.ops.tensors import Concat, Reshape, Slice, Transpose
from neutrams.ir.ops.time import SAME, Run
from neutrams.ir.types import Array, Symbol
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import constant
from neutrams.passes.recurrent_cells import Cell, Way, fill


@dataclass(frozen=True)
class ExpandRecurrence(Pass):
    """Spell recurrent layers as runs of a cell, whose products crossbars can hold.

    The products of the input do not wait for the state, so they are made for all steps at once,
    before the run; the cell holds the products of the state and the gates.
    """

    name: ClassVar[str] = "expand-recurrence"
    takes: ClassVar = ("nn",)

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        for op in list(graph.ops):
            if not isinstance(op, Recurrent):
                continue
            if reason := _obstacle(op):
                ctx.remark(op, f"stays one op: {reason}", kind="missed")
                continue
            ctx.remark(op, f"became a run of its cell over {op.x.type.shape[_time(op)]} steps")
            _expand(graph, op)
            changed = True
        if changed:
            graph.prune()
        return changed


def _obstacle(op: Recurrent) -> str:
    if op.lengths is not None:
        return "its sequences differ in length"
    if not op.x.type.dtype.is_float:
        return "it does not compute in floating point"
    p = op.p if isinstance(op, Lstm) else None
    if any(value is not None and constant(value) is None for value in (op.w, op.r, op.b, p)):
        return "its weights are not constant, or only their shapes are known"
    return ""


def _expand(graph: Graph, op: Recurrent) -> None:
    ways = [_Direction(graph, op, index).run() for index in range(len(DIRECTIONS[op.direction]))]
    for index, old in enumerate(op.results):
        if not graph.is_read(old):
            continue
        parts = [found[index] for found in ways]
        axis = _way_axis(op) if index else _time(op) + 1 if op.batch_first else 1
        _replace(graph, op, old, [value for value in parts if value is not None], axis)
    graph.erase(op)


def _replace(graph: Graph, op: Recurrent, old: Value, parts: list[Value], axis: int) -> None:
    """Put the results of all directions, along their axis, in place of an old result."""
    name = old.name
    graph.rename(old, f"{name}.old")
    shape = (*old.type.shape[:axis], 1, *old.type.shape[axis + 1 :])
    made = [_add(graph, op, Reshape(part, shape=shape), f"{part.name}.way") for part in parts]
    if len(made) > 1:
        made = [_add(graph, op, Concat(tuple(made), axis=axis), name)]
    else:
        graph.rename(made[0], name)
    made[0].origin = old.origin
    graph.replace_value(old, made[0])


def _add(graph: Graph, op: Recurrent, new: Op, name: str) -> Value:
    new.where = op.where
    return graph.add(new, name=name, before=op)


def _time(op: Recurrent) -> int:
    return 1 if op.batch_first else 0


def _way_axis(op: Recurrent) -> int:
    """Return the axis of a state that counts directions."""
    return 1 if op.batch_first else 0


def _samples_first(graph: Graph, op: Recurrent) -> tuple[Value, int]:
    """Return the input with its samples before its steps, if any number of them, and the latter.

    So samples lie along the first axis of what crossbars read, as in other networks.
    """
    if op.batch_first or op.x.op is None or not isinstance(op.x.type.shape[1], Symbol):
        return op.x, _time(op)
    swapped = (1, 0, 2)
    if isinstance(op.x.op, Transpose) and tuple(op.x.op.permutation) == swapped:
        return op.x.op.x, 1
    return _add(graph, op, Transpose(op.x, permutation=swapped), f"{op.x.name}.samples"), 1


class _Direction:
    """One direction of a layer."""

    def __init__(self, graph: Graph, op: Recurrent, index: int) -> None:
        self.graph = graph
        self.op = op
        self.way = _way(op, index)
        self.reverse = DIRECTIONS[op.direction][index]
        self.prefix = op.result.name + (".reverse" if self.reverse else "")

    def run(self) -> list[Value | None]:
        """Add the run before the op and return its values for the op's results, where read."""
        op, time = self.op, _time(self.op)
        batch = op.x.type.shape[0 if op.batch_first else 1]
        step = Graph(f"{self.graph.name}/{self.prefix}")
        cell = Cell(step, self.way, f"{self.prefix}.step", (batch, self.way.hidden))
        first = [self._initial(value) for value in op.carried]
        states = fill(cell, [v.type if isinstance(v, Value) else v for v in first])
        read = [index for index, value in enumerate(op.results) if self.graph.is_read(value)]
        for index in read:
            name = ("output", "h", "c")[index]
            step.output(states[max(index - 1, 0)], name)
        given = [value for value in first if isinstance(value, Value)]
        x, over = _samples_first(self.graph, op)
        sources = (self._gates(x), *given)
        made = Run(
            sources,
            cell=step,
            over=(over, *(SAME for _ in given)),
            stack=tuple(SAME if index else time for index in read),
            reverse=self.reverse,
        )
        made.where = op.where
        names = [f"{self.prefix}.{step.output_names[i]}" for i in range(len(read))]
        self.graph.insert(made, name=names, before=op)
        found: list[Value | None] = [None] * len(op.results)
        for index, value in zip(read, made.results, strict=True):
            found[index] = value
        return found

    def _gates(self, x: Value) -> Value:
        """Add the products of the input for all steps."""
        op, name, dtype = self.op, f"{self.prefix}.gates", self.op.x.type.dtype.numpy
        w = self.graph.weight(f"{self.prefix}.w", np.ascontiguousarray(self.way.w.T, dtype))
        if op.b is None:
            return _add(self.graph, op, Matmul(x, w), name)
        product = _add(self.graph, op, Matmul(x, w), f"{self.prefix}.input")
        bias = self.graph.weight(f"{self.prefix}.b", self.way.early_bias.astype(dtype))
        return _add(self.graph, op, Add(product, bias), name)

    def _initial(self, value: Value | None) -> Value | Array | None:
        """Return ``[batch, H]`` of an initial state: numbers, or a value that is added here."""
        if value is None:
            return None
        axis, index = _way_axis(self.op), self.way.index
        if (data := constant(value)) is not None:
            return np.asarray(np.take(data, index, axis=axis))
        shape = (*value.type.shape[:axis], *value.type.shape[axis + 1 :])
        if value.type.shape[axis] != 1:
            cut = Slice(value, starts=(index,), ends=(index + 1,), axes=(axis,))
            value = _add(self.graph, self.op, cut, f"{self.prefix}.{value.name}")
        return _add(self.graph, self.op, Reshape(value, shape=shape), f"{value.name}.first")


def _way(op: Recurrent, index: int) -> Way:
    w, r = _numbers(op.w)[index], _numbers(op.r)[index]
    bias = np.zeros(2 * len(w), w.dtype) if op.b is None else _numbers(op.b)[index]
    early, late = np.split(bias, 2)
    p = op.p if isinstance(op, Lstm) else None
    return Way(op, index, w, r, early, late, None if p is None else _numbers(p)[index])


def _numbers(value: Value) -> Array:
    data = constant(value)
    assert data is not None
    return data
