"""Segment by segment through a unit graph: fit, learn, write, go on with what the units make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.time import Run as TimeRun
from neutrams.ir.ops.unit import Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.passes.base import PassContext
from neutrams.passes.retraining.cells import CellRoad, Play, Way
from neutrams.passes.retraining.checkpoint import Checkpoints, State, key_of
from neutrams.passes.retraining.digital import search_step
from neutrams.passes.retraining.fit import (
    Views,
    activated,
    correct_bias,
    original_steps,
    solve,
)
from neutrams.passes.retraining.lessons import chosen_samples, lessons_of, original_run
from neutrams.passes.retraining.tasks import Descent, Task, loss_of
from neutrams.passes.retraining.teacher import Lesson, Teacher
from neutrams.training.batched import Samples, graph_inputs, run_ops
from neutrams.training.digital import Digital, adjustable
from neutrams.training.learn import Outcome, Recipe
from neutrams.training.noise import Noise
from neutrams.training.run import Run, to_tensor
from neutrams.training.segments import Segment, segments
from neutrams.training.settings import choose_device, settled
from neutrams.training.units import Grid, Grids

if TYPE_CHECKING:
    from neutrams.passes.retrain_units import RetrainUnits

MOST_UNITS = 8
"""Units of a segment that are learnt together; those of a larger one are learnt each alone."""
SOLVING = ("gptq", "adaround", "blocks", "learned")
WHOLE = ("blocks", "learned")
LEARNING = ("adaround", "blocks", "learned", "sgd")


def retrain(graph: Graph, ctx: PassContext, options: RetrainUnits) -> bool:
    """Retrain every unit that the teacher knows; say whether there was any.

    Raises:
        NeutramsError: NT0020, NT0208, NT0216: checkpoints, data or device are at fault.
    """
    assert ctx.teacher is not None
    data = chosen_samples(graph, ctx, options.samples)
    samples = Samples(graph, max(len(array) for array in data.values()))
    teacher = Teacher(ctx.teacher)
    lessons = lessons_of(graph, teacher, ctx, samples)
    if not lessons:
        return False
    with settled(options.threads):
        road = _Road(graph, ctx, options, teacher, lessons, data, samples)
        road.walk()
    ctx.facts["retraining"] = {
        "torch": torch.__version__,
        "threads": options.threads,
        "device": road.device,
    }
    return True


class _Road:
    """One retraining under way; ``live`` holds what the graph so far makes of all samples."""

    def __init__(
        self,
        graph: Graph,
        ctx: PassContext,
        options: RetrainUnits,
        teacher: Teacher,
        lessons: dict[Mvm, Lesson],
        data: dict[str, Array],
        samples: Samples,
    ) -> None:
        self.graph, self.ctx, self.options = graph, ctx, options
        self.teacher, self.lessons = teacher, lessons
        self.data, self.samples = data, samples
        self.device = choose_device(options.device)
        homes = (graph, *graph.cells())
        known = {
            v: Grid(*ctx.grids[v.name])
            for home in homes
            for v in home.values()
            if v.name in ctx.grids
        }
        self.ends = {item.unit.post for item in lessons.values()}
        self.grids = Grids(graph, known, {op: item.unit for op, item in lessons.items()})
        self.split = self._split()
        self.descent = Descent(self.grids, samples, self.split, self.device)
        self.cells = [
            op
            for op in graph.ops
            if isinstance(op, TimeRun) and any(unit in lessons for unit in op.cell.ops)
        ]
        self.parts = segments(graph, self._known, self.cells)
        self.original = Samples(teacher.graph, samples.count, teacher.extra)
        self.whole = self._end()
        self.heard = self._listen()
        self.live = graph_inputs(graph, self.data, self.device)

    def walk(self) -> None:
        rounds = [*self.parts, *([] if self.whole is None else [self.whole])]
        kept = self._checkpoints(len(rounds))
        for number, part in enumerate(rounds, start=1):
            if number > kept.done:
                if part is self.whole:
                    self._learn_whole(part)
                else:
                    self._retrain(part)
                kept.save(number)
            if part is not self.whole:
                self._advance(part)
            if self.ctx.progress is not None:
                self.ctx.progress("retraining", number, len(rounds))

    def _checkpoints(self, rounds: int) -> Checkpoints:
        units = [item.unit for item in self.lessons.values()]
        folder = self.options.checkpoints or self.ctx.checkpoints
        key = self._key() if folder else ""
        return Checkpoints(folder, key, rounds, State(self.graph, units, self.grids))

    def _end(self) -> Segment | None:
        """Return all up to the last value that the teacher knows, if that learns as a whole.

        What runs step by step does not: its cells have learnt through time.
        """
        ends = [number for number, part in enumerate(self.parts) if part.anchor is not None]
        if not ends or not self.options.whole or self.options.method not in WHOLE or self.cells:
            return None
        last = self.parts[ends[-1]]
        ops = tuple(op for part in self.parts[: ends[-1] + 1] for op in part.ops)
        found = Segment(ops, last.anchor, last.tail)
        return None if self._mixes(found) else found

    def _learn_whole(self, whole: Segment) -> None:
        """Let all units learn together what the network puts out."""
        inside = [self.lessons[op] for op in whole.ops if op in self.lessons]
        inputs = graph_inputs(self.graph, self.data, self.device)
        task = self._task(whole, inside, inputs, self._final_target(whole))
        wanted = {item.unit.mvm: item.unit.ints for item in inside}
        labels = self.ctx.labels if self.options.labels else None
        loss = loss_of(whole.output, task.target, labels)
        recipe = replace(self._recipe(), steps=self.options.whole, loss=loss)
        self._tell(task, self.descent.learn(task, wanted, recipe))

    def _final_target(self, whole: Segment) -> Tensor:
        """Return what the network put out before any of its connections were cut."""
        if self.ctx.original is None or whole.anchor is None:
            return self._target(whole)
        source = self.ctx.original
        counterpart = Teacher(source).value(whole.anchor)
        if counterpart is None:
            return self._target(whole)
        data = {value.name: self.data[value.name] for value in source.inputs}
        inputs = graph_inputs(source, data, self.device)
        run = Run(device=self.device, fast=True)
        samples = Samples(source, self.samples.count)
        heard = run_ops(source.ops, inputs, [counterpart], run, samples)
        return self._ended(whole, heard[counterpart])

    def _key(self) -> str:
        options = replace(self.options, checkpoints="", device=self.device)
        held = (options, self.ctx.seed, torch.__version__)
        labels = self.ctx.labels if self.options.labels else None
        data = self.data if labels is None else {**self.data, "labels": labels}
        graphs = (self.graph, self.teacher.graph, self.ctx.original)
        return key_of([graph for graph in graphs if graph is not None], data, held)

    def _split(self) -> tuple[Tensor, Tensor]:
        """Return the numbers of the samples to learn from, and of those held out."""
        count = self.samples.count
        order = np.random.default_rng(self.ctx.seed).permutation(count)
        held = min(max(1, round(count * self.options.held_out)), count - 1) if count > 1 else 0
        seen, out = np.sort(order[held:]), np.sort(order[:held] if held else order)
        return torch.from_numpy(seen).to(self.device), torch.from_numpy(out).to(self.device)

    def _known(self, value: Value) -> bool:
        there = value.type.dtype.is_float or value in self.grids
        return there and self.teacher.value(value) is not None

    def _listen(self) -> dict[Value, Tensor]:
        """Return what the teacher makes wherever it will be compared."""
        wanted = {item.sums for item in self.lessons.values()}
        for cell in self.cells:
            original = original_run(cell, self.teacher)
            wanted.update(() if original is None else original.sources)
        made = (op.result for op in self.graph.ops if op.results and self._known(op.result))
        wanted |= {found for value in made if (found := self.teacher.value(value)) is not None}
        source = self.teacher.graph
        data = {value.name: self.data[value.name] for value in source.inputs}
        inputs = graph_inputs(source, data, self.device)
        heard = [value for value in wanted if self.teacher.home(value) is source]
        ops, run = [*source.ops, *self.teacher.extra], Run(device=self.device, fast=True)
        return run_ops(ops, inputs, heard, run, self.original)

    def _retrain(self, part: Segment) -> None:
        if isinstance(part.ops[0], TimeRun) and part.ops[0] in self.cells:
            self._retrain_cell(part.ops[0])
            return
        lessons = [
            self.lessons[op] for op in part.ops if isinstance(op, Mvm) and op in self.lessons
        ]
        if not lessons:
            return
        inputs = self._inputs(part)
        wanted, live = self._fit(part, inputs)
        if self.options.method not in LEARNING or not self.options.steps:
            return
        if self.options.method == "learned" and self.whole is not None:
            return
        if self._mixes(part) or len(lessons) > MOST_UNITS or self.options.method == "sgd":
            tasks = [self._alone(item, live) for item in lessons]
        else:
            tasks = [self._task(part, lessons, inputs, self._target(part))]
        for task in tasks:
            if not any(isinstance(op, Mvm) and self._scattered(op) for op in task.segment.ops):
                self._tell(task, self._learn(task, wanted))

    def _scattered(self, op: Mvm) -> bool:
        """Whether the samples that a product reads cannot be told apart."""
        return op in self.samples.mixing or self.samples.axis(op.x) is None

    def _mixes(self, part: Segment) -> bool:
        """Whether a segment cannot be learnt at once, sample by sample."""
        if part.anchor is None or self.samples.axis(part.anchor) is None:
            return True
        return any(op in self.samples.mixing for op in part.ops)

    def _retrain_cell(self, run: TimeRun) -> None:
        original = original_run(run, self.teacher)
        assert original is not None
        method = self.options.method
        plain = method in LEARNING and bool(self.options.steps)
        recipe = replace(self._recipe(), plain=method == "sgd") if plain else None
        way = Way(
            "solve" if method in SOLVING else "bias" if method == "bias" else "",
            recipe,
            self.options.ridge,
            self.options.held_out,
            self.ctx.seed,
        )
        cell = CellRoad(
            Play(run, {v: self._given(v, self.live) for v in run.sources}),
            Play(original, {v: self._given(v, self.heard) for v in original.sources}),
            [self.lessons[op] for op in run.cell.ops if isinstance(op, Mvm) and op in self.lessons],
            teacher=self.teacher,
            grids=self.grids,
            way=way,
            device=self.device,
        )
        outcome = cell.walk()
        self.ctx.remark(run, outcome.text(run.results[0].name))

    def _given(self, value: Value, live: Mapping[Value, Tensor]) -> Tensor:
        if not isinstance(value, Weight):
            return live[value]
        assert value.data is not None
        return to_tensor(value.data, self.device)

    def _tell(self, task: Task, outcome: Outcome) -> None:
        assert task.segment.anchor is not None
        self.ctx.remark(task.lessons[0].unit.mvm, outcome.text(task.segment.anchor.name))

    def _inputs(self, part: Segment) -> dict[Value, Tensor]:
        """Return what a segment is trained to read."""
        found = {value: self.live[value] for value in part.inputs}
        if self.options.input == "transformed":
            return found
        for before in self.parts[: self.parts.index(part)]:
            value = before.output
            if value is not None and value in found:
                found[value] = self.grids.whole(self._target(before), value)
        return found

    def _fit(
        self, part: Segment, inputs: dict[Value, Tensor]
    ) -> tuple[dict[Mvm, Tensor], dict[Value, Tensor]]:
        """Fit units in order, each to what those before it make now.

        Returns:
            The weights of each before rounding, and all values of the segment.
        """
        live, wanted = dict(inputs), {}
        for op in part.ops:
            if isinstance(op, Mvm) and op in self.lessons:
                wanted[op] = self._fit_unit(self.lessons[op], live)
            if self.options.method in SOLVING:
                for digital in adjustable([op], self.ends):
                    self._fit_digital(digital, live)
            run = Run(device=self.device)
            live.update(run_ops([op], live, op.results, run, self.samples))
        return wanted, live

    def _fit_unit(self, item: Lesson, live: dict[Value, Tensor]) -> Tensor:
        unit, sums = item.unit, self.heard[item.sums]
        if self.options.method == "sgd":
            return original_steps(unit, self.grids)
        x = live[unit.mvm.x]
        if self._scattered(unit.mvm):
            seen, held = Views.of(unit, x, sums, self.grids, self.ctx.seed).split(
                self.options.held_out, self.ctx.seed
            )
        else:
            seen, held = (
                Views.of(
                    unit,
                    self.samples.pick(unit.mvm.x, x, which),
                    self.original.pick(item.sums, sums, which),
                    self.grids,
                    self.ctx.seed,
                )
                for which in self.split
            )
        if self.options.method == "bias":
            correct_bias(unit, seen, self.grids)
            return original_steps(unit, self.grids)
        return solve(unit, seen, held, self.grids, ridge=self.options.ridge)

    def _fit_digital(self, op: Digital, live: dict[Value, Tensor]) -> None:
        counterpart = self.teacher.value(op.result)
        if counterpart is None or op.result not in self.grids or not self.grids.free(op.result):
            return
        seen = self.split[0]
        inputs = {v: self.samples.pick(v, live[v], seen) for v in op.present if v in live}
        wanted = self.original.pick(counterpart, self.heard[counterpart], seen)
        search_step(op, inputs, wanted, self.grids)

    def _target(self, part: Segment) -> Tensor:
        """Return what the teacher makes where a segment ends."""
        assert part.anchor is not None
        counterpart = self.teacher.value(part.anchor)
        assert counterpart is not None
        return self._ended(part, self.heard[counterpart])

    def _ended(self, part: Segment, target: Tensor) -> Tensor:
        """Return real numbers as the end of a segment makes them, activation and pools done."""
        assert part.anchor is not None
        op = part.anchor.op
        if isinstance(op, Digital):
            target = activated(target, op, self.grids[part.anchor].step)
        if not part.tail:
            return target
        run = Run(device=self.device, fast=True)
        last = part.tail[-1].result
        return run_ops(part.tail, {part.anchor: target}, [last], run, self.samples)[last]

    def _alone(self, item: Lesson, live: dict[Value, Tensor]) -> Task:
        """Return the task of one unit by itself."""
        unit, target = item.unit, self.heard[item.sums]
        post: Op = unit.post
        if isinstance(post, Rescale):
            target = activated(target, post, self.grids[post.result].step)
        else:
            axis = unit.reduce.axis % target.ndim
            target = target - unit.shift.to(target).reshape((-1, *(1,) * (target.ndim - 1 - axis)))
        segment = Segment((unit.mvm, unit.reduce, post), post.result, ())
        return self._task(segment, [item], {unit.mvm.x: live[unit.mvm.x]}, target)

    def _task(
        self, part: Segment, lessons: list[Lesson], inputs: dict[Value, Tensor], target: Tensor
    ) -> Task:
        assert part.output is not None
        return Task(part, lessons, inputs, self.samples.first(part.output, target))

    def _learn(self, task: Task, wanted: dict[Mvm, Tensor]) -> Outcome:
        if self.options.method != "sgd":
            return self.descent.learn(task, wanted, self._recipe())
        return self.descent.learn_in_phases(task, wanted, replace(self._recipe(), plain=True))

    def _recipe(self) -> Recipe:
        options = self.options
        noise = Noise(options.program_noise, options.read_noise, options.adc_offset)
        recipe = Recipe(options.steps, options.batch, options.rate, noise=noise, seed=self.ctx.seed)
        return replace(recipe, rounding="soft") if options.method == "adaround" else recipe

    def _advance(self, part: Segment) -> None:
        """Replace a segment's inputs by what it makes, as far as later ops read it."""
        before = {value: self.live[value] for value in part.inputs}
        made = [v for op in part.ops for v in op.results if self._read_later(v, part)]
        found = run_ops(part.ops, before, made, Run(device=self.device), self.samples)
        keep = {v: t for v, t in self.live.items() if v not in before or self._read_later(v, part)}
        self.live = {**keep, **found}

    def _read_later(self, value: Value, part: Segment) -> bool:
        inside = set(part.ops)
        out = any(value is v for v in self.graph.outputs)
        return out or any(user not in inside for user in value.users)
