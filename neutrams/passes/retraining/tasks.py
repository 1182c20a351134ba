"""What is learnt at once by gradient descent, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.reductions import Softmax
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.passes.retraining.teacher import Lesson
from neutrams.training.batched import Samples
from neutrams.training.executor import execute
from neutrams.training.learn import Learner, Outcome, Recipe
from neutrams.training.losses import Loss
from neutrams.training.run import Run
from neutrams.training.segments import Segment
from neutrams.training.units import Grids


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Ops to learn together, what they read, and what they should make."""

    segment: Segment
    lessons: list[Lesson]
    inputs: dict[Value, Tensor]
    target: Tensor
    """Samples along the first axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A segment as a learner runs it."""

    segment: Segment
    grids: Grids
    samples: Samples

    @property
    def ops(self) -> tuple[Op, ...]:
        return self.segment.ops

    def make(self, inputs: Mapping[Value, Tensor], run: Run) -> Tensor:
        live = dict(inputs)
        execute(self.ops, live, run)
        output = self.segment.output
        assert output is not None
        return self.samples.first(output, self.grids.real(live[output], output))


@dataclass(frozen=True, slots=True, eq=False)
class Descent:
    """Gradient descent on some samples, judged by others."""

    grids: Grids
    samples: Samples
    split: tuple[Tensor, Tensor]
    """Numbers of the samples to learn from, and of those held out."""
    device: str

    def learn(self, task: Task, wanted: Mapping[Mvm, Tensor], recipe: Recipe) -> Outcome:
        """Learn a task from ``wanted``, the weights before rounding, and write it down."""
        return self._trained(task, wanted, recipe)[1]

    def learn_in_phases(self, task: Task, wanted: Mapping[Mvm, Tensor], recipe: Recipe) -> Outcome:
        """Learn one unit as in 2016: unrounded within the range of values, then rounded."""
        (item,) = task.lessons
        learner, _ = self._trained(task, wanted, replace(recipe, rounding="float"))
        return self.learn(task, {item.unit.mvm: learner.latents()[0]}, recipe)

    def _trained(
        self, task: Task, wanted: Mapping[Mvm, Tensor], recipe: Recipe
    ) -> tuple[Learner, Outcome]:
        pairs = [(item.unit, wanted[item.unit.mvm]) for item in task.lessons]
        body = Body(task.segment, self.grids, self.samples)
        learner = Learner(body, pairs, self.grids, recipe, self.device)
        outcome = learner.train(
            lambda which: self.samples.take(task.inputs, which), task.target, self.split
        )
        learner.store()
        return learner, outcome


def loss_of(value: Value | None, target: Tensor, labels: Array | None) -> Loss:
    """Return the loss of what a network puts out: of classes where a softmax reads it.

    Raises:
        NeutramsError: NT0223, labels do not fit.
    """
    users = value.users if value is not None else []
    axis = next((user.axis for user in users if isinstance(user, Softmax)), None)
    if labels is None:
        return Loss(axis)
    most = target.shape[-1]
    fits = target.ndim == labels.ndim + 1 == 2 and labels.dtype.kind in "iu"
    if not fits or len(labels) < len(target) or not 0 <= labels.min() <= labels.max() < most:
        shapes = f"{labels.dtype}{list(labels.shape)} labels, {list(target.shape)} outputs"
        fault = error("NT0223", "the labels are no classes of what the network puts out")
        raise NeutramsError(fault.note(shapes))
    right = torch.from_numpy(labels[: len(target)].astype(np.int64))
    return Loss(1, right.to(target.device))
