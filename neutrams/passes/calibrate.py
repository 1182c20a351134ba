"""``calibrate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.time import State
from neutrams.passes.affine import is_quantized
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import floats
from neutrams.passes.observers import Observer, choose
from neutrams.passes.watching import SAMPLES, watch


@dataclass(frozen=True)
class Calibrate(Pass):
    """Write on every float value the range it takes on the calibration data.

    Observers: `mse` takes the range of least squared rounding and clipping error, `min-max` all
    that was seen, `percentile` all but the rarest on either side. A state keeps all that was seen,
    over all steps, for what is cut off would be missing ever after. A graph that is quantised
    already states its ranges, and is left alone.
    """

    name: ClassVar[str] = "calibrate"
    takes: ClassVar = ("nn",)

    observer: Observer = "mse"
    percentile: float = 99.99
    """Share of numbers, counted from either side, that `percentile` covers."""
    bits: int = 0
    """Width that `mse` assumes; 0 for the target's input width, or 8."""
    samples: int = SAMPLES
    """Most samples to read; fewer are where the network is large."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if is_quantized(graph):
            return False
        seen = watch(graph, ctx, samples=self.samples)
        if bad := [value for value, histogram in seen.items() if not histogram.finite]:
            raise NeutramsError(_not_finite(bad[0]))
        low, high = ctx.target.activation_codes if ctx.target else (0, 255)
        bits = self.bits or (high - low).bit_length()
        for value, histogram in seen.items():
            observer = "min-max" if isinstance(value.op, State) else self.observer
            found = choose(histogram, observer, bits=bits, percentile=self.percentile)
            value.type = value.type.with_range(*found)
        for home in (*graph.cells(), graph):
            for value in home.values():
                if 0 in value.type.shape and floats(value):
                    value.type = value.type.with_range(0.0, 0.0)
        return bool(seen)


def _not_finite(value: Value) -> Diagnostic:
    assert value.op is not None, "inputs are checked before they run"
    return error("NT0213", f"`%{value.name}` becomes NaN or infinite on the calibration data").at(
        value.op.where, f"made by `{value.op.name}`"
    )
