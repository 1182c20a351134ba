"""What the original network makes of the samples, wherever the chip is compared with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.unit import Rescale
from neutrams.passes.retraining.fit import activated
from neutrams.passes.retraining.lessons import original_run
from neutrams.passes.retraining.scene import Scene
from neutrams.passes.retraining.teacher import Lesson, Teacher
from neutrams.training.batched import Samples, graph_inputs, run_ops
from neutrams.training.digital import Digital
from neutrams.training.run import Run
from neutrams.training.segments import Segment


class Targets:
    """What the teacher makes; ``heard`` holds its values, samples as it keeps them."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._inputs = graph_inputs(scene.graph, scene.data, scene.device)
        teacher = scene.teacher
        wanted = {item.sums for item in scene.lessons.values()}
        for cell in scene.cells:
            original = original_run(cell, teacher)
            wanted.update(() if original is None else original.sources)
        made = (op.result for op in scene.graph.ops if op.results and scene.known(op.result))
        wanted |= {found for value in made if (found := teacher.value(value)) is not None}
        outside = [value for value in wanted if teacher.home(value) is teacher.graph]
        self.heard = self._run(teacher.graph, outside, scene.original, teacher.extra)

    def of(self, part: Segment) -> Tensor:
        """Return what the teacher makes where a segment ends."""
        assert part.anchor is not None
        counterpart = self._scene.teacher.value(part.anchor)
        assert counterpart is not None
        return self._ended(part, self.heard[counterpart])

    def final(self, whole: Segment) -> Tensor:
        """Return what the network put out before any of its connections were cut."""
        source = self._scene.ctx.original
        counterpart = None
        if source is not None and whole.anchor is not None:
            counterpart = Teacher(source).value(whole.anchor)
        if source is None or counterpart is None:
            return self.of(whole)
        samples = Samples(source, self._scene.samples.count)
        return self._ended(whole, self._run(source, [counterpart], samples)[counterpart])

    def read(self, value: Value, live: Mapping[Value, Tensor]) -> Tensor:
        """Return what is to be read of a value: what the chip makes now, or the original network.

        What the original has not, such as a sum within a unit, the chip makes of what it has.
        """
        scene = self._scene
        if scene.options.input == "transformed":
            return live[value]
        counterpart = scene.teacher.value(value) if scene.known(value) else None
        if counterpart in self.heard:
            return scene.grids.whole(self.heard[counterpart], value)
        if value.op is None:
            return self._inputs[value]
        inputs = {v: self.read(v, live) for v in value.op.present if not isinstance(v, Weight)}
        run = Run(device=scene.device)
        return run_ops([value.op], inputs, [value], run, scene.samples)[value]

    def alone(self, item: Lesson) -> Tensor:
        """Return what one unit should make."""
        unit, target = item.unit, self.heard[item.sums]
        post: Op = unit.post
        if isinstance(post, Rescale):
            return activated(target, post, self._scene.grids[post.result].step)
        axis = unit.reduce.axis % target.ndim
        return target - unit.shift.to(target).reshape((-1, *(1,) * (target.ndim - 1 - axis)))

    def _ended(self, part: Segment, target: Tensor) -> Tensor:
        """Return real numbers as the end of a segment makes them, activation and pools done."""
        assert part.anchor is not None
        op = part.anchor.op
        if isinstance(op, Digital):
            target = activated(target, op, self._scene.grids[part.anchor].step)
        if not part.tail:
            return target
        run = Run(device=self._scene.device, fast=True)
        last = part.tail[-1].result
        return run_ops(part.tail, {part.anchor: target}, [last], run, self._scene.samples)[last]

    def _run(
        self,
        graph: Graph,
        wanted: Collection[Value],
        samples: Samples,
        extra: Collection[Op] = (),
    ) -> dict[Value, Tensor]:
        """Return values that a float network makes of the samples."""
        data = {value.name: self._scene.data[value.name] for value in graph.inputs}
        inputs = graph_inputs(graph, data, self._scene.device)
        run = Run(device=self._scene.device, fast=True)
        return run_ops([*graph.ops, *extra], inputs, wanted, run, samples)
