"""The options of `retrain-units`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neutrams.passes.base import Pass

Method = Literal["none", "bias", "gptq", "adaround", "blocks", "learned", "sgd"]
SOLVING = ("gptq", "adaround", "blocks", "learned")
WHOLE = ("blocks", "learned")
LEARNING = ("adaround", "blocks", "learned", "sgd")


@dataclass(frozen=True)
class Retraining(Pass):
    """How units are retrained."""

    method: Method = "learned"
    """How far to go. `bias` corrects means. `gptq` solves for weights, rounds them in sequence and
    searches the steps of what units make. `learned` goes on to learn roundings, biases and scales
    of all units at once; `blocks` does so segment by segment first, and `adaround` with roundings
    that slide and settle. `sgd` is plain gradient descent unit by unit, as in 2016. `none` does
    nothing."""
    input: Literal["transformed", "original"] = "transformed"
    """What a unit is trained to read: what comes before it on the chip, or in the original."""
    samples: int = 512
    """Most calibration samples to use."""
    steps: int = 200
    """Steps of gradient descent for each segment, at most; `learned` takes them only where the
    network cannot learn as a whole."""
    whole: int = 150
    """Steps of the last round, in which all units learn together what the network puts out."""
    enough: float = 0.01
    """Error on held-out samples, over the variance or entropy of what should be made, up to which
    `learned` learns nothing by gradient descent."""
    patience: int = 4
    """Looks at the held-out samples, of twelve, without a gain of a hundredth, after which
    `learned` stops."""
    batch: int = 32
    """Samples in a step."""
    labels: bool = False
    """Learn labels too in the last round, end to end: the right classes of the calibration data
    count for half. Everything else does without labels."""
    program_noise: float = 0.0
    """Deviation of cells as they are programmed, as a share of their range, while learning."""
    read_noise: float = 0.0
    """Deviation of cells in each read, likewise."""
    adc_offset: float = 0.0
    """Deviation of converters, in their steps, while learning."""
    ridge: float = 0.01
    """How strongly least squares holds on to the original weights."""
    rate: float = 0.003
    """Learning rate, in steps of a weight or an output."""
    held_out: float = 0.125
    """Share of the samples that only decides what to keep and when to stop."""
    threads: int = 2
    """Threads of torch; results may depend on their number."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU where there is one."""
    checkpoints: str = ""
    """A folder in which to keep each segment's result, and to find those of an earlier run; empty
    for that of the compile, if any."""

    @property
    def solves(self) -> bool:
        """Whether units are fitted in closed form."""
        return self.method in SOLVING

    @property
    def learns(self) -> bool:
        """Whether units, or segments, learn by gradient descent."""
        return self.method in LEARNING and bool(self.steps)

    @property
    def ends_whole(self) -> bool:
        """Whether all units learn together in the end."""
        return self.method in WHOLE and bool(self.whole)

    @property
    def noisy(self) -> bool:
        return bool(self.program_noise or self.read_noise or self.adc_offset)
