"""What retraining works on: samples, and the units that the teacher knows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.ops.time import Run
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, Dim
from neutrams.passes.base import PassContext
from neutrams.passes.retraining.merged import merged_lessons
from neutrams.passes.retraining.teacher import Lesson, Teacher, lesson
from neutrams.passes.samples import batches
from neutrams.training.batched import Samples
from neutrams.training.chunks import obstacle

STEPS = 2**16
"""Steps of all sequences together, about."""
FEWEST = 16
"""Sequences that are taken however long they are."""


def lessons_of(
    graph: Graph, teacher: Teacher, ctx: PassContext, samples: Samples
) -> dict[Mvm, Lesson]:
    """Return what the teacher knows of each unit; remark those that cannot be retrained."""
    lessons = merged_lessons(graph, teacher, ctx)
    for home in (graph, *graph.cells()):
        reason = _cell_obstacle(home, graph, samples, teacher) if home is not graph else ""
        for op in (op for op in home.ops if isinstance(op, Mvm) and op not in lessons):
            found = reason or _whole_batch(op, home is graph, samples) or lesson(op, home, teacher)
            if isinstance(found, str):
                ctx.remark(op, f"not retrained: {found}", kind="missed")
            else:
                lessons[op] = found
    return lessons


def chosen_samples(graph: Graph, ctx: PassContext, most: int) -> dict[str, Array]:
    """Return calibration samples, of long sequences so many that all their steps fit in memory."""
    assert ctx.calibration is not None
    steps = _longest(graph, ctx.calibration)
    most = min(most, max(FEWEST, STEPS // steps))
    return next(batches(graph, ctx.calibration, limit=most, size=most))


def _longest(graph: Graph, data: Mapping[str, Array]) -> int:
    """Return the most steps that a run of the graph takes on the data."""
    sizes: dict[Dim, int] = {}
    for value in (v for v in graph.inputs if v.name in data):
        sizes.update(zip(value.type.shape, np.shape(data[value.name]), strict=False))
    lengths = [op.length for op in graph.ops if isinstance(op, Run)]
    return max((n if isinstance(n, int) else sizes.get(n, 1) for n in lengths), default=1)


def _whole_batch(op: Mvm, outside: bool, samples: Samples) -> str:
    free = not outside or samples.has(op.x)
    return "" if free else "its input has no free axis of samples"


def _cell_obstacle(cell: Graph, graph: Graph, samples: Samples, teacher: Teacher) -> str:
    """Return why the units of a cell cannot be retrained; empty where they can."""
    runs = [op for op in graph.ops if isinstance(op, Run) and op.cell is cell]
    if len(runs) != 1:
        return "its cell is run in several places, or within another"
    if original_run(runs[0], teacher) is None:
        return "the original network has no such run"
    return obstacle(runs[0], mixing=runs[0] in samples.mixing)


def original_run(run: Run, teacher: Teacher) -> Run | None:
    """Return the teacher's run that one of the chip stands for."""
    found = teacher.value(run.results[0])
    return found.op if found is not None and isinstance(found.op, Run) else None
