"""Closed-form retraining of one unit, and of the grid of what it makes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.unit import Rescale
from neutrams.training.closed_form import (
    Rounded,
    best_step,
    least_squares,
    moments,
    round_in_sequence,
    sampled,
)
from neutrams.training.digital import Digital
from neutrams.training.units import Grids, Unit


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Some windows of what a unit reads, and what it should make of them."""

    x: Tensor
    """``[n, G, K]`` integers without zero point."""
    y: Tensor
    """``[n, G·M]`` real numbers before any activation."""

    @staticmethod
    def of(unit: Unit, x: Tensor, sums: Tensor, grids: Grids, seed: int) -> Views:
        zero = grids[unit.mvm.x].zero
        return Views(*sampled(unit.mvm, x, sums - _along(unit, sums), zero, seed=seed))

    def split(self, share: float, seed: int) -> tuple[Views, Views]:
        """Return the windows to learn from, and those held out."""
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(seed))
        held = max(1, round(len(self.x) * share))
        parts = (order[held:].sort()[0], order[:held].sort()[0])
        seen, out = (Views(self.x[part], self.y[part]) for part in parts)
        return seen, out

    def sums(self, ints: Tensor) -> Tensor:
        """Return ``[n, G·M]``: the products of the inputs and integer weights."""
        groups = self.x.shape[1]
        weights = ints.reshape(groups, -1, ints.shape[1])
        return torch.einsum("ngk,gmk->ngm", self.x, weights).reshape(len(self.x), -1)


def _along(unit: Unit, sums: Tensor) -> Tensor:
    shape = (1, -1, *(1,) * (sums.ndim - 2)) if unit.mvm.kernel else (-1,)
    return unit.shift.to(sums).reshape(shape)


def correct_bias(unit: Unit, seen: Views, grids: Grids) -> None:
    """Move each neuron's bias so that its mean output is right."""
    zero, ints, factor = grids[unit.mvm.x].zero, unit.ints, unit.factor
    step = _out_step(unit, grids)
    bias = unit.bias_of(zero)
    made = (seen.sums(ints.to(seen.x)) + bias.to(seen.x)) * (factor * step).to(seen.x)
    missed = (seen.y - made).mean(dim=0).cpu()
    unit.store(ints, bias + missed / (factor * step), factor, zero)


def original_steps(unit: Unit, grids: Grids) -> Tensor:
    """Return ``[G·M, K]``: the teacher's weights in steps of the unit's own."""
    scale = unit.factor * _out_step(unit, grids) / grids[unit.mvm.x].step
    return unit.w / scale.unsqueeze(1)


def solve(unit: Unit, seen: Views, held: Views, grids: Grids, *, ridge: float) -> Tensor:
    """Solve for weights, round them, search the output's step; keep all that if it is better.

    Returns:
        ``[G·M, K]``: the weights before rounding, in steps of those kept.
    """
    zero = grids[unit.mvm.x].zero
    before = (unit.ints, unit.bias_of(zero), unit.factor)
    step = _out_step(unit, grids)
    old = _missed(unit, held, grids)
    rounded = _rounded(unit, seen, grids, ridge)
    _store(unit, rounded, step, zero)
    _search_step(unit, seen, grids)
    if _missed(unit, held, grids) < old:
        return rounded.wanted
    if isinstance(unit.post, Rescale) and step != _out_step(unit, grids):
        grids.change(unit.post.result, step)
    unit.store(*before, zero)
    return original_steps(unit, grids)


def _rounded(unit: Unit, seen: Views, grids: Grids, ridge: float) -> Rounded:
    found = moments(seen.x, seen.y)
    groups = seen.x.shape[1]
    step = grids[unit.mvm.x].step
    start = (unit.w * step).reshape(groups, -1, unit.w.shape[1]).to(seen.x.device)
    wanted = least_squares(start, found, ridge=ridge)
    return round_in_sequence(wanted, found, unit.low, unit.high, powers=grids.powers)


def _store(unit: Unit, found: Rounded, step: float, zero: int) -> None:
    """Write rounded weights; ``scale`` becomes that of the sum over the output's step."""
    scale = found.scale.cpu()
    unit.store(found.ints, found.bias.cpu() / scale, scale / step, zero)


def _out_step(unit: Unit, grids: Grids) -> float:
    return 1.0 if isinstance(unit.post, Dequantize) else grids[unit.post.result].step


def _search_step(unit: Unit, seen: Views, grids: Grids) -> None:
    post = unit.post
    if not isinstance(post, Rescale) or not grids.free(post.result):
        return
    real = _real(unit, seen, grids)
    grid = grids[post.result]
    wanted = activated(seen.y, post, grid.step)
    bounds = (post.zero, post.low, post.high)
    step = best_step(real, wanted, grid.step, bounds=bounds, powers=grids.powers)
    if step != grid.step:
        unit_factor = unit.factor * (grid.step / step)
        zero = grids[unit.mvm.x].zero
        unit.store(unit.ints, unit.bias_of(zero), unit_factor, zero)
        grids.change(post.result, step)


def activated(y: Tensor, post: Digital, step: float) -> Tensor:
    """Return what the activation that a unit's lower bound is leaves of real numbers."""
    return torch.clamp(y, min=(post.low - post.zero) * step)


def _real(unit: Unit, seen: Views, grids: Grids) -> Tensor:
    zero = grids[unit.mvm.x].zero
    scale = (unit.factor * _out_step(unit, grids)).to(seen.x)
    return (seen.sums(unit.ints.to(seen.x)) + unit.bias_of(zero).to(seen.x)) * scale


def _missed(unit: Unit, seen: Views, grids: Grids) -> float:
    """Return the mean squared error of what the unit makes, rounded as it is."""
    made, wanted, post = _real(unit, seen, grids), seen.y, unit.post
    if isinstance(post, Rescale):
        step = grids[post.result].step
        held = torch.clamp(torch.round(made / step) + post.zero, post.low, post.high)
        made, wanted = (held - post.zero) * step, activated(wanted, post, step)
    return float((made - wanted).square().mean())
