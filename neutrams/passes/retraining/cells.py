"""Retrain the units of a cell on all the steps of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops import time
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.tensors import Split
from neutrams.ir.ops.time import SAME, State
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.retraining.fit import Views, correct_bias, original_steps, solve
from neutrams.passes.retraining.teacher import Lesson, Teacher
from neutrams.training.chunks import CellBody, Chunks, in_order
from neutrams.training.learn import Inputs, Learner, Outcome, Recipe
from neutrams.training.run import Run
from neutrams.training.runs import listen
from neutrams.training.units import Grids, Unit

SWEEPS = 2
"""Times that units are fitted: each changes the states that the others read."""

Numbers = tuple[Tensor, Tensor, Tensor]
"""Integers, bias and factor of a unit."""


@dataclass(frozen=True, slots=True, eq=False)
class Play:
    """A run, and what it reads."""

    run: time.Run
    sources: Mapping[Value, Tensor]

    def hear(self, wanted: Collection[Value], device: str) -> dict[Value, Tensor]:
        """Return ``[steps, sequences, …]`` of values of the cell."""
        given = [self.sources[value] for value in self.run.sources]
        return listen(self.run, given, wanted, Run(device=device, fast=True))


@dataclass(frozen=True, slots=True)
class Way:
    """How a cell is retrained."""

    fit: Literal["", "bias", "solve"]
    """What follows from inputs and targets directly: nothing, means only, or all."""
    recipe: Recipe | None
    """How to learn by gradient descent; ``None`` for not at all."""
    ridge: float
    held_out: float
    seed: int


class CellRoad:
    """The retraining of one cell.

    Its units read what the chip holds in the states, and should make what lets the sums behind
    them be those of the original network at the same step.

    Args:
        play: the run on the chip.
        original: the same run in the teacher.
        lessons: the units of the cell that the teacher knows.
    """

    def __init__(
        self,
        play: Play,
        original: Play,
        lessons: Sequence[Lesson],
        teacher: Teacher,
        grids: Grids,
        way: Way,
        device: str,
    ) -> None:
        self._play, self._lessons, self._teacher, self._grids = play, lessons, teacher, grids
        self._way, self._device = way, device
        cell = play.run.cell
        self._outputs = list(dict.fromkeys(cell.outputs))
        taught = dict(zip(cell.outputs, original.run.cell.outputs, strict=True))
        wanted = {item.sums for item in lessons} | set(taught.values())
        results = {v for item in lessons for v in self._behind(item.unit.post.result)}
        wanted |= {found for v in results if (found := teacher.value(v)) is not None}
        self._told = original.hear([v for v in wanted if v in _made(original.run)], device)
        sizes = {v: float(self._told[taught[v]].std().clamp(min=1e-10)) for v in self._outputs}
        steps, sequences = next(iter(self._told.values())).shape[:2]
        self._chunks = Chunks.of(sequences, steps)
        self._body = CellBody(play.run, self._chunks, grids, sizes)
        self._split = self._chunks.split(way.held_out, way.seed)
        parts = [self._told[taught[v]].flatten(2) / sizes[v] for v in self._outputs]
        self._target = torch.cat(parts, dim=2)

    def walk(self) -> Outcome:
        """Fit, then learn; keep what makes the outputs of held-out sequences better."""
        before = best = self._missed()
        wanted = {i.unit.mvm: original_steps(i.unit, self._grids) for i in self._lessons}
        for _ in range(SWEEPS if self._way.fit else 0):
            kept = self._state()
            fitted = {item.unit.mvm: self._fit(item) for item in self._lessons}
            if (now := self._missed()) >= best:
                self._restore(kept)
                break
            best, wanted = now, fitted
        steps = 0
        if self._way.recipe is not None:
            kept = self._state()
            steps = self._learn(wanted, self._way.recipe)
            if (now := self._missed()) >= best:
                self._restore(kept)
            best = min(best, now)
        return Outcome(before, best, steps)

    def _fit(self, item: Lesson) -> Tensor:
        """Fit a unit to what the cell, as it is now, lets it read."""
        unit = item.unit
        value = unit.post.result
        others = self._others(value)
        heard = self._play.hear({unit.mvm.x, *others}, self._device)
        plain = value.type.dtype.is_float and not unit.shift.any()
        sums = self._wanted(value, item, heard) if plain else self._told[item.sums]
        x, y = heard[unit.mvm.x].flatten(0, 1), sums.flatten(0, 1)
        seen, held = (
            Views.of(unit, x[rows], y[rows], self._grids, self._way.seed)
            for rows in map(self._rows, self._split)
        )
        if self._way.fit == "bias":
            correct_bias(unit, seen, self._grids)
            return original_steps(unit, self._grids)
        return solve(unit, seen, held, self._grids, ridge=self._way.ridge)

    def _wanted(self, value: Value, item: Lesson, heard: Mapping[Value, Tensor]) -> Tensor:
        """Return what a unit should add so that sums behind it are the teacher's."""
        user = value.users[0] if len(value.users) == 1 else None
        if isinstance(user, Split):
            parts = [self._wanted(part, item, heard) for part in user.results]
            return torch.cat(parts, dim=user.axis % value.type.rank + 1)
        counterpart = self._teacher.value(user.result) if isinstance(user, Add) else None
        if isinstance(user, Add) and counterpart in self._told:
            other = user.b if user.a is value else user.a
            if other in heard:
                return self._told[counterpart] - heard[other]
        own = self._teacher.value(value)
        return self._told[item.sums if own is None else own]

    def _behind(self, value: Value) -> list[Value]:
        """Return a unit's result, its parts, and the sums that read them."""
        user = value.users[0] if len(value.users) == 1 else None
        parts = user.results if isinstance(user, Split) else ()
        sums = user.results if isinstance(user, Add) else ()
        return [value, *sums, *(each for part in parts for each in self._behind(part))]

    def _others(self, value: Value) -> list[Value]:
        """Return what is added to a unit's result, or to a part of it, before anything else."""
        user = value.users[0] if len(value.users) == 1 else None
        if isinstance(user, Split):
            return [other for part in user.results for other in self._others(part)]
        if not isinstance(user, Add):
            return []
        other = user.b if user.a is value else user.a
        return [] if _follows(other, value) else [other]

    def _rows(self, which: Tensor) -> Tensor:
        """Return the numbers of the windows of chunks, among those of all steps."""
        grid = torch.arange(self._chunks.steps * self._chunks.sequences)
        grid = grid.reshape(self._chunks.steps, self._chunks.sequences)
        return self._chunks.cut(grid, which).reshape(-1).sort()[0].to(self._device)

    def _learn(self, wanted: Mapping[Mvm, Tensor], recipe: Recipe) -> int:
        pairs = [(item.unit, wanted[item.unit.mvm]) for item in self._lessons]
        learner = Learner(self._body, pairs, self._grids, recipe, self._device)
        every = torch.arange(self._chunks.count)
        target = self._chunks.cut(self._target, every).transpose(0, 1)
        outcome = learner.train(self._given(), target, self._split)
        learner.store()
        return outcome.steps

    def _given(self) -> Inputs:
        """Return what gives the inputs of chunks, and what states hold when they begin."""
        run = self._play.run
        states = [op for op in run.cell.ops if isinstance(op, State)]
        reads = self._play.hear([op.result for op in states], self._device)
        inputs = in_order(run, self._play.sources)
        over = dict(zip(run.cell.inputs, run.over, strict=True))

        def given(which: Tensor) -> dict[Value, Tensor]:
            found = {}
            for value, x in inputs.items():
                if over[value] != SAME:
                    found[value] = self._chunks.cut(x, which)
                else:
                    found[value] = x[which // self._chunks.each] if self._varies(value) else x
            for op in states:
                found[op.result] = self._chunks.cut(reads[op.result], which, length=op.delay)
            return found

        return given

    def _varies(self, value: Value) -> bool:
        first = next(op.shape[0] for op in self._play.run.cell.ops if isinstance(op, State))
        return first != 1 and bool(value.type.rank) and value.type.shape[0] == first

    def _missed(self) -> float:
        """Return the mean squared error of the outputs on held-out chunks, over their variance."""
        heard = self._play.hear(self._outputs, self._device)
        made = self._body.joined(heard, axis=2)
        missed = (made - self._target).square().mean(dim=2)
        return float(self._chunks.cut(missed, self._split[1]).mean())

    def _state(self) -> list[Numbers]:
        return [(u.ints, u.bias_of(self._zero(u)), u.factor) for u in self._units]

    def _restore(self, kept: Sequence[Numbers]) -> None:
        for unit, (ints, bias, factor) in zip(self._units, kept, strict=True):
            unit.store(ints, bias, factor, self._zero(unit))

    @property
    def _units(self) -> list[Unit]:
        return [item.unit for item in self._lessons]

    def _zero(self, unit: Unit) -> int:
        return self._grids[unit.mvm.x].zero


def _made(run: time.Run) -> set[Value]:
    return {*run.cell.inputs, *(v for op in run.cell.ops for v in op.results)}


def _follows(value: Value, source: Value) -> bool:
    """Whether a value is made from another in the same step."""
    if value is source:
        return True
    made: Op | None = value.op
    if made is None or isinstance(made, State) or isinstance(value, Weight):
        return False
    return any(_follows(x, source) for x in made.present)
