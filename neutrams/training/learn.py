"""Learn the rounding, biases and scales of a segment's units by gradient descent.

``soft`` is learned rounding: each weight slides between the integers around it and is pushed to
one of them (AdaRound: Nagel et al., ICML 2020, equations 21 to 24), over a whole segment at once
(BRECQ: Li et al., ICLR 2021). ``straight`` rounds in every step and lets gradients pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from neutrams.ir.op import Op, Value
from neutrams.ir.ops import unit as words
from neutrams.ir.ops.unit import Rescale
from neutrams.training.executor import Run, execute
from neutrams.training.rules import rint
from neutrams.training.segments import Segment
from neutrams.training.units import Grids, Unit, single

STRETCH = (-0.1, 1.1)
"""Limits of the stretched sigmoid (AdaRound, equation 23)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast to learn."""

    steps: int = 600
    batch: int = 32
    rounding: Literal["soft", "straight"] = "soft"
    weight_rate: float = 0.01
    bias_rate: float = 0.01
    scale_rate: float = 0.001
    pressure: float = 0.1
    """Weight of the term that makes soft roundings hard, relative to the starting loss."""
    patience: int = 4
    """Checks without gain on the held-out samples before stopping."""
    seed: int = 0


@dataclass(slots=True, eq=False)
class _Learnt:
    """What is learnt of one unit."""

    unit: Unit
    zero: int
    """Zero point of its input."""
    wanted: Tensor
    latent: Tensor
    base: Tensor
    bias: Tensor
    shift: Tensor
    factor: Tensor
    gain: Tensor
    per_bias: Tensor
    rounding: str

    def hardness(self, power: float) -> Tensor:
        """Return 1 where a soft rounding is undecided, 0 where it is decided, on average."""
        if self.rounding == "straight":
            return self.latent.new_zeros(())
        return 1 - (2 * self._share() - 1).abs().pow(power).mean()

    def weights(self, *, hard: bool) -> Tensor:
        if self.rounding == "straight":
            return torch.clamp(rint(self.latent), self.unit.low, self.unit.high)
        share = self._share()
        share = (share >= 0.5).to(share) if hard else share
        return torch.clamp(self.base + share, self.unit.low, self.unit.high)

    def biases(self) -> Tensor:
        return rint(self.bias + self.shift * self.per_bias)

    def factors(self) -> Tensor:
        return self.factor * self.gain

    def _share(self) -> Tensor:
        low, high = STRETCH
        return torch.clamp(torch.sigmoid(self.latent) * (high - low) + low, 0, 1)

    def stand_ins(self, *, hard: bool) -> dict[Value, Tensor]:
        weights = self.weights(hard=hard)
        undone = (self.unit.mvm.input_offset + self.zero) * weights.sum(dim=1)
        assert self.unit.reduce.bias is not None
        return {
            self.unit.mvm.w: weights,
            self.unit.reduce.bias: self.biases() - undone,
            self.unit.post.scale: self.factors(),
        }


@dataclass(slots=True)
class Outcome:
    """Mean squared errors on the held-out samples, over the variance of the target."""

    before: float
    after: float
    steps: int
    history: list[float] = field(default_factory=list)


class Learner:
    """One segment under training.

    Args:
        segment: what is run.
        units: those of its units that are trained.
        grids: of its integer values.
        wanted: the weights of each unit before rounding, in steps.
        recipe: how to learn.
        device: where.
    """

    def __init__(
        self,
        segment: Segment,
        units: Sequence[Unit],
        grids: Grids,
        wanted: dict[Unit, Tensor],
        recipe: Recipe,
        device: str,
    ) -> None:
        self.segment, self.grids, self.recipe, self.device = segment, grids, recipe, device
        self.learnt = [self._start(unit, wanted[unit]) for unit in units]
        self.adds = [op for op in segment.ops if isinstance(op, words.Add)]
        self.gains: dict[tuple[Op, str], Tensor] = {
            (op, name): torch.ones((), device=device) for op in self.adds for name in ("a_scale", "b_scale")
        }

    def _start(self, unit: Unit, wanted: Tensor) -> _Learnt:
        zero = self.grids[unit.mvm.x].zero
        ints, factor = unit.ints.to(self.device), unit.factor.to(self.device)
        near = ints + torch.clamp(wanted.to(ints) - ints, -0.49, 0.49)
        base, latent = torch.floor(near), near
        if self.recipe.rounding == "soft":
            low, high = STRETCH
            share = torch.clamp(near - base, 0.01, 0.99)
            latent = torch.logit((share - low) / (high - low))
        unit_of_bias = 1.0 if isinstance(unit.post, Rescale) else self._logit_step(unit)
        return _Learnt(
            unit=unit,
            zero=zero,
            wanted=wanted,
            latent=latent.clone(),
            base=base,
            bias=unit.bias_of(zero).to(self.device),
            shift=torch.zeros_like(factor),
            factor=factor,
            gain=torch.ones_like(factor),
            per_bias=unit_of_bias / factor.abs().clamp(min=1e-20),
            rounding=self.recipe.rounding,
        )

    def _logit_step(self, unit: Unit) -> float:
        spread = unit.factor.abs() * unit.ints.norm(dim=1)
        return float(spread.mean())

    def predict(self, inputs: dict[Value, Tensor], *, hard: bool) -> Tensor:
        """Return the segment's output as real numbers."""
        weights: dict[Value, Tensor] = {}
        for item in self.learnt:
            weights.update(item.stand_ins(hard=hard))
        attributes = {
            (op, name): gain * getattr(op, name) for (op, name), gain in self.gains.items()
        }
        run = Run(device=self.device, weights=weights, attributes=attributes, fast=True)
        live = dict(inputs)
        execute(self.segment.ops, live, run)
        output = self.segment.output
        assert output is not None
        return real(live[output], output, self.grids)

    def train(
        self,
        inputs: Callable[[Tensor], dict[Value, Tensor]],
        target: Tensor,
        split: tuple[Tensor, Tensor],
        tell: Callable[[int, int], None] | None = None,
    ) -> Outcome:
        """Learn from the first samples of ``split``, keep what is best on the second.

        Args:
            inputs: gives the segment's inputs for samples of given numbers.
            target: what the segment should make of all samples, in real numbers.
            split: numbers of the samples to learn from, and of those held out.
            tell: called with steps done and their number.
        """
        recipe, (seen, held) = self.recipe, split
        size = float(target[seen].var().clamp(min=1e-20))
        before = best = self._missed(inputs, target, held) / size
        state, outcome, stale = self._state(), Outcome(before, before, 0), 0
        optimiser = self._optimiser()
        random = torch.Generator().manual_seed(recipe.seed)
        order = _batches(seen, recipe.batch, random)
        checks = max(1, recipe.steps // 12)
        for step in range(recipe.steps):
            part = next(order)
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
            missed = (self.predict(inputs(part), hard=False) - target[part]).square().mean() / size
            loss = missed + self._pressure(step, before)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if (step + 1) % checks == 0 or step + 1 == recipe.steps:
                now = self._missed(inputs, target, held) / size
                outcome.history.append(now)
                stale = stale + 1
                if now < best:
                    best, state, stale = now, self._state(), 0
                if tell is not None:
                    tell(step + 1, recipe.steps)
                late = recipe.rounding == "straight" or step > 0.8 * recipe.steps
                if stale >= recipe.patience and late:
                    break
        self._restore(state)
        outcome.after, outcome.steps = best, step + 1
        return outcome

    def store(self) -> None:
        """Write what was learnt into the graph."""
        with torch.no_grad():
            for item in self.learnt:
                weights = item.weights(hard=True)
                item.unit.store(weights, item.biases(), item.factors(), item.zero)
            for (op, name), gain in self.gains.items():
                setattr(op, name, single(getattr(op, name) * float(gain)))

    def _optimiser(self) -> torch.optim.Adam:
        recipe = self.recipe
        groups = [
            ([item.latent for item in self.learnt], recipe.weight_rate),
            ([item.shift for item in self.learnt], recipe.bias_rate),
            ([item.gain for item in self.learnt] + list(self.gains.values()), recipe.scale_rate),
        ]
        for tensors, _ in groups:
            for tensor in tensors:
                tensor.requires_grad_(True)
        return torch.optim.Adam([{"params": p, "lr": rate, "base": rate} for p, rate in groups])

    def _pressure(self, step: int, before: float) -> Tensor | float:
        """The term that decides soft roundings: none at first, then of falling power."""
        if self.recipe.rounding == "straight":
            return 0.0
        done = step / self.recipe.steps
        if done < 0.2:
            return 0.0
        power = 20 + (2 - 20) * (done - 0.2) / 0.8
        return self.recipe.pressure * sum(item.hardness(power) for item in self.learnt)

    def _missed(
        self, inputs: Callable[[Tensor], dict[Value, Tensor]], target: Tensor, which: Tensor
    ) -> float:
        total = 0.0
        with torch.no_grad():
            for part in torch.split(which, 64):
                made = self.predict(inputs(part), hard=True)
                total += float((made - target[part]).square().mean()) * len(part)
        return total / len(which)

    def _tensors(self) -> list[Tensor]:
        each = [(item.latent, item.shift, item.gain) for item in self.learnt]
        return [tensor for tensors in each for tensor in tensors] + list(self.gains.values())

    def _state(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._tensors()]

    def _restore(self, state: list[Tensor]) -> None:
        with torch.no_grad():
            for tensor, kept in zip(self._tensors(), state, strict=True):
                tensor.copy_(kept)


def real(x: Tensor, value: Value, grids: Grids) -> Tensor:
    """Return what a value's tensor stands for: integers off their grid, floats as they are."""
    if value.type.dtype.is_float:
        return x
    grid = grids[value]
    return (x - grid.zero) * grid.step


def _batches(which: Tensor, size: int, random: torch.Generator):  # type: ignore[no-untyped-def]
    """Yield batches of the samples, in a new order every time round."""
    while True:
        order = which[torch.randperm(len(which), generator=random)]
        parts = list(torch.split(order, size))
        yield from parts if len(parts) == 1 else [p for p in parts if len(p) == size]
