"""Units of ramps that stand for a table, refined on the integers that the calibration data show.

The units are a segment as any other, and what they should make is known: what the table holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.ramp_units import Curve, Ints
from neutrams.training.executor import execute
from neutrams.training.learn import Learner, Recipe
from neutrams.training.losses import SQUARED
from neutrams.training.run import Run
from neutrams.training.settings import settled
from neutrams.training.units import Grid, Grids, Unit, find_unit

SAMPLES = 2048
"""Integers that are learnt from; as many again are held out."""
BATCH = 256
RATE = 0.02
"""Learning rate, in steps of weights and of results."""


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    curve: Curve

    @property
    def ops(self) -> tuple[Op, ...]:
        return self.curve.ops

    def make(self, inputs: Mapping[Value, Tensor], run: Run) -> Tensor:
        live = dict(inputs)
        execute(self.ops, live, run)
        return live[self.curve.result]


def refine(
    graph: Graph, curve: Curve, seen: Ints, wanted: Ints, *, steps: int, seed: int
) -> tuple[float, float]:
    """Learn the weights, biases and scales of a curve, and keep them where the error is lower.

    Args:
        graph: holds the units.
        curve: what learns.
        seen: integers that it is given.
        wanted: what it should make of each.
        steps: of gradient descent.
        seed: of the choice of samples.

    Returns:
        The errors before and after, root mean square in steps, on integers that were held out.
    """
    order = np.random.default_rng(seed).permutation(len(seen))[: 2 * SAMPLES]
    x, target = (torch.from_numpy(a[order].astype(np.float32))[:, None] for a in (seen, wanted))
    half = len(order) // 2
    split = torch.arange(half), torch.arange(half, len(order))
    units = [_unit(op, graph) for op in curve.ops if isinstance(op, Mvm)]
    known = {value: Grid(1.0, zero) for value, zero in curve.zeros.items()}
    grids = Grids(graph, known, {unit.mvm: unit for unit in units})
    recipe = Recipe(steps, min(BATCH, half), RATE, seed=seed)
    with settled(1):
        pairs = [(unit, unit.ints) for unit in units]
        learner = Learner(_Body(curve), pairs, grids, recipe, "cpu")
        outcome = learner.train(lambda which: {curve.x: x[which]}, target, split)
        if outcome.after < outcome.before:
            learner.store()
    size = SQUARED.size(target[split[0]])
    return float(np.sqrt(outcome.before * size)), float(np.sqrt(outcome.after * size))


def _unit(op: Mvm, graph: Graph) -> Unit:
    found = find_unit(op, graph)
    assert not isinstance(found, str), found
    reduce, post = found
    held = torch.zeros(op.outputs, op.fan_in)
    return Unit(op, reduce, post, held, torch.zeros(op.outputs))
