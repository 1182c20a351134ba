"""Inputs for want of calibration data: from what a network stores, from a range, or normal."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np

from neutrams.driver.preprocess import Preprocess
from neutrams.ir.diagnostics import Diagnostic, warning
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.normalization import BatchNorm
from neutrams.ir.ops.quantization import Quantize
from neutrams.ir.types import Array, Symbol
from neutrams.passes.match import constant

COUNT = 256
"""Samples that are made up."""
FEWEST = 16
"""Of a network with large inputs."""
ELEMENTS = 2**22
"""Numbers that all samples hold together, at most."""
STEPS = 16
"""Length of random sequences, where a network takes any."""
DESCENT = 100
"""Steps in which inputs are fitted to stored statistics."""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """How samples are made up; known before they are made."""

    method: str
    """``batch-norm statistics``, ``range`` or ``normal``."""
    seed: int
    graph: Graph
    steps: Preprocess

    @staticmethod
    def plan(graph: Graph, steps: Preprocess, *, seed: int) -> Synthesis:
        """Choose the best that a network and its preprocessing allow for."""
        if _norms(graph) and find_spec("torch") is not None:
            return Synthesis("batch-norm statistics", seed, graph, steps)
        ranged = any(_range(value, steps) is not None for value in graph.inputs)
        return Synthesis("range" if ranged else "normal", seed, graph, steps)

    def make(self) -> dict[str, Array]:
        """Return an array for each input; the same for the same seed."""
        start = drawn(self.graph, self.steps, seed=self.seed)
        if self.method != "batch-norm statistics":
            return start
        from neutrams.training.distil import distil
        from neutrams.training.settings import settled

        known = {value.name: _range(value, self.steps) for value in self.graph.inputs}
        bounds = {name: ends for name, ends in known.items() if ends is not None}
        with settled(1):
            made = distil(self.graph, start, norms=_norms(self.graph), bounds=bounds, steps=DESCENT)
        return made.inputs

    def to_manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = {"method": self.method}
        if self.method == "batch-norm statistics":
            import torch

            found["torch"] = torch.__version__
        return found

    def warn(self) -> Diagnostic:
        """Say that and how samples were made up."""
        found = warning("NT0540", "no calibration data: ranges come from synthetic inputs")
        found = found.note(_NOTES[self.method])
        if self.method != "batch-norm statistics" and _norms(self.graph):
            found = found.note("the network's batch norms could tell more, but torch is missing")
        found = found.help("give some dozens of real inputs: --calibrate data.npz")
        if self.method == "normal":
            return found.help("or say what they lie within: --preprocess range=0:255")
        return found


_NOTES = {
    "batch-norm statistics": "they are fitted to what the network's batch norms store",
    "range": "they are noise over the range that inputs are declared to have; "
    "accuracy may be far from what real inputs would give",
    "normal": "they are standard normal, for no range of inputs is known; "
    "accuracy may be far from what real inputs would give",
}


def drawn(
    graph: Graph, steps: Preprocess | None = None, *, seed: int, count: int = COUNT
) -> dict[str, Array]:
    """Return normal samples (0 or 1 where a graph reads integers), within ranges that are known.

    They are ``count``, fewer where they are large, or what fills a fixed batch; where inputs do not
    share their first axis, just what one run takes. Symbolic sizes beyond the first axis, of
    sequences, become ``STEPS``.
    """
    random = np.random.default_rng(seed)
    firsts = {value.type.shape[0] for value in graph.inputs if value.type.rank}
    elements = sum(prod(_shape(value)[1:]) for value in graph.inputs)
    count = min(count, max(FEWEST, ELEMENTS // max(elements, 1)))
    found: dict[str, Array] = {}
    for value in graph.inputs:
        shape = _shape(value)
        if len(firsts) == 1 and shape:
            least = shape[0] if isinstance(value.type.shape[0], int) else 1
            shape[0] = least * -(-count // least)
        normal = random.standard_normal(shape)
        kind, ends = value.type.dtype.numpy.kind, _range(value, steps or Preprocess())
        if kind == "f" and ends is not None:
            low, high = ends
            normal = np.clip((low + high) / 2 + (high - low) / 4 * normal, low, high)
        found[value.name] = (normal if kind == "f" else normal > 0).astype(value.type.dtype.numpy)
    return found


def _norms(graph: Graph) -> list[BatchNorm]:
    """Return the batch norms of a float graph whose stored statistics are known."""
    if any(isinstance(op, Quantize) for op in graph.ops):
        return []
    found = [op for op in graph.ops if isinstance(op, BatchNorm)]
    return [op for op in found if all(constant(v) is not None for v in (op.mean, op.variance))]


def _shape(value: Value) -> list[int]:
    return [STEPS if isinstance(dim, Symbol) else dim for dim in value.type.shape]


def _range(value: Value, steps: Preprocess) -> tuple[float, float] | None:
    """Return the range an input is declared to have, by the graph or by its preprocessing."""
    if value.type.range is not None:
        return value.type.range
    return steps.result_range()
