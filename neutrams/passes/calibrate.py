"""``calibrate``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.time import State
from neutrams.ir.types import Array
from neutrams.passes.affine import is_quantized
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import floats
from neutrams.passes.observers import Histogram, Observer, choose
from neutrams.passes.samples import batches

BATCH_BYTES = 2**26
"""The largest activation of one batch takes about this much at most."""
WORK = 2**29
"""Elements to look at in all; a large network makes do with fewer samples."""
FEWEST = 16
"""Samples that are read however large the network."""


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
    samples: int = 512
    """Most samples to read; fewer are where the network is large."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if is_quantized(graph):
            return False
        seen = self._watch(graph, ctx)
        if bad := [value for value, histogram in seen.items() if not histogram.finite]:
            raise NeutramsError(_not_finite(bad[0]))
        bits = self.bits or (ctx.target.limits.input_bits if ctx.target else 8)
        for value, histogram in seen.items():
            observer = "min-max" if isinstance(value.op, State) else self.observer
            found = choose(histogram, observer, bits=bits, percentile=self.percentile)
            value.type = value.type.with_range(*found)
        return bool(seen)

    def _watch(self, graph: Graph, ctx: PassContext) -> dict[Value, Histogram]:
        if not ctx.calibration:
            raise NeutramsError(
                error("NT0207", f"`{self.name}` needs calibration data")
                .note("activations are rounded to integers, and their ranges come from real inputs")
                .help("give some: `--calibrate data.npz`, or `calibration=` in Python")
            )
        seen: dict[Value, Histogram] = {}

        def watch(value: Value, array: Array) -> None:
            if floats(value) and not isinstance(value, Weight) and array.size:
                seen.setdefault(value, Histogram()).add(array)

        sizes = [_elements(value) for value in graph.values() if not isinstance(value, Weight)]
        limit = min(self.samples, max(FEWEST, WORK // max(sum(sizes), 1)))
        size = max(1, min(64, BATCH_BYTES // (4 * max(sizes, default=1))))
        for batch in batches(graph, ctx.calibration, limit=limit, size=size):
            interpret(graph, batch, watch=watch)
        return seen


def _elements(value: Value) -> int:
    """Return the elements of a value in one sample, each symbol counting as one."""
    return prod(dim if isinstance(dim, int) else dim.factor for dim in value.type.shape) or 1


def _not_finite(value: Value) -> Diagnostic:
    assert value.op is not None, "inputs are checked before they run"
    return error("NT0213", f"`%{value.name}` becomes NaN or infinite on the calibration data").at(
        value.op.where, f"made by `{value.op.name}`"
    )
