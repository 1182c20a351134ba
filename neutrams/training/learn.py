"""Learn the rounding, biases and scales of a segment's units by gradient descent.

`straight` rounds in every step and lets gradients pass straight through. `soft` is learned
rounding: each weight slides between the integers around it and is pushed to one of them
(AdaRound: Nagel et al., ICML 2020, equations 21 to 24). Either works on a whole segment at once
(BRECQ: Li et al., ICLR 2021). `float` does not round weights at all until it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.op import Op, Value
from neutrams.ir.ops import unit as words
from neutrams.training.digital import SCALES, Digital, adjustable, scale_of, set_scale
from neutrams.training.losses import SQUARED, Loss
from neutrams.training.noise import QUIET, Noise
from neutrams.training.optimiser import Adam, Group, Momentum
from neutrams.training.rules import rint
from neutrams.training.run import Run
from neutrams.training.units import Grids, Unit

LOW, HIGH = -0.1, 1.1
"""Limits of the stretched sigmoid (AdaRound, equation 23)."""
CHECKS = 12
"""Times that the held-out samples are looked at."""
PATIENCE = 8
"""Checks without gain before stopping."""
FROM_CENTRE = 0.5
"""How far a weight starts from its integer towards what it was before rounding; at 1, those that
were rounded away from it would flip back at the first step."""
PRESSURE = 0.01
"""Weight of the term that settles soft roundings, relative to the loss."""

Rounding = Literal["float", "straight", "soft"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast to learn."""

    steps: int
    batch: int
    rate: float
    """Learning rate, in steps of weights and of outputs."""
    rounding: Rounding = "straight"
    plain: bool = False
    """Plain gradient descent with momentum on weights and biases, instead of Adam on all."""
    loss: Loss = SQUARED
    noise: Noise = QUIET
    """What is added to sums of products while learning; another draw in each step."""
    seed: int = 0
    enough: float = 0.0
    """Relative loss on held-out samples up to which nothing is learnt."""
    patience: int = PATIENCE
    """Checks without gain before stopping."""
    gain: float = 0.0
    """Share of the loss that counts as a gain."""


