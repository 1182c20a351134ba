"""Fit the units of a segment in closed form, one after another."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from neutrams.ir.op import Value
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.retraining.digital import FEWEST, search_step
from neutrams.passes.retraining.fit import Views, correct_bias, original_steps, solve
from neutrams.passes.retraining.scene import Scene
from neutrams.passes.retraining.targets import Targets
from neutrams.passes.retraining.teacher import Lesson
from neutrams.training.batched import run_ops
from neutrams.training.closed_form import STEPPED
from neutrams.training.digital import Digital, adjustable
from neutrams.training.run import Run
from neutrams.training.segments import Segment

Live = dict[Value, Tensor]


def fit(
    part: Segment, inputs: Mapping[Value, Tensor], scene: Scene, targets: Targets
) -> tuple[dict[Mvm, Tensor], Live]:
    """Fit units in order, each to what those before it make now.

    Returns:
        The weights of each before rounding, and all values of the segment.
    """
    live, wanted = dict(inputs), {}
    for op in part.ops:
        if isinstance(op, Mvm) and op in scene.lessons:
            wanted[op] = _fit_unit(scene.lessons[op], live, scene, targets)
        if scene.options.solves:
            for digital in adjustable([op], scene.ends):
                _fit_digital(digital, live, scene, targets)
        live.update(run_ops([op], live, op.results, Run(device=scene.device), scene.samples))
    return wanted, live


def _fit_unit(item: Lesson, live: Live, scene: Scene, targets: Targets) -> Tensor:
    unit, options = item.unit, scene.options
    if options.method == "sgd":
        return original_steps(unit, scene.grids)
    x = targets.read(unit.mvm.x, live)
    seen, held = _views(item, x, targets.heard[item.sums], scene)
    if options.method == "bias":
        correct_bias(unit, seen, scene.grids)
        return original_steps(unit, scene.grids)
    return solve(unit, seen, held, scene.grids, ridge=options.ridge)


def _views(item: Lesson, x: Tensor, sums: Tensor, scene: Scene) -> tuple[Views, Views]:
    """Return windows of what a unit reads: to learn from, and held out."""
    unit, seed = item.unit, scene.ctx.seed
    if scene.scattered(unit.mvm):
        whole = Views.of(unit, x, sums, scene.grids, seed)
        return whole.split(scene.options.held_out, seed)
    seen, held = (
        Views.of(
            unit,
            scene.samples.pick(unit.mvm.x, x, which),
            scene.original.pick(item.sums, sums, which),
            scene.grids,
            seed,
        )
        for which in scene.split
    )
    return seen, held


def _fit_digital(op: Digital, live: Live, scene: Scene, targets: Targets) -> None:
    counterpart = scene.teacher.value(op.result)
    grids = scene.grids
    if counterpart is None or op.result not in grids or not grids.free(op.result):
        return
    target = targets.heard[counterpart]
    each = max(1, target.numel() // scene.samples.count)
    seen = scene.split[0][: max(FEWEST, STEPPED // each)]
    read = {v: targets.read(v, live) for v in op.present if v in live}
    inputs = scene.samples.take(read, seen)
    search_step(op, inputs, scene.original.pick(counterpart, target, seen), grids)
