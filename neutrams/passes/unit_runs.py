"""Run unit graphs on calibration data before their matrices are cut, and watch their integers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import bind_inputs, evaluate, weights_of
from neutrams.ir.op import Op, Value, Watch
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, Dim

SAMPLES, FEWEST = 512, 16
"""Calibration samples that are run; the fewest of a large network."""
BATCH = 64
WORK = 2**31
"""Multiply-adds that are run, about; those of cells count as often as converters read."""
INPUTS = 2**23
"""Inputs of all windows of a unit in one batch, about."""


def affordable(graph: Graph) -> tuple[int, int]:
    """Return how many samples to run, and how many at a time."""
    inputs, work, outside = [1], 1, set(graph.ops)
    for op, steps in working_ops(graph):
        if isinstance(op, Mvm):
            inputs.append(_of_one(op.windows) * op.groups * op.fan_in)
            code = op.encoding
            slow = code.phases * code.slices if op not in outside else 1
            work += inputs[-1] * op.outputs // op.groups * _of_one(steps) * slow
    limit = min(SAMPLES, max(FEWEST, WORK // work))
    return limit, min(BATCH, max(1, INPUTS // max(inputs)))


def _of_one(dim: Dim) -> int:
    """Return a number for one sample: every symbol stands for 1."""
    return dim if isinstance(dim, int) else dim.factor


def run_units(graph: Graph, batch: Mapping[str, Array], watch: Watch) -> None:
    """Interpret a graph and show every value; products lose nothing to their converters."""
    live = {**bind_inputs(graph, batch), **weights_of(graph)}
    for value in graph.inputs:
        watch(value, live[value])
    for op in graph.ops:
        for value, array in zip(op.results, _results(op, live, watch), strict=True):
            live[value] = array
            watch(value, array)


def _results(op: Op, live: Mapping[Value, Array], watch: Watch) -> tuple[Array, ...]:
    if not isinstance(op, Mvm) or op.splits > 1:
        return evaluate(op, live, watch)
    seen = op.gather(live[op.x]).astype(np.float64)
    w = live[op.w].reshape(op.groups, -1, op.fan_in).astype(np.float64)
    sums = np.einsum("ngk,gmk->ngm", seen, w, optimize=True).reshape(1, len(seen), -1)
    made = op.scatter(np.rint(sums).astype(np.int64), live[op.x].shape)
    return (np.asarray(made, op.result.type.dtype.numpy),)
