"""Run a float network on the calibration data and watch which numbers occur."""

from __future__ import annotations

from math import prod

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value, Watch, Weight
from neutrams.ir.ops.time import working_ops
from neutrams.ir.types import Array, bind
from neutrams.passes.base import PassContext
from neutrams.passes.match import floats
from neutrams.passes.observers import Histogram
from neutrams.passes.samples import batches
from neutrams.simulator.batching import batching
from neutrams.simulator.digital import multiply_adds

SAMPLES = 512
"""Most samples to read; fewer are where the network is large."""
BATCH_BYTES = 2**26
"""The largest activation of one batch takes about this much at most."""
WORK = 2**29
"""Elements to look at in all; a large network makes do with fewer samples."""
PRODUCTS = 2**35
"""Multiply-adds to do in all, likewise: under a second on one core."""
FEWEST = 16
"""Samples that are read however large the network."""


def watch(graph: Graph, ctx: PassContext, *, samples: int = SAMPLES) -> dict[Value, Histogram]:
    """Return what every float value, those of cells included, is on the calibration data.

    Raises:
        NeutramsError: NT0207 and NT0208, there is none, or it does not fit.
    """
    seen: dict[Value, Histogram] = {}

    def note(value: Value, array: Array) -> None:
        if floats(value) and not isinstance(value, Weight) and array.size:
            seen.setdefault(value, Histogram()).add(array)

    show(graph, ctx, note, samples=samples)
    return seen


def show(graph: Graph, ctx: PassContext, note: Watch, *, samples: int) -> None:
    """Run the calibration data, or as much as a large network can afford, and tell of values.

    Raises:
        NeutramsError: NT0207 and NT0208, as for :func:`watch`.
    """
    if not ctx.calibration:
        raise NeutramsError(
            error("NT0207", f"`{ctx.running}` needs calibration data")
            .note("activations are rounded to integers, and their ranges come from real inputs")
            .help("give some: `--calibrate data.npz`, or `calibration=` in Python")
        )
    sizes = [_elements(value) for value in graph.values() if not isinstance(value, Weight)]
    most = min(WORK // max(sum(sizes), 1), PRODUCTS // max(_products(graph), 1))
    limit = min(samples, max(FEWEST, most))
    size = max(1, min(64, BATCH_BYTES // (4 * max(sizes, default=1))))
    for batch in batches(graph, ctx.calibration, limit=limit, size=size):
        interpret(graph, batch, watch=note)


def _products(graph: Graph) -> int:
    """Return the multiply-adds of one sample."""
    sizes = batching(graph).one()
    return sum(multiply_adds(op, sizes) * bind(n, sizes) for op, n in working_ops(graph))


def _elements(value: Value) -> int:
    """Return the elements of a value in one sample, each symbol counting as one."""
    return prod(dim if isinstance(dim, int) else dim.factor for dim in value.type.shape) or 1
