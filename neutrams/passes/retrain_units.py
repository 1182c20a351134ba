"""``retrain-units``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, Literal

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.passes.base import Pass, PassContext

Method = Literal["none", "bias", "gptq", "adaround", "blocks", "learned", "sgd"]


@dataclass(frozen=True)
class RetrainUnits(Pass):
    """Retrain integer weights, biases and scales unit by unit, against the float network.

    In topological order: a unit reads what the units before it make once they are retrained, and
    should make what the original network makes there, so that it makes good the errors before it.
    Needs calibration data, and no labels unless asked to learn them. What the original network does
    not have stays as it is.
    """

    name: ClassVar[str] = "retrain-units"
    takes: ClassVar = ("unit",)
    obeys_limits: ClassVar[bool] = True
    converters: ClassVar[bool] = True
    rms_bound: ClassVar[float] = 1.0

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

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if self.method == "none":
            return False
        if not ctx.calibration:
            raise NeutramsError(
                error("NT0217", f"`{self.name}` needs calibration data")
                .note("units are compared with the original network on real inputs")
                .help("give some: `--calibrate data.npz`, or `calibration=` in Python")
            )
        if ctx.teacher is None:
            raise NeutramsError(
                error("NT0218", f"`{self.name}` needs the float network")
                .note("the graph alone does not say what it was made from")
                .help("retrain while compiling: `neutrams compile --retrain`")
            )
        if ctx.target is not None and ctx.target.limits.rescale == "power-of-two":
            raise NeutramsError(
                error("NT0244", f"`{self.name}` fits scales, which would be no powers of two")
                .note(f"`{ctx.target.name}` shifts sums, and so has powers of two only")
                .help("compile without `--retrain`")
            )
        if self.labels and ctx.labels is None:
            fault = error("NT0223", f"`{self.name}` is to learn labels, and none are given")
            raise NeutramsError(fault.help("put the classes into the calibration data, as `y`"))
        if find_spec("torch") is None:
            raise NeutramsError(
                error("NT0219", f"`{self.name}` runs in torch, which is not installed").help(
                    "pip install 'neutrams[torch]'"
                )
            )
        from neutrams.passes.retraining.road import retrain

        return retrain(graph, ctx, self)
