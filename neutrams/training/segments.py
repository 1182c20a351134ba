"""Cut a graph into segments that one value leaves, so that each can be trained by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.time import SAME, Run
from neutrams.ir.ops.unit_mvm import Mvm


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Consecutive ops. Nothing but ``output`` is read later, unless a run cuts the segment off."""

    ops: tuple[Op, ...]
    anchor: Value | None
    """The value whose counterpart in the teacher is known; ``None`` where there is none."""
    tail: tuple[Op, ...]
    """Pools behind the anchor, to be done to the teacher's value as well."""

    @property
    def output(self) -> Value | None:
        return self.tail[-1].result if self.tail else self.anchor

    @property
    def inputs(self) -> list[Value]:
        """What the ops read that none of them makes, weights apart."""
        made = {value for op in self.ops for value in op.results}
        read = dict.fromkeys(value for op in self.ops for value in op.present)
        return [v for v in read if v not in made and not isinstance(v, Weight)]


def segments(
    graph: Graph, known: Callable[[Value], bool], alone: Collection[Run] = ()
) -> list[Segment]:
    """Return all ops, in order, in segments as short as may be that hold a product each.

    A segment ends where a single value crosses over to later ops and ``known`` says that the
    teacher has it. The rest, with nothing to train or to compare with, is the last segment. Runs
    in ``alone`` are segments of their own; what is made before one ends with its sequence.
    """
    last = _last_reads(graph)
    found: list[Segment] = []
    begin, index = 0, 0
    alive = {value for value in graph.inputs if last.get(value, -1) >= 0}
    while index < len(graph.ops):
        op = graph.ops[index]
        if isinstance(op, Run) and op in alone:
            if begin < index:
                found.append(_before(op, tuple(graph.ops[begin:index]), known))
            found.append(Segment((op,), None, ()))
            begin = index + 1
        alive = _after(graph, index, alive, last)
        part = graph.ops[begin : index + 1]
        if len(alive) == 1 and any(isinstance(op, Mvm) for op in part):
            (value,) = alive
            if value.op is not None and known(value):
                tail = _tail(graph, value, index)
                index += len(tail)
                alive = {tail[-1].result} if tail else alive
                found.append(Segment((*part, *tail), value, tuple(tail)))
                begin = index + 1
        index += 1
    if begin < len(graph.ops):
        found.append(Segment(tuple(graph.ops[begin:]), None, ()))
    return found


def _before(run: Run, ops: tuple[Op, ...], known: Callable[[Value], bool]) -> Segment:
    made = {value for op in ops for value in op.results}
    steps = (v for v, axis in zip(run.sources, run.over, strict=True) if axis != SAME)
    return Segment(ops, next((v for v in steps if v in made and known(v)), None), ())


def _last_reads(graph: Graph) -> dict[Value, int]:
    last = {value: index for index, op in enumerate(graph.ops) for value in op.present}
    last.update(dict.fromkeys(graph.outputs, len(graph.ops)))
    return last


def _after(graph: Graph, index: int, alive: set[Value], last: dict[Value, int]) -> set[Value]:
    made = {value for value in graph.ops[index].results if last.get(value, -1) > index}
    return {value for value in alive if last[value] > index} | made


def _tail(graph: Graph, value: Value, index: int) -> list[Op]:
    """Return the pools right behind a value that nothing else reads."""
    tail: list[Op] = []
    for op in graph.ops[index + 1 :]:
        only = len(value.users) == 1 and not any(value is out for out in graph.outputs)
        if not (isinstance(op, MaxPool) and op.x is value and only):
            break
        tail.append(op)
        value = op.result
    return tail
