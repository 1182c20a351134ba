"""``retrain-units``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.passes.base import PassContext
from neutrams.passes.retraining.options import Retraining


@dataclass(frozen=True)
class RetrainUnits(Retraining):
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
