"""Fan-out: how many crossbars read each result, and those of one crossbar together.

A *result* is one element of what a unit or the vector unit makes in one inference; it is counted
once for each block of a product, in each of its copies, that is driven by it. Moves hand results
on. Inputs of the network come from outside the chip and are not bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.diagnostics import Diagnostic, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.spatial import DepthToSpace, SpaceToDepth
from neutrams.ir.ops.tensors import Concat, Expand, Pad, Reshape, Slice, Split, Tile, Transpose
from neutrams.ir.ops.time import Next, Run, State
from neutrams.ir.ops.unit import Lut, Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.ir.types import Array, Symbol, bind

Ints = NDArray[np.int64]
NOTHING = -1
"""In place of an element: a pad, which nothing makes."""

MOVES = (
    *(Concat, DepthToSpace, Expand, Gather, Pad, Reshape),
    *(Slice, SpaceToDepth, Split, Tile, Transpose),
)


@dataclass(frozen=True, slots=True)
class Reads:
    """Crossbars that read the results of one value."""

    each: Ints
    """In the value's shape, every symbol bound to 1: crossbars that read each element."""
    together: int
    """The most crossbars that read any result of one crossbar's neurons."""

    @property
    def most(self) -> int:
        return int(self.each.max(initial=0))


def is_move(op: Op | None) -> bool:
    """Say whether an op hands on elements of integer tensors."""
    if not isinstance(op, MOVES) or op.results[0].type.dtype.is_float:
        return False
    return not isinstance(op, Gather) or isinstance(op.indices, Weight)


def fan_out(graph: Graph, copies: Mapping[Mvm, int] | None = None) -> dict[Value, Reads]:
    """Return what reads each integer value that is made in a graph and its cells, moves apart.

    Args:
        graph: A unit graph.
        copies: Copies of units, where there are more than one.
    """
    count = counted(graph, copies)
    return {value: count.reads(value) for value in count.first if not from_outside(value, graph)}


def counted(graph: Graph, copies: Mapping[Mvm, int] | None = None) -> Count:
    """Return the elements of a graph's integer values, and who reads them."""
    count = Count(copies or {})
    count.add(graph)
    return count


def faults(graph: Graph, target: Target) -> list[Diagnostic]:
    """Return the fault of every value that more crossbars read than the target allows."""
    limits = target.limits
    if not limits.fan_out and not limits.crossbar_fan_out:
        return []
    found = list[Diagnostic]()
    for value, reads in fan_out(graph).items():
        bounds = (
            ("fan-out", reads.most, limits.fan_out, "a result"),
            ("crossbar-fan-out", reads.together, limits.crossbar_fan_out, "a crossbar's results"),
        )
        for name, given, allowed, what in bounds:
            if allowed and given > allowed:
                assert value.op is not None
                message = f"{what} of `%{value.name}` go to {given} crossbars"
                fault = error("NT0150", f"{message}; `{target.name}` allows {allowed}")
                fault = fault.at(value.op.where).note(f"the limit is `{name}`, copies not counted")
                found.append(fault.help('copy or relay it: --passes "…,limit-fan-out"'))
    return found


