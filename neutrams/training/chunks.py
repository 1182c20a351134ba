"""Sequences cut into chunks of neighbouring steps, which are to a cell what samples are to a layer.

A chunk begins with what the states held there when the whole sequence ran, so gradients reach back
to its beginning and no further (truncated back-propagation through time).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops import time
from neutrams.ir.ops.tensors import Expand, Reshape, Transpose
from neutrams.ir.ops.time import SAME, Next, State
from neutrams.ir.types import Symbol
from neutrams.training.executor import Live
from neutrams.training.run import Run
from neutrams.training.runs import slices, walk
from neutrams.training.units import Grids

WHOLE = 128
"""Sequences of up to so many steps are one chunk."""
LONG = 64
"""Steps of a chunk of a longer sequence, about."""
MANY = 8
"""With so many sequences, some are held out whole; of fewer, some chunks of each."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """Where the chunks of ``sequences`` equally long sequences begin."""

    sequences: int
    steps: int
    """Of a sequence."""
    length: int
    """Steps of a chunk."""

    @staticmethod
    def of(sequences: int, steps: int) -> Chunks:
        count = 1 if steps <= WHOLE else -(-steps // LONG)
        return Chunks(sequences, steps, steps // count)

    @property
    def each(self) -> int:
        """Chunks of a sequence; steps left over at its end are in none."""
        return self.steps // self.length

    @property
    def count(self) -> int:
        return self.sequences * self.each

    def split(self, share: float, seed: int) -> tuple[Tensor, Tensor]:
        """Return the numbers of the chunks to learn from, and of those held out."""
        many = self.sequences >= MANY
        whole = self.sequences if many else self.count
        order = torch.randperm(whole, generator=torch.Generator().manual_seed(seed))
        held = min(max(1, round(whole * share)), whole - 1) if whole > 1 else 0
        seen, out = order[held:].sort()[0], (order[:held] if held else order).sort()[0]
        return self._of(seen, many), self._of(out, many)

    def _of(self, chosen: Tensor, many: bool) -> Tensor:
        """Return the numbers of chunks, given those of sequences, or of chunks already."""
        inner = torch.arange(self.each)
        return (chosen[:, None] * self.each + inner).reshape(-1) if many else chosen

    def cut(self, x: Tensor, which: Tensor, *, length: int = 0) -> Tensor:
        """Return ``[length, chunks, …]`` of ``[steps, sequences, …]``."""
        start = (which % self.each) * self.length
        t = start + torch.arange(length or self.length)[:, None]
        return x[t.to(x.device), (which // self.each).to(x.device)]


@dataclass(frozen=True, slots=True, eq=False)
class CellBody:
    """A cell that is trained on chunks, to make its outputs at every step."""

    run: time.Run
    chunks: Chunks
    grids: Grids
    sizes: Mapping[Value, float]
    """By what each output is divided, so that all count alike."""

    @property
    def ops(self) -> tuple[Op, ...]:
        return tuple(self.run.cell.ops)

    def make(self, inputs: Mapping[Value, Tensor], run: Run) -> Tensor:
        """Return ``[chunks, steps, numbers of all outputs]``."""
        cell = self.run.cell
        over = dict(zip(cell.inputs, self.run.over, strict=True))
        steps: list[Live] = [
            {v: x if over[v] == SAME else x[t] for v, x in inputs.items() if v in over}
            for t in range(self.chunks.length)
        ]

        def first(state: State, number: int, live: Live) -> Tensor:
            return inputs[state.result][number]

        made = [
            self.joined({v: live[v] for v in self.sizes}) for live in walk(cell, steps, first, run)
        ]
        return torch.stack(made, dim=1)

    def joined(self, outputs: Mapping[Value, Tensor], *, axis: int = 1) -> Tensor:
        """Return all numbers of outputs, from an axis on, side by side in one scale."""
        parts = [self.grids.real(x, v).flatten(axis) / self.sizes[v] for v, x in outputs.items()]
        return torch.cat(parts, dim=axis)


def obstacle(op: time.Run, *, mixing: bool) -> str:
    """Return why the sequences of a run cannot be cut and stacked anew; empty where they can.

    They lie along the first axis of all that a step reads. A cell made for one sequence, of size 1
    there, takes several if no op looks along that axis.
    """
    states = [step.result for step in op.cell.ops if isinstance(step, State)]
    over = [v for v, axis in zip(op.cell.inputs, op.over, strict=True) if axis != SAME]
    firsts = {v.type.shape[0] if v.type.rank else None for v in (*states, *over)}
    if len(firsts) != 1:
        return "its sequences do not lie along the first axis"
    (first,) = firsts
    if first == 1:
        return _looks_along(op.cell, [*states, *over])
    return "its steps mix sequences" if mixing or not isinstance(first, Symbol) else ""


def _looks_along(cell: Graph, carried: list[Value]) -> str:
    axes = dict.fromkeys(carried, 0)
    for op in cell.ops:
        if isinstance(op, State | Next) or not any(v in axes for v in op.present):
            continue
        mixes = op.mixes()
        if mixes is None or isinstance(op, Reshape | Expand | Transpose):
            return f"`{op.name}` may mix sequences"
        for value, mixed in zip(op.operands, mixes, strict=False):
            if value in axes and axes[value] in {axis % value.type.rank for axis in mixed}:
                return f"`{op.name}` mixes sequences"
        deepest = max((v for v in op.present if v in axes), key=lambda v: v.type.rank)
        for made in op.results:
            axis = axes[deepest] + made.type.rank - deepest.type.rank
            if axis < 0 or made.type.shape[axis] != 1:
                return f"`{op.name}` loses the axis of sequences"
            axes[made] = axis
    return ""


def in_order(op: time.Run, sources: Mapping[Value, Tensor]) -> dict[Value, Tensor]:
    """Return the inputs of a cell, sequences as ``[steps, …]`` in the order they are done in."""
    given = [sources[value] for value in op.sources]
    axes = dict(zip(op.cell.inputs, op.over, strict=True))
    steps = list(slices(op, given))
    return {
        v: steps[0][v] if axis == SAME else torch.stack([step[v] for step in steps])
        for v, axis in axes.items()
    }
