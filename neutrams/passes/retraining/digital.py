"""The step of what a digital unit makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.unit import Rescale
from neutrams.passes.retraining.fit import activated
from neutrams.training.closed_form import best_step
from neutrams.training.digital import Digital, multiply
from neutrams.training.executor import execute
from neutrams.training.run import Run
from neutrams.training.units import Grids

FEWEST = 32
"""Samples that a step is searched on, at least."""
FINE = 256
"""Parts of a step that a number is told in before it is rounded."""


def search_step(op: Digital, live: Mapping[Value, Tensor], y: Tensor, grids: Grids) -> None:
    """Give what an op makes of integers the step of least error to the real numbers ``y``."""
    step = grids[op.result].step
    real = _unrounded(op, live) * step
    wanted = activated(y, op, step)
    bounds = (op.zero, op.low, op.high)
    found = best_step(real, wanted, step, bounds=bounds, powers=grids.powers)
    if found != step:
        multiply(op, step / found)
        grids.change(op.result, found)


def _unrounded(op: Digital, live: Mapping[Value, Tensor]) -> Tensor:
    """Return what an op makes, in steps and without its zero, before it is rounded and clipped."""
    fine: Digital = replace(op, zero=0, low=-(2**23), high=2**23)
    if isinstance(fine, Rescale):
        assert isinstance(fine.scale, Weight)
        fine.scale = Weight("", fine.scale.data)
    multiply(fine, FINE)
    made = dict(live)
    execute([fine], made, Run(device=str(next(iter(live.values())).device)))
    return made[fine.result] / FINE
