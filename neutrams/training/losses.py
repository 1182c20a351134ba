"""How far what is learnt is from what it should be."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import nll_loss


@dataclass(frozen=True, slots=True)
class Loss:
    """Mean squared error; or, along an axis of classes, how far distributions diverge.

    The latter is distillation (Hinton et al., 2015): what counts is which classes a softmax makes
    likely, not the numbers it is given.
    """

    axis: int | None = None
    """The axis of the classes; ``None`` where there are none."""
    labels: Tensor | None = None
    """``[samples]``: the right classes of ``[samples, classes]``, which count for half."""

    def __call__(self, made: Tensor, wanted: Tensor, which: Tensor | None = None) -> Tensor:
        """Return the loss of the samples of given numbers."""
        if self.axis is None:
            return (made - wanted).square().mean()
        sure = wanted.log_softmax(dim=self.axis)
        found = made.log_softmax(dim=self.axis)
        apart: Tensor = (sure.exp() * (sure - found)).sum(dim=self.axis).mean()
        if self.labels is None:
            return apart
        return (apart + nll_loss(found, self.labels[which])) / 2

    def size(self, wanted: Tensor) -> float:
        """Return what losses are told relative to: the variance, or the mean entropy."""
        if self.axis is None:
            return max(float(wanted.var(correction=0)), 1e-20)
        sure = wanted.log_softmax(dim=self.axis)
        return max(float(-(sure.exp() * sure).sum(dim=self.axis).mean()), 1e-20)


SQUARED = Loss()