@dataclass(slots=True, eq=False)
class _Learnt:
    """What is learnt of one unit."""

    unit: Unit
    zero: int
    """Zero point of its input."""
    rounding: Rounding
    latent: Tensor
    base: Tensor
    """The integers below the weights."""
    bias: Tensor
    shift: Tensor
    """What is learnt of the bias, in steps of the output."""
    per_shift: Tensor
    factor: Tensor
    gain: Tensor
    """What is learnt of the factor."""

    @staticmethod
    def start(unit: Unit, zero: int, wanted: Tensor, recipe: Recipe, device: str) -> _Learnt:
        ints, factor = unit.ints.to(device), unit.factor.to(device)
        apart = torch.clamp(wanted.to(ints) - ints, -0.5, 0.5)
        latent = ints + apart * (1.0 if recipe.plain else FROM_CENTRE)
        base = torch.floor(latent)
        if recipe.rounding == "soft":
            share = torch.clamp(latent - base, 0.01, 0.99)
            latent = torch.logit((share - LOW) / (HIGH - LOW))
        step = torch.ones_like(factor)
        if not isinstance(unit.post, words.Rescale):
            step = (factor.abs() * ints.norm(dim=1)).mean().expand_as(factor)
        return _Learnt(
            unit,
            zero,
            recipe.rounding,
            latent.clone(),
            base,
            unit.bias_of(zero).to(device),
            torch.zeros_like(factor),
            step / factor.abs().clamp(min=1e-20),
            factor,
            torch.ones_like(factor),
        )

    def undecided(self, power: float) -> Tensor:
        """Return 1 where soft roundings are halfway, 0 where they are settled, on average."""
        return 1 - (2 * self._share() - 1).abs().pow(power).mean()

    def weights(self, *, hard: bool) -> Tensor:
        if self.rounding == "soft":
            share = self._share()
            found = self.base + ((share >= 0.5).to(share) if hard else share)
        else:
            found = rint(self.latent) if hard or self.rounding == "straight" else self.latent
        return torch.clamp(found, self.unit.low, self.unit.high)

    def biases(self) -> Tensor:
        return rint(self.bias + self.shift * self.per_shift)

    def factors(self) -> Tensor:
        return self.factor * self.gain

    def stand_ins(self, *, hard: bool) -> dict[Value, Tensor]:
        weights = self.weights(hard=hard)
        undone = (self.unit.mvm.input_offset + self.zero) * weights.sum(dim=1)
        assert self.unit.reduce.bias is not None
        return {
            self.unit.mvm.w: weights,
            self.unit.reduce.bias: self.biases() - undone,
            self.unit.post.scale: self.factors(),
        }

    def _share(self) -> Tensor:
        return torch.clamp(torch.sigmoid(self.latent) * (HIGH - LOW) + LOW, 0, 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Losses on the held-out samples, relative to the variance or entropy of the target."""

    before: float
    after: float
    steps: int

    def text(self, name: str) -> str:
        """Say it of the value of a name."""
        return f"error of `%{name}` {self.before:.3%} -> {self.after:.3%} in {self.steps} steps"


Inputs = Callable[[Tensor], Mapping[Value, Tensor]]
"""Gives the inputs of what is trained for the samples of given numbers."""


class Body(Protocol):
    """What is trained at once: a segment, or the cell of a run."""

    @property
    def ops(self) -> tuple[Op, ...]: ...

    def make(self, inputs: Mapping[Value, Tensor], run: Run) -> Tensor:
        """Return what it makes of inputs, as real numbers, samples along the first axis."""


class Learner:
    """A body under training.

    Args:
        body: what is run, samples along the first axis.
        units: those of its units that are trained, each with its weights before rounding, in
            steps.
        grids: of the integer values of the body.
        recipe: how to learn.
        device: where.
    """

    def __init__(
        self,
        body: Body,
        units: Sequence[tuple[Unit, Tensor]],
        grids: Grids,
        recipe: Recipe,
        device: str,
    ) -> None:
        self._body, self._recipe, self._device = body, recipe, device
        self._scales = not (recipe.plain or grids.powers)
        self._learnt = [
            _Learnt.start(unit, grids[unit.mvm.x].zero, wanted, recipe, device)
            for unit, wanted in units
        ]
        self._gains: dict[tuple[Digital, str], Tensor] = {
            (op, name): torch.ones((), device=device)
            for op in adjustable(body.ops, {unit.post for unit, _ in units})
            for name in SCALES[type(op)]
        }

    def predict(self, inputs: Mapping[Value, Tensor], *, hard: bool, draw: int = 0) -> Tensor:
        """Return what the body makes, as real numbers; ``draw`` is that of the noise."""
        weights: dict[Value, Tensor] = {}
        for item in self._learnt:
            weights.update(item.stand_ins(hard=hard))
        attributes: dict[tuple[Op, str], Tensor] = {}
        for (op, name), gain in self._gains.items():
            scale = gain * torch.from_numpy(scale_of(op, name)).to(gain)
            if isinstance(op, words.Rescale):
                weights[op.scale] = scale
            else:
                attributes[op, name] = scale
        noise = replace(self._recipe.noise, seed=draw) if self._recipe.noise else None
        run = Run(
            device=self._device, weights=weights, attributes=attributes, fast=True, noise=noise
        )
        return self._body.make(inputs, run)

    def train(self, inputs: Inputs, target: Tensor, split: tuple[Tensor, Tensor]) -> Outcome:
        """Learn from the first samples of ``split``, keep what is best on the second.

        ``target`` is what the body should make of all samples, in real numbers.
        """
        recipe, (seen, held) = self._recipe, split
        size = recipe.loss.size(target[seen])
        before = best = mark = self._missed(inputs, target, held) / size
        if before <= recipe.enough:
            return Outcome(before, before, 0)
        kept, stale, step = self._state(), 0, 0
        order = _batches(seen, recipe.batch, torch.Generator().manual_seed(recipe.seed))
        groups = self._groups()
        optimiser = Momentum(groups) if recipe.plain else Adam(groups, recipe.steps)
        every = max(1, recipe.steps // CHECKS)
        for step in range(1, recipe.steps + 1):
            part = next(order)
            made = self.predict(inputs(part), hard=False, draw=step)
            wrong = recipe.loss(made, target[part], part) / size
            optimiser.step(wrong + self._pressure(step), step)
            if step % every and step != recipe.steps:
                continue
            now = self._missed(inputs, target, held) / size
            stale += 1
            if now < best:
                best, kept = now, self._state()
            if now < mark * (1 - recipe.gain):
                mark, stale = now, 0
            if stale >= recipe.patience and recipe.rounding != "soft":
                break
        self._restore(kept)
        return Outcome(before, best, step)

    def store(self) -> None:
        """Write what was learnt into the graph."""
        with torch.no_grad():
            for item in self._learnt:
                weights = item.weights(hard=True)
                item.unit.store(weights, item.biases(), item.factors(), item.zero)
            for (op, name), gain in self._gains.items():
                set_scale(op, name, scale_of(op, name) * np.float32(gain.item()))

    def latents(self) -> list[Tensor]:
        """Return the weights of each unit as they were last learnt, in steps, not rounded."""
        return [item.latent.detach().cpu() for item in self._learnt]

    def _groups(self) -> list[Group]:
        """Return what is learnt, with its rates."""
        rate = self._recipe.rate
        latents = [item.latent for item in self._learnt]
        shifts = [item.shift for item in self._learnt]
        gains = [item.gain for item in self._learnt] + list(self._gains.values())
        if not self._scales:
            return [(latents, rate), (shifts, rate)]
        return [(latents, rate), (shifts, rate), (gains, 0.3 * rate)]

    def _pressure(self, step: int) -> Tensor | float:
        """The term that settles soft roundings: none at first, then of falling power."""
        done = step / self._recipe.steps
        if self._recipe.rounding != "soft" or done < 0.2:
            return 0.0
        power = 20 + (2 - 20) * (done - 0.2) / 0.8
        return PRESSURE * sum((item.undecided(power) for item in self._learnt), start=0.0)

    def _missed(self, inputs: Inputs, target: Tensor, which: Tensor) -> float:
        total = 0.0
        with torch.no_grad():
            for part in torch.split(which, 64):
                made = self.predict(inputs(part), hard=True)
                total += float(self._recipe.loss(made, target[part], part)) * len(part)
        return total / len(which)

    def _tensors(self) -> list[Tensor]:
        each = [(item.latent, item.shift, item.gain) for item in self._learnt]
        return [tensor for tensors in each for tensor in tensors] + list(self._gains.values())

    def _state(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._tensors()]

    def _restore(self, kept: list[Tensor]) -> None:
        with torch.no_grad():
            for tensor, held in zip(self._tensors(), kept, strict=True):
                tensor.copy_(held)


def _batches(which: Tensor, size: int, random: torch.Generator) -> Iterator[Tensor]:
    """Yield batches of the samples, in a new order every time round; odd ends are left."""
    size = min(size, len(which))
    while True:
        order = which[torch.randperm(len(which), generator=random)]
        yield from (part for part in torch.split(order, size) if len(part) == size)
