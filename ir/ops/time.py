"""Time: states that a step reads and writes, and runs of a graph over a sequence of steps.

A graph that holds a state is a *cell*: it says what one step does. ``time.run`` calls it once for
every step. Within a step values are made in order, as in any graph; from step to step only states
carry anything over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import Watch, evaluate, weights_of
from neutrams.ir.op import Op, Value, attr, operand, operands
from neutrams.ir.ops.base import digital, want, want_same
from neutrams.ir.types import Array, Dim, Symbol, TensorType, bind, broadcast, times

Live = dict[Value, Array]
SAME = -1
"""In place of an axis: the same at every step, or of the last step only."""


@digital("time.state")
class State(Op):
    """What ``time.next`` wrote into the slot ``delay`` steps ago, and ``initial`` before that.

    ``initial`` is broadcast to ``shape``, which may name symbols of the graph's inputs. Several
    states may read one slot, with delays of their own.
    """

    initial: Value = operand()
    slot: str = attr()
    shape: tuple[Dim, ...] = attr()
    delay: int = attr(default=1)

    def infer(self) -> TensorType:
        want(self, self.delay >= 1, f"a delay of {self.delay} steps; it is at least 1")
        if broadcast(self.initial.type.shape, self.shape) != self.shape:
            shape = ", ".join(map(str, self.shape))
            raise self.fault("NT0107", f"`{self.initial.type}` does not expand to [{shape}]")
        return self.initial.type.with_shape(self.shape)

    def evaluate(self, initial: Array) -> Array:
        raise self.fault("NT0112", "a state has a value only while a run goes on")


@digital("time.next")
class Next(Op):
    """Write a slot when the step ends."""

    value: Value = operand()
    slot: str = attr()

    def infer(self) -> tuple[TensorType, ...]:
        return ()

    def evaluate(self, value: Array) -> tuple[Array, ...]:
        raise self.fault("NT0112", "a slot is written only while a run goes on")

    def is_needed(self, graph: Graph) -> bool:
        return any(isinstance(op, State) and op.slot == self.slot for op in graph.ops)


class Memory:
    """The slots of a cell while it runs."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = dict(sizes)
        self._written: dict[str, list[Array]] = {}
        self._depth: dict[str, int] = {}
        """The longest delay that each slot is read with."""
        self._staged: dict[str, Array] = {}

    def does(self, op: Op, live: Live) -> bool:
        """Read or write a slot; say whether that is what the op does."""
        match op:
            case State():
                live[op.result] = self._read(op, live)
            case Next():
                self._staged[op.slot] = live[op.value]
            case _:
                return False
        return True

    def end_step(self) -> None:
        """Make what was written there for the steps to come."""
        for slot, array in self._staged.items():
            written = self._written.setdefault(slot, [])
            written.append(array)
            del written[: -self._depth.get(slot, 1)]

    def _read(self, op: State, live: Live) -> Array:
        self._depth[op.slot] = max(op.delay, self._depth.get(op.slot, 1))
        written = self._written.get(op.slot, [])
        if len(written) < op.delay:
            shape = [bind(d, self._sizes) for d in op.shape]
            return np.array(np.broadcast_to(live[op.initial], shape))
        return written[-op.delay]


Step = Callable[[Live, Memory], None]
"""Adds to the inputs of a cell all that one step makes of them."""


