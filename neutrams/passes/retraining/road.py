"""Segment by segment through a unit graph: fit, learn, write, go on with what the units make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.time import Run as TimeRun
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.base import PassContext
from neutrams.passes.retraining.cells import CellRoad, Play, Way
from neutrams.passes.retraining.checkpoint import Checkpoints, State, key_of
from neutrams.passes.retraining.fitting import fit
from neutrams.passes.retraining.lessons import original_run
from neutrams.passes.retraining.options import Retraining
from neutrams.passes.retraining.scene import Scene
from neutrams.passes.retraining.targets import Targets
from neutrams.passes.retraining.tasks import Descent, Task, loss_of
from neutrams.passes.retraining.teacher import Lesson
from neutrams.training.batched import graph_inputs, run_ops
from neutrams.training.learn import Outcome, Recipe
from neutrams.training.noise import Noise
from neutrams.training.run import Run, to_tensor
from neutrams.training.segments import Segment, segments
from neutrams.training.settings import settled

MOST_UNITS = 8
"""Units of a segment that are learnt together; those of a larger one are learnt each alone."""
GAIN = 0.01
"""What the last round must gain, of what it has reached, to go on."""


def retrain(graph: Graph, ctx: PassContext, options: Retraining) -> bool:
    """Retrain every unit that the teacher knows; say whether there was any.

    Raises:
        NeutramsError: NT0020, NT0208, NT0216: checkpoints, data or device are at fault.
    """
    scene = Scene.of(graph, ctx, options)
    if scene is None:
        return False
    with settled(options.threads):
        _Road(scene).walk()
    ctx.facts["retraining"] = {
        "torch": torch.__version__,
        "threads": options.threads,
        "device": scene.device,
    }
    return True


class _Road:
    """One retraining under way; ``live`` holds what the graph so far makes of all samples."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.options = scene, scene.options
        self.descent = Descent(scene.grids, scene.samples, scene.split, scene.device)
        self.cells = scene.cells
        self.parts = segments(scene.graph, scene.known, self.cells)
        self.whole = self._end()
        self.targets = Targets(scene)
        self.live = graph_inputs(scene.graph, scene.data, scene.device)

    def walk(self) -> None:
        rounds = [*self.parts, *([] if self.whole is None else [self.whole])]
        kept = self._checkpoints(len(rounds))
        for number, part in enumerate(rounds, start=1):
            made: Mapping[Value, Tensor] = {}
            if number > kept.done:
                if part is self.whole:
                    self._learn_whole(part)
                else:
                    made = self._retrain(part)
                kept.save(number)
            if part is not self.whole:
                self._advance(part, made)
            if self.scene.ctx.progress is not None:
                self.scene.ctx.progress("retraining", number, len(rounds))

    def _checkpoints(self, rounds: int) -> Checkpoints:
        scene = self.scene
        units = [item.unit for item in scene.lessons.values()]
        folder = self.options.checkpoints or scene.ctx.checkpoints
        key = self._key() if folder else ""
        return Checkpoints(folder, key, rounds, State(scene.graph, units, scene.grids))

    def _key(self) -> str:
        scene, ctx = self.scene, self.scene.ctx
        options = replace(self.options, checkpoints="", device=scene.device)
        held = (options, ctx.seed, torch.__version__)
        labels = ctx.labels if options.labels else None
        data = scene.data if labels is None else {**scene.data, "labels": labels}
        graphs = (scene.graph, scene.teacher.graph, ctx.original)
        return key_of([graph for graph in graphs if graph is not None], data, held)

    def _end(self) -> Segment | None:
        """Return all up to the last value that the teacher knows, if that learns as a whole.

        What runs step by step does not: its cells have learnt through time.
        """
        ends = [number for number, part in enumerate(self.parts) if part.anchor is not None]
        if not ends or not self.options.ends_whole or self.cells:
            return None
        last = self.parts[ends[-1]]
        ops = tuple(op for part in self.parts[: ends[-1] + 1] for op in part.ops)
        found = Segment(ops, last.anchor, last.tail)
        return None if self.scene.mixes(found) else found

    def _learn_whole(self, whole: Segment) -> None:
        """Let all units learn together what the network puts out."""
        inside = self.scene.lessons_in(whole)
        inputs = graph_inputs(self.scene.graph, self.scene.data, self.scene.device)
        task = self._task(whole, inside, inputs, self.targets.final(whole))
        wanted = {item.unit.mvm: item.unit.ints for item in inside}
        labels = self.scene.ctx.labels if self.options.labels else None
        loss = loss_of(whole.output, task.target, labels)
        recipe = replace(self._recipe(), steps=self.options.whole, loss=loss)
        self._tell(task, self.descent.learn(task, wanted, recipe))

    def _retrain(self, part: Segment) -> Mapping[Value, Tensor]:
        """Retrain the units of a segment; return what it makes, where that is known already."""
        if isinstance(part.ops[0], TimeRun) and part.ops[0] in self.cells:
            self._retrain_cell(part.ops[0])
            return {}
        lessons = self.scene.lessons_in(part)
        if not lessons:
            return {}
        inputs = {value: self.targets.read(value, self.live) for value in part.inputs}
        wanted, live = fit(part, inputs, self.scene, self.targets)
        later = self.options.method == "learned" and self.whole is not None
        if later or not self.options.learns:
            return live if self.options.input == "transformed" else {}
        if self.scene.mixes(part) or len(lessons) > MOST_UNITS or self.options.method == "sgd":
            tasks = [self._alone(item, live) for item in lessons]
        else:
            tasks = [self._task(part, lessons, inputs, self.targets.of(part))]
        for task in tasks:
            if not any(isinstance(op, Mvm) and self.scene.scattered(op) for op in task.segment.ops):
                self._tell(task, self._learn(task, wanted))
        return {}

    def _retrain_cell(self, run: TimeRun) -> None:
        original = original_run(run, self.scene.teacher)
        assert original is not None
        options = self.options
        recipe = replace(self._recipe(), plain=options.method == "sgd") if options.learns else None
        way = Way(
            "solve" if options.solves else "bias" if options.method == "bias" else "",
            recipe,
            options.ridge,
            options.held_out,
            self.scene.ctx.seed,
        )
        lessons = self.scene.lessons
        free = [v for v in run.sources if not isinstance(v, Weight)]
        read = {v: self.targets.read(v, self.live) for v in free}
        cell = CellRoad(
            Play(run, {v: self._given(v, read) for v in run.sources}),
            Play(original, {v: self._given(v, self.targets.heard) for v in original.sources}),
            [lessons[op] for op in run.cell.ops if isinstance(op, Mvm) and op in lessons],
            teacher=self.scene.teacher,
            grids=self.scene.grids,
            way=way,
            device=self.scene.device,
        )
        outcome = cell.walk()
        self.scene.ctx.remark(run, outcome.text(run.results[0].name))

    def _given(self, value: Value, live: Mapping[Value, Tensor]) -> Tensor:
        if not isinstance(value, Weight):
            return live[value]
        assert value.data is not None
        return to_tensor(value.data, self.scene.device)

    def _tell(self, task: Task, outcome: Outcome) -> None:
        assert task.segment.anchor is not None
        text = outcome.text(task.segment.anchor.name)
        self.scene.ctx.remark(task.lessons[0].unit.mvm, text)

    def _alone(self, item: Lesson, live: Mapping[Value, Tensor]) -> Task:
        """Return the task of one unit by itself."""
        unit = item.unit
        segment = Segment((unit.mvm, unit.reduce, unit.post), unit.post.result, ())
        return self._task(segment, [item], {unit.mvm.x: live[unit.mvm.x]}, self.targets.alone(item))

    def _task(
        self, part: Segment, lessons: list[Lesson], inputs: dict[Value, Tensor], target: Tensor
    ) -> Task:
        assert part.output is not None
        return Task(part, lessons, inputs, self.scene.samples.first(part.output, target))

    def _learn(self, task: Task, wanted: dict[Mvm, Tensor]) -> Outcome:
        if self.options.method != "sgd":
            return self.descent.learn(task, wanted, self._recipe())
        return self.descent.learn_in_phases(task, wanted, replace(self._recipe(), plain=True))

    def _recipe(self) -> Recipe:
        options = self.options
        noise = Noise(options.program_noise, options.read_noise, options.adc_offset)
        seed = self.scene.ctx.seed
        recipe = Recipe(options.steps, options.batch, options.rate, noise=noise, seed=seed)
        if options.method == "adaround":
            return replace(recipe, rounding="soft")
        if options.method == "learned":
            enough = 0.0 if noise or options.labels else options.enough
            return replace(recipe, enough=enough, patience=options.patience, gain=GAIN)
        return recipe

    def _advance(self, part: Segment, made: Mapping[Value, Tensor]) -> None:
        """Replace a segment's inputs by what it makes, as far as later ops read it."""
        before = {value: self.live[value] for value in part.inputs}
        wanted = [v for op in part.ops for v in op.results if self._read_later(v, part)]
        if all(value in made for value in wanted):
            found = {value: made[value] for value in wanted}
        else:
            run = Run(device=self.scene.device)
            found = run_ops(part.ops, before, wanted, run, self.scene.samples)
        keep = {v: t for v, t in self.live.items() if v not in before or self._read_later(v, part)}
        self.live = {**keep, **found}

    def _read_later(self, value: Value, part: Segment) -> bool:
        inside = set(part.ops)
        out = any(value is v for v in self.scene.graph.outputs)
        return out or any(user not in inside for user in value.users)
