"""Inputs made from a network itself: such that its batch norms see the statistics they store.

What a batch norm stores are means and variances of its channels over the training data. Inputs are
moved by gradient descent until the same channels have the same means and deviations (Cai et al.,
ZeroQ, CVPR 2020, section 3.1), batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.normalization import BatchNorm
from neutrams.ir.types import Array
from neutrams.training.executor import execute
from neutrams.training.run import Run, to_tensor

BATCH = 64
"""Inputs that share one set of statistics."""
SIZES = range(-8, 13)
"""Sizes of inputs to begin with, as powers of 2, where no range is known."""
RATE = 0.05
"""Learning rate, in deviations of the inputs begun with."""


@dataclass(frozen=True, slots=True)
class Distilled:
    """Inputs, and how far statistics were from those stored: before and after, in deviations."""

    inputs: dict[str, Array]
    before: float
    after: float


def distil(
    graph: Graph,
    start: Mapping[str, Array],
    *,
    norms: Sequence[BatchNorm],
    bounds: Mapping[str, tuple[float, float]],
    steps: int,
) -> Distilled:
    """Move float inputs from ``start`` so that batch norms see what they store.

    Args:
        graph: A float graph.
        norms: Its batch norms whose statistics are constant; there is one at least.
        start: An array for each input; samples run along the first axis.
        bounds: Ranges that inputs may not leave, by name.
        steps: Steps of descent for each batch.
    """
    ops = _before(graph, norms)
    count = len(next(iter(start.values())))
    parts, far = [], []
    for begin in range(0, count, BATCH):
        part = {name: array[begin : begin + BATCH] for name, array in start.items()}
        made, before, after = _batch(graph, (ops, norms), part, bounds, steps)
        parts.append(made)
        far.append((before, after))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in start}
    before, after = np.mean(far, axis=0)
    return Distilled(joined, float(before), float(after))


def _before(graph: Graph, norms: Sequence[BatchNorm]) -> list[Op]:
    """Return the ops that the inputs of batch norms depend on."""
    needed = {op.x for op in norms}
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if any(value in needed for value in op.results):
            kept.append(op)
            needed.update(op.present)
    return kept[::-1]


def _batch(
    graph: Graph,
    work: tuple[list[Op], Sequence[BatchNorm]],
    start: Mapping[str, Array],
    bounds: Mapping[str, tuple[float, float]],
    steps: int,
) -> tuple[dict[str, Array], float, float]:
    ops, norms = work
    run = Run(fast=True)

    def distance(live: Mapping[Value, Tensor]) -> Tensor:
        held = dict(live)
        execute(ops, held, run)
        return torch.stack([_distance(op, held[op.x]) for op in norms]).mean()

    drawn = {v: to_tensor(start[v.name]) for v in graph.inputs}
    with torch.no_grad():
        before = float(distance(drawn))
        first = _placed(drawn, bounds, distance)
    floats = [v for v in graph.inputs if v.type.dtype.is_float]
    sizes = {v: first[v].std().clamp(min=1e-6) for v in floats}
    moves = {v: torch.zeros_like(first[v], requires_grad=True) for v in floats}
    optimizer = torch.optim.Adam(list(moves.values()), lr=RATE)
    best, least = dict(first), np.inf
    for step in range(steps + 1):
        with torch.enable_grad():
            moved = {v: _within(first[v] + sizes[v] * moves[v], bounds.get(v.name)) for v in floats}
            far = distance({**first, **moved})
        if float(far.detach()) < least:
            least, best = (
                float(far.detach()),
                {**first, **{v: t.detach() for v, t in moved.items()}},
            )
        if step == steps or not far.requires_grad:
            break
        optimizer.zero_grad()
        far.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    made = {v.name: best[v].numpy().astype(start[v.name].dtype) for v in graph.inputs}
    return made, before, least


def _placed(
    drawn: Mapping[Value, Tensor],
    bounds: Mapping[str, tuple[float, float]],
    distance: Callable[[Mapping[Value, Tensor]], Tensor],
) -> dict[Value, Tensor]:
    """Return inputs of the size and the mean that suit best, where no range is known of them."""
    free = [v for v in drawn if v.type.dtype.is_float and v.name not in bounds]
    tried = [
        {**drawn, **{v: 2.0**size * (drawn[v] + mean) for v in free}}
        for size in (SIZES if free else (0,))
        for mean in ((0, 1, -1) if free else (0,))
    ]
    return min(tried, key=lambda live: float(distance(live)))


def _within(x: Tensor, bounds: tuple[float, float] | None) -> Tensor:
    return x if bounds is None else x.clamp(*bounds)


def _distance(op: BatchNorm, x: Tensor) -> Tensor:
    """Return how far means and deviations of channels are from those stored, in deviations."""
    axes = [axis for axis in range(x.ndim) if axis != 1]
    mean, variance = (to_tensor(v.data) for v in (op.mean, op.variance))  # type: ignore[attr-defined]
    deviation = (variance + op.epsilon).sqrt()
    off = (x.mean(dim=axes) - mean) / deviation
    wide = x.var(dim=axes, unbiased=False).add(op.epsilon).sqrt() / deviation - 1
    return (off.square() + wide.square()).mean().sqrt()
