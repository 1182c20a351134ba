"""Run ops over all calibration samples, a part of them at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, Symbol
from neutrams.training.executor import execute
from neutrams.training.run import Run, to_tensor

PART = 64
"""Samples run at a time."""


def sample_axis(value: Value) -> int | None:
    """Return the axis that counts samples, or ``None``; partial sums have their splits first."""
    axis = int(isinstance(value.op, Mvm))
    shape = value.type.shape
    return axis if len(shape) > axis and isinstance(shape[axis], Symbol) else None


def take(values: Mapping[Value, Tensor], which: Tensor) -> dict[Value, Tensor]:
    """Return the samples of given numbers of each value, and whole what has none."""
    found = {}
    for value, tensor in values.items():
        axis = sample_axis(value)
        found[value] = tensor if axis is None else tensor.index_select(axis, which)
    return found


def run_ops(
    ops: Sequence[Op], live: Mapping[Value, Tensor], wanted: Collection[Value], run: Run
) -> dict[Value, Tensor]:
    """Return the wanted values that ops make of ``live``, for all samples, without gradients."""
    needed = [v for v in dict.fromkeys(x for op in ops for x in op.present) if v in live]
    axes = {v: sample_axis(v) for v in (*needed, *wanted)}
    counts = [live[v].shape[a] for v in needed if (a := axes[v]) is not None]
    count = max(counts, default=1)
    parts: dict[Value, list[Tensor]] = {value: [] for value in wanted if value not in live}
    with torch.no_grad():
        for begin in range(0, count, PART):
            size = min(PART, count - begin)
            part = {
                v: live[v] if (a := axes[v]) is None else live[v].narrow(a, begin, size)
                for v in needed
            }
            _run_part(ops, part, parts, run)
    made = {
        v: found[0] if (a := axes[v]) is None else torch.cat(found, dim=a)
        for v, found in parts.items()
    }
    return {**made, **{v: live[v] for v in wanted if v in live}}


def _run_part(
    ops: Sequence[Op], part: dict[Value, Tensor], parts: dict[Value, list[Tensor]], run: Run
) -> None:
    reads = Counter(value for op in ops for value in op.present)
    for op in ops:
        execute([op], part, run)
        for value in op.results:
            if value in parts:
                parts[value].append(part[value].contiguous())
        for value in dict.fromkeys((*op.present, *op.results)):
            reads[value] -= op.operands.count(value)
            if not reads[value] and not isinstance(value, Weight):
                part.pop(value, None)


def graph_inputs(graph: Graph, data: Mapping[str, Array], device: str) -> dict[Value, Tensor]:
    """Return the graph's inputs as tensors."""
    return {
        v: to_tensor(data[v.name].astype(v.type.dtype.numpy, copy=False), device)
        for v in graph.inputs
    }