def most_copies(graph: Graph, target: Target) -> dict[Mvm, int]:
    """Return how often each unit may be held, so that no fan-out is exceeded.

    If every reader of a result is copied at most as often as this, all together stay within.
    Nothing is said of units that no limit concerns.
    """
    limits = target.limits
    if not limits.fan_out and not limits.crossbar_fan_out:
        return {}
    count = counted(graph)
    inside = np.ones(count.size, bool)
    for value, first in count.first.items():
        if from_outside(value, graph):
            inside[first : first + prod(_shape(value))] = False
    found: dict[Mvm, int] = {}
    for op in (op for each in [graph, *graph.cells()] for op in each.ops if isinstance(op, Mvm)):
        ids = np.unique(count.ids[op.x])
        ids = ids[ids >= 0]
        ids = ids[inside[ids]]
        chunks = count.chunk[ids]
        bounds = (
            (limits.fan_out, int(count.each[ids].max(initial=0))),
            (limits.crossbar_fan_out, int(count.together[chunks[chunks >= 0]].max(initial=0))),
        )
        caps = [max(1, allowed // given) for allowed, given in bounds if allowed and given]
        if caps:
            found[op] = min(caps)
    return found


def from_outside(value: Value, graph: Graph) -> bool:
    """Say whether a value only shows inputs of a graph, or constants."""
    op = value.op
    if op is None:
        return isinstance(value, Weight) or any(value is given for given in graph.inputs)
    if isinstance(op, Quantize):
        return from_outside(op.x, graph)
    moves = op.name.startswith("tensor.")
    return moves and all(from_outside(each, graph) for each in op.present)


@dataclass(slots=True)
class Count:
    """The elements of integer values by number, and what is known of each."""

    copies: Mapping[Mvm, int]
    first: dict[Value, int] = field(default_factory=dict)
    """The number of the first element of each value that is made."""
    ids: dict[Value, Ints] = field(default_factory=dict)
    """The element that each place of a value shows."""
    each: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Crossbars that read each element."""
    chunk: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """The crossbar whose neurons make each element, as a number; crossbars that share their
    neurons, by splits of rows, as one."""
    together: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Crossbars that each chunk's neurons drive."""
    fresh: list[Ints] = field(default_factory=list)
    """Chunks of elements that ``each`` has no room for yet."""
    size: int = 0
    chunks: int = 0

    def add(self, graph: Graph) -> None:
        """Number the elements of a graph, then count who reads them; cells where they run."""
        for value in graph.inputs:
            if value not in self.ids and not value.type.dtype.is_float:
                self._number(value)
        for op in graph.ops:
            self._enter(op)
        self._make_room()
        written = {op.slot: op.value for op in graph.ops if isinstance(op, Next)}
        kept = [
            (self.ids[op.result].ravel(), self.ids[written[op.slot]].ravel())
            for op in graph.ops
            if isinstance(op, State) and op.result in self.ids and written[op.slot] in self.ids
        ]
        for state, source in kept:
            self.chunk[state] = self.chunk[source]
        for op in graph.ops:
            if isinstance(op, Mvm):
                for ids, crossbars in driven(op, self.ids[op.x], self.copies.get(op, 1)):
                    self.each[ids] += crossbars
                    chunks = np.unique(self.chunk[ids])
                    self.together[chunks[chunks >= 0]] += crossbars
        for state, source in kept:
            self.each[source] += self.each[state]

    def reads(self, value: Value) -> Reads:
        first, shape = self.first[value], _shape(value)
        each = slice(first, first + prod(shape))
        made = np.unique(self.chunk[each])
        together = int(self.together[made[made >= 0]].max(initial=0))
        return Reads(self.each[each].reshape(shape), together)

    def chunk_of(self, value: Value) -> Ints:
        """Return, in a value's shape, a number of the crossbar that makes each element; or -1."""
        first, shape = self.first[value], _shape(value)
        return self.chunk[first : first + prod(shape)].reshape(shape)

    def _enter(self, op: Op) -> None:
        if isinstance(op, Run):
            self._run(op)
        elif is_move(op) and all(isinstance(v, Weight) or v in self.ids for v in op.present):
            shown = [None if v is None else self._shown(op, v) for v in op.operands]
            found = op.evaluate(*shown)
            parts = found if isinstance(found, tuple) else (found,)
            self.ids.update(zip(op.results, (np.asarray(p, np.int64) for p in parts), strict=True))
        elif not _is_inner(op):
            for value in op.results:
                if not value.type.dtype.is_float:
                    self._number(value)

    def _shown(self, op: Op, value: Value) -> Array:
        """Return the elements an operand shows; of constants, indices as they are."""
        if not isinstance(value, Weight):
            return self.ids[value]
        assert value.data is not None
        if isinstance(op, Gather) and value is op.indices:
            return value.data
        return np.full(value.data.shape, NOTHING, np.int64)

    def _number(self, value: Value) -> None:
        shape = _shape(value)
        first, size = self.size, prod(shape)
        self.size += size
        self.first[value] = first
        self.ids[value] = np.arange(first, first + size).reshape(shape)
        chunk = np.full(shape, NOTHING, np.int64)
        if (found := unit_behind(value)) is not None:
            mvm, axis = found
            of_neuron, count = _chunk_of_neuron(mvm)
            spread = [1] * len(shape)
            spread[axis] = -1
            chunk[...] = self.chunks + of_neuron.reshape(spread)
            self.chunks += count
        self.fresh.append(chunk.ravel())

    def _make_room(self) -> None:
        self.chunk = np.concatenate([self.chunk, *self.fresh])
        self.fresh.clear()
        self.each = np.concatenate([self.each, np.zeros(self.size - len(self.each), np.int64)])
        more = np.zeros(self.chunks - len(self.together), np.int64)
        self.together = np.concatenate([self.together, more])

    def _run(self, op: Run) -> None:
        """Let a cell show what it is given, and a run what its cell makes at any step."""
        fresh = not any(value in self.ids for value in op.cell.outputs)
        for given, axis, value in zip(op.sources, op.over, op.cell.inputs, strict=True):
            if fresh and given in self.ids:
                ids = self.ids[given]
                self.ids[value] = ids if axis < 0 else np.take(ids, 0, axis=axis)
        if fresh:
            self.add(op.cell)
        for value, made, axis in zip(op.results, op.cell.outputs, op.stack, strict=True):
            if made in self.ids:
                ids = self.ids[made]
                ids = ids if axis < 0 else np.expand_dims(ids, axis)
                self.ids[value] = np.broadcast_to(ids, _shape(value))


def _is_inner(op: Op) -> bool:
    """Say whether an op makes sums that stay within their unit."""
    follow = {Mvm: (Reduce,), Reduce: (Rescale, Dequantize)}.get(type(op), ())
    return bool(follow) and all(isinstance(user, follow) for user in op.results[0].users)


def driven(op: Mvm, ids: Ints, copies: int = 1) -> Iterator[tuple[Ints, int]]:
    """Yield elements and how many crossbars each drives, for each set of rows of a product.

    ``ids`` are those that its input shows; a crossbar is driven once by each, at any window.
    """
    table = op.table()
    rows, blocks = np.unique(table[:, [0, 1, 2, 3]], axis=0, return_counts=True)
    taps = prod(op.kernel) if op.kernel else 1
    channels = op.fan_in // taps
    apart = np.moveaxis(ids, 1, -1) if op.kernel else ids
    apart = apart.reshape(-1, op.groups, channels)
    for (group_lo, group_hi, row_lo, row_hi), count in zip(rows, blocks.tolist(), strict=True):
        seen = apart[:, group_lo:group_hi, row_lo // taps : -(-row_hi // taps)]
        found = np.unique(seen)
        yield found[found >= 0], count * copies


def unit_behind(value: Value) -> tuple[Mvm, int] | None:
    """Return the product that makes a value with what follows it, and the axis of its neurons."""
    op = value.op
    op = op.x.op if isinstance(op, Lut) else op
    op = op.x.op if isinstance(op, Rescale) else op
    if not isinstance(op, Reduce) or not isinstance(op.partials.op, Mvm):
        return None
    mvm = op.partials.op
    return mvm, 1 if mvm.kernel else value.type.rank - 1


def _chunk_of_neuron(op: Mvm) -> tuple[Ints, int]:
    """Return ``[neurons]``: which crossbar makes each, and how many there are."""
    found, count = np.zeros(op.outputs, np.int64), 0
    for block in op.table():
        if block[2] == 0:
            found[op.columns_of(block)] = count
            count += 1
    return found, count


def _shape(value: Value) -> tuple[int, ...]:
    return tuple(
        bind(dim, dict.fromkeys(dim.names, 1)) if isinstance(dim, Symbol) else dim
        for dim in value.type.shape
    )
