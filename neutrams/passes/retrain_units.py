"""``retrain-units``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from neutrams.ir.graph import Graph
from neutrams.passes.base import Pass, PassContext

Method = Literal["none", "bias", "gptq", "adaround", "sgd"]


@dataclass(frozen=True)
class RetrainUnits(Pass):
    """Retrain integer weights, biases and scales unit by unit, against the float network.

    In topological order; a unit reads what the units before it make once they are retrained, and
    should make what the original network makes there, so each makes good the errors before it.
    Needs calibration data, and no labels. What is never reached by the teacher stays as it is.
    """

    name: ClassVar[str] = "retrain-units"
    takes: ClassVar = ("unit",)
    obeys_limits: ClassVar[bool] = True
    rms_bound: ClassVar[float] = 1.0

    method: Method = "adaround"
    """How far to go: `bias` corrects means; `gptq` also solves for weights and rounds them in
    sequence; `adaround` then learns the rounding of whole segments; `sgd` is plain gradient
    descent unit by unit, as in 2016; `none` does nothing."""
    input: Literal["transformed", "original"] = "transformed"
    """What a unit is trained to read: what comes before it on the chip, or in the original."""
    samples: int = 512
    """Most calibration samples to use."""
    steps: int = 600
    """Steps of gradient descent for each segment."""
    batch: int = 32
    """Samples in a step."""
    rounding: Literal["soft", "straight"] = "soft"
    """Learn roundings that slide and settle, or round in every step."""
    ridge: float = 0.1
    """How strongly least squares holds on to the original weights."""
    held_out: float = 0.125
    """Share of the samples that only decides when to stop and what to keep."""
    threads: int = 2
    """Threads of torch; results depend on their number."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU where there is one."""
    checkpoints: str = ""
    """A folder in which to keep each unit's result, and to find those of an earlier run."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if self.method == "none":
            return False
        from neutrams.passes.retraining.road import retrain

        return retrain(graph, ctx, self)