@digital("time.run")
class Run(Op):
    """Call a cell once for each step of a sequence.

    Operands are those of the cell: one for each of its inputs, either consumed step by step along
    the axis that ``over`` states, or given whole to every step. A result is the output of all
    steps, stacked along the axis that ``stack`` states, or of the last step alone. States begin
    anew with every run.
    """

    sources: tuple[Value, ...] = operands()
    cell: Graph = attr()
    over: tuple[int, ...] = attr()
    """For each operand the axis it is consumed along; -1 where every step reads all of it."""
    stack: tuple[int, ...] = attr()
    """For each result the axis that counts the steps; -1 where it is of the last step alone."""
    reverse: bool = attr(default=False)
    """Take the steps of a sequence from the last to the first; results keep its order."""
    steps: int = attr(default=0)
    """How many steps, where no operand is a sequence."""

    @property
    def graphs(self) -> tuple[Graph, ...]:
        return (self.cell,)

    @property
    def length(self) -> Dim:
        """The number of steps."""
        axes = zip(self.sources, self.over, strict=True)
        return next((v.type.shape[axis] for v, axis in axes if axis != SAME), self.steps)

    def infer(self) -> tuple[TensorType, ...]:
        name, inputs, outputs = self.cell.name, self.cell.inputs, self.cell.outputs
        if not len(self.sources) == len(self.over) == len(inputs):
            counts = f"{len(self.sources)} operands and {len(self.over)} axes"
            raise self.fault("NT0107", f"`@{name}` reads {len(inputs)} values, given {counts}")
        want_same(self, len(self.stack), len(outputs), f"axes and outputs of `@{name}`")
        for source, axis, wanted in zip(self.sources, self.over, inputs, strict=True):
            self._check_source(source, axis, wanted)
        length = self.length
        want(self, length != 0, "no operand is a sequence, so `steps` has to say how many")
        return tuple(
            _stacked(self, value.type.plain(), axis, length)
            for value, axis in zip(outputs, self.stack, strict=True)
        )

    def _check_source(self, source: Value, axis: int, wanted: Value) -> None:
        given = source.type.plain()
        if axis != SAME:
            want(self, 0 <= axis < given.rank, f"no axis {axis} in `{given}` to step along")
            want_same(self, given.shape[axis], self.length, "steps of two sequences")
            given = given.with_shape([*given.shape[:axis], *given.shape[axis + 1 :]])
        if given != wanted.type.plain():
            message = (
                f"a step of `@{self.cell.name}` reads `{wanted.type.plain()}`, given `{given}`"
            )
            raise self.fault("NT0107", message)

    def evaluate(self, *sources: Array) -> tuple[Array, ...]:
        return self.watched(None, *sources)

    def watched(self, watch: Watch | None, *sources: Array) -> tuple[Array, ...]:
        weights = weights_of(self.cell)

        def step(live: Live, memory: Memory) -> None:
            live |= weights
            if watch is not None:
                for value in self.cell.inputs:
                    watch(value, live[value])
            for op in self.cell.ops:
                if not memory.does(op, live):
                    live.update(zip(op.results, evaluate(op, live, watch), strict=True))
                if watch is not None:
                    for value in op.results:
                        watch(value, live[value])

        return self.unroll(sources, step)

    def unroll(self, sources: Sequence[Array], step: Step) -> tuple[Array, ...]:
        """Return the results, given what one step does."""
        inputs, outputs = self.cell.inputs, self.cell.outputs
        length = self._count(sources)
        memory = Memory(self.sizes([array.shape for array in sources]))
        parts: list[list[Array]] = [[] for _ in outputs]
        for t in reversed(range(length)) if self.reverse else range(length):
            live = {
                value: array if axis == SAME else np.array(array[(slice(None),) * axis + (t,)])
                for value, array, axis in zip(inputs, sources, self.over, strict=True)
            }
            step(live, memory)
            for part, value, axis in zip(parts, outputs, self.stack, strict=True):
                if axis == SAME:
                    part.clear()
                part.append(live[value])
            memory.end_step()
        found = zip(parts, self.stack, strict=True)
        return tuple(self._joined(part, axis) for part, axis in found)

    def _count(self, sources: Sequence[Array]) -> int:
        pairs = zip(sources, self.over, strict=True)
        count = next((array.shape[axis] for array, axis in pairs if axis != SAME), self.steps)
        if not count:
            raise self.fault("NT0112", "a run has at least one step")
        return count

    def _joined(self, parts: list[Array], axis: int) -> Array:
        if axis == SAME:
            return parts[0]
        return np.stack(parts[::-1] if self.reverse else parts, axis=axis)

    def sizes(self, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
        """Return what the symbols of the sources stand for, given the shapes of those."""
        sizes: dict[str, int] = {}
        for value, shape in zip(self.sources, shapes, strict=True):
            for dim, size in zip(value.type.shape, shape, strict=True):
                if isinstance(dim, Symbol) and len(dim.names) == 1:
                    sizes.setdefault(dim.names[0], size // dim.factor)
        return sizes


def _stacked(op: Run, type: TensorType, axis: int, length: Dim) -> TensorType:
    if axis == SAME:
        return type
    want(op, 0 <= axis <= type.rank, f"no axis {axis} to stack `{type}` along")
    return type.with_shape([*type.shape[:axis], length, *type.shape[axis:]])


def working_ops(graph: Graph) -> Iterator[tuple[Op, Dim]]:
    """Yield each op that computes, and how often one inference does it, cells included.

    The ops of a cell come where it is run; what only keeps time is left out.
    """
    return within(graph.ops)


def within(ops: Iterable[Op]) -> Iterator[tuple[Op, Dim]]:
    """Yield what :func:`working_ops` does, of some ops of a graph."""
    for op in ops:
        if isinstance(op, Run):
            for inner, count in within(op.cell.ops):
                yield inner, times(count, op.length)
        elif not isinstance(op, State | Next):
            yield op, 1


def step_symbols(graph: Graph) -> set[str]:
    """Return the symbols that count steps of runs: sizes of sequences, not of batches."""
    graphs = [*graph.cells(), graph]
    lengths = [op.length for each in graphs for op in each.ops if isinstance(op, Run)]
    return {name for length in lengths if isinstance(length, Symbol) for name in length.names}
