"""Gradient descent on tensors: Adam, or plain momentum.

Both are a few lines; torch's own optimisers load its compiler first, which takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MOMENTUM = 0.9
FIRST, SECOND = 0.9, 0.999
"""How slowly Adam forgets means and mean squares of gradients."""
SMALL = 1e-8

Group = tuple[Sequence[Tensor], float]
"""Tensors to learn, and their rate."""


class Adam:
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1) at rates that fall as a cosine to zero."""

    def __init__(self, groups: Sequence[Group], steps: int) -> None:
        self._tensors = [tensor.requires_grad_(True) for tensors, _ in groups for tensor in tensors]
        self._rates = [rate for tensors, rate in groups for _ in tensors]
        self._means = [torch.zeros_like(tensor) for tensor in self._tensors]
        self._squares = [torch.zeros_like(tensor) for tensor in self._tensors]
        self._steps = steps

    def step(self, loss: Tensor, number: int) -> None:
        """Go down the gradient of a loss; steps count from 1."""
        grads = torch.autograd.grad(loss, self._tensors, allow_unused=True)
        share = 0.5 * (1 + math.cos(math.pi * (number - 1) / self._steps))
        first, second = 1 - FIRST**number, math.sqrt(1 - SECOND**number)
        each = zip(self._tensors, self._rates, self._means, self._squares, grads, strict=True)
        with torch.no_grad():
            for tensor, rate, mean, square, grad in each:
                if grad is None:
                    continue
                mean.lerp_(grad, 1 - FIRST)
                square.mul_(SECOND).addcmul_(grad, grad, value=1 - SECOND)
                size = square.sqrt().div_(second).add_(SMALL)
                tensor.addcdiv_(mean, size, value=-rate * share / first)


class Momentum:
    """Gradient descent with momentum.

    The first step changes tensors of the first group by its rate, root mean square; all go on at
    that rate.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        (_, self._wanted), *_ = groups
        self._tensors = [tensor.requires_grad_(True) for tensors, _ in groups for tensor in tensors]
        self._first = len(groups[0][0])
        self._moves = [torch.zeros_like(tensor) for tensor in self._tensors]
        self._rate = 0.0

    def step(self, loss: Tensor, number: int) -> None:
        """Go down the gradient of a loss; steps count from 1."""
        grads = torch.autograd.grad(loss, self._tensors, allow_unused=True)
        if number == 1:
            held = [g.flatten() for g in grads[: self._first] if g is not None]
            size = float(torch.cat(held).square().mean().sqrt())
            self._rate = self._wanted / max(size, 1e-20)
        with torch.no_grad():
            for tensor, move, grad in zip(self._tensors, self._moves, grads, strict=True):
                if grad is not None:
                    move.mul_(MOMENTUM).add_(grad)
                    tensor.sub_(move, alpha=self._rate)
