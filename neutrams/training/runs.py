"""Cells in torch, step by step: with gradients through time, listened to, or cut into chunks.

Steps are counted in the order in which they are done, which a reversed run does from the last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops import time
from neutrams.ir.ops.time import SAME, Next, State
from neutrams.ir.types import bind
from neutrams.training.execute import Live, operand_of, perform, planned
from neutrams.training.rules import rule
from neutrams.training.run import Run

First = Callable[[State, int, Live], Tensor]
"""Gives what a state reads in a step that comes before anything was written for it."""


def walk(cell: Graph, steps: Iterable[Live], first: First, run: Run) -> Iterator[Live]:
    """Do the steps of a cell, given the inputs of each, and yield all values of each."""
    depth = {op.slot: 1 for op in cell.ops if isinstance(op, State)}
    for op in cell.ops:
        if isinstance(op, State):
            depth[op.slot] = max(depth[op.slot], op.delay)
    written: dict[str, list[Tensor]] = {slot: [] for slot in depth}
    plan = [op if isinstance(op, State | Next) else planned([op], run) for op in cell.ops]
    for number, live in enumerate(steps):
        staged: dict[str, Tensor] = {}
        for item in plan:
            if isinstance(item, State):
                past = written[item.slot]
                early = len(past) < item.delay
                live[item.result] = first(item, number, live) if early else past[-item.delay]
            elif isinstance(item, Next):
                staged[item.slot] = operand_of(item.value, live, run)
            else:
                perform(item, live, run)
        for slot in staged.keys() & written.keys():
            written[slot] = [*written[slot], staged[slot]][-depth[slot] :]
        yield live


def slices(op: time.Run, sources: Sequence[Tensor]) -> Iterator[Live]:
    """Yield the inputs of each step of a run."""
    pairs = list(zip(op.cell.inputs, sources, op.over, strict=True))
    count = next((x.shape[axis] for _, x, axis in pairs if axis != SAME), op.steps)
    for t in reversed(range(count)) if op.reverse else range(count):
        yield {v: x if axis == SAME else x.select(axis, t) for v, x, axis in pairs}


def initially(op: time.Run, sources: Sequence[Tensor], run: Run) -> First:
    """Return what states of a run read at its beginning."""
    sizes = op.sizes([tuple(source.shape) for source in sources])

    def first(state: State, number: int, live: Live) -> Tensor:
        return operand_of(state.initial, live, run).expand([bind(d, sizes) for d in state.shape])

    return first


@rule(time.Run)
def run_cell(op: time.Run, run: Run, *sources: Tensor) -> tuple[Tensor, ...]:
    parts: list[list[Tensor]] = [[] for _ in op.stack]
    for live in walk(op.cell, slices(op, sources), initially(op, sources, run), run):
        for part, value, axis in zip(parts, op.cell.outputs, op.stack, strict=True):
            if axis == SAME:
                part.clear()
            part.append(operand_of(value, live, run))
    return tuple(
        part[0] if axis == SAME else torch.stack(part[::-1] if op.reverse else part, dim=axis)
        for part, axis in zip(parts, op.stack, strict=True)
    )


def listen(
    op: time.Run, sources: Sequence[Tensor], wanted: Collection[Value], run: Run
) -> dict[Value, Tensor]:
    """Return the wanted values of a run's cell, the steps along a new first axis."""
    heard: dict[Value, list[Tensor]] = {value: [] for value in wanted}
    with torch.no_grad():
        for live in walk(op.cell, slices(op, sources), initially(op, sources, run), run):
            for value, tensors in heard.items():
                tensors.append(operand_of(value, live, run))
    return {value: torch.stack(tensors) for value, tensors in heard.items()}
