"""What one retraining works on: a graph, its original, and samples of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.time import Run as TimeRun
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.passes.base import PassContext
from neutrams.passes.retraining.lessons import chosen_samples, lessons_of
from neutrams.passes.retraining.options import Retraining
from neutrams.passes.retraining.teacher import Lesson, Teacher
from neutrams.training.batched import Samples
from neutrams.training.segments import Segment
from neutrams.training.settings import choose_device
from neutrams.training.units import Grid, Grids

Split = tuple[Tensor, Tensor]
"""Numbers of the samples to learn from, and of those held out."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All that one retraining works on."""

    graph: Graph
    ctx: PassContext
    options: Retraining
    teacher: Teacher
    lessons: dict[Mvm, Lesson]
    data: dict[str, Array]
    samples: Samples
    """Of the graph."""
    original: Samples
    """Of the teacher's graph."""
    grids: Grids
    split: Split
    device: str

    @staticmethod
    def of(graph: Graph, ctx: PassContext, options: Retraining) -> Scene | None:
        """Return what there is to retrain; ``None`` where the teacher knows no unit.

        Raises:
            NeutramsError: NT0208, NT0216: data or device are at fault.
        """
        assert ctx.teacher is not None
        data = chosen_samples(graph, ctx, options.samples)
        count = max(len(array) for array in data.values())
        samples = Samples(graph, count)
        teacher = Teacher(ctx.teacher)
        lessons = lessons_of(graph, teacher, ctx, samples)
        if not lessons:
            return None
        device = choose_device(options.device)
        known = {
            v: Grid(*ctx.grids[v.name])
            for home in (graph, *graph.cells())
            for v in home.values()
            if v.name in ctx.grids
        }
        return Scene(
            graph,
            ctx,
            options,
            teacher,
            lessons,
            data,
            samples,
            Samples(teacher.graph, count, teacher.extra),
            Grids(
                graph,
                known,
                {op: item.unit for op, item in lessons.items()},
                powers=all(np.frexp(grid.step)[0] == 0.5 for grid in known.values()),
            ),
            _split(count, options.held_out, ctx.seed, device),
            device,
        )

    @property
    def ends(self) -> set[Op]:
        """The last ops of units."""
        return {item.unit.post for item in self.lessons.values()}

    @property
    def cells(self) -> list[TimeRun]:
        """Runs whose cells hold units."""
        runs = (op for op in self.graph.ops if isinstance(op, TimeRun))
        return [op for op in runs if any(unit in self.lessons for unit in op.cell.ops)]

    def lessons_in(self, part: Segment) -> list[Lesson]:
        """Return those of the units in a segment, its cells included."""
        cells = [op.cell.ops for op in part.ops if isinstance(op, TimeRun)]
        ops = [*part.ops, *(op for inside in cells for op in inside)]
        return [self.lessons[op] for op in ops if isinstance(op, Mvm) and op in self.lessons]

    def known(self, value: Value) -> bool:
        """Whether a value can be compared with one of the teacher."""
        there = value.type.dtype.is_float or value in self.grids
        return there and self.teacher.value(value) is not None

    def scattered(self, op: Mvm) -> bool:
        """Whether the samples that a product reads cannot be told apart."""
        return op in self.samples.mixing or self.samples.axis(op.x) is None

    def mixes(self, part: Segment) -> bool:
        """Whether a segment cannot be learnt at once, sample by sample."""
        if part.anchor is None or self.samples.axis(part.anchor) is None:
            return True
        return any(op in self.samples.mixing for op in part.ops)


def _split(count: int, share: float, seed: int, device: str) -> Split:
    order = np.random.default_rng(seed).permutation(count)
    held = min(max(1, round(count * share)), count - 1) if count > 1 else 0
    seen, out = np.sort(order[held:]), np.sort(order[:held] if held else order)
    return torch.from_numpy(seen).to(device), torch.from_numpy(out).to(device)
