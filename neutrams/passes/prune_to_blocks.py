"""``prune-to-blocks``."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import ClassVar

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.block_product import build
from neutrams.passes.grouping import group
from neutrams.passes.linear import Linear, linear
from neutrams.passes.quantize_plan import stays_float
from neutrams.passes.refit import Original

SPATIAL = 3
"""Most axes of positions that a grouped product can have, and so a matrix product before it."""


@dataclass(frozen=True)
class PruneToBlocks(Pass):
    """Of every matrix that is taller than a crossbar keep only diagonal blocks, one a crossbar.

    The other way to obey a fan-in, that of NEUTRAMS (2016): inputs and neurons are grouped so that
    most of the magnitude of the weights lies where a group meets its own, and the rest is deleted,
    so that no partial sums are left to merge. A convolution is grouped by channels. What follows
    is exact: the product with the masked matrix, in its old order. With ``refit`` the weights that
    are left are first fitted to what the whole matrix made of the calibration data.
    """

    name: ClassVar[str] = "prune-to-blocks"
    takes: ClassVar = ("nn",)
    descends: ClassVar[bool] = True
    rms_bound: ClassVar[float] = inf

    rows: int = 0
    """Most inputs of a block; 0 for what the target's units read."""
    neurons: int = 0
    """Most neurons of a block; 0 for what the target's units make."""
    share: bool = True
    """Let an input feed several blocks, or none, so that every block uses all its rows; else each
    input feeds one."""
    convolutions: bool = True
    """Prune convolutions too; else they are left for `split-fan-in`."""
    climbs: int = 48
    """Most hill climbs of the search; 1 is quickest."""
    refit: bool = False
    """Fit the kept weights to the outputs of the original product, layer by layer."""
    samples: int = 256
    """Most calibration samples to fit to."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        rows, neurons = self.sizes(ctx)
        original = self._original(graph, ctx)
        changed = False
        for op in list(graph.ops):
            if not isinstance(op, Conv | Matmul) or stays_float(op):
                continue
            item = linear(op)
            assert item is not None, "what does not stay float is linear"
            count = self._count(item, rows, neurons, ctx)
            if count > 1:
                self._prune(graph, item, count, rows, ctx, original)
                changed = True
        if changed:
            graph.prune()
        return changed

    def sizes(self, ctx: PassContext) -> tuple[int, int]:
        """Return the rows and the neurons of the largest block."""
        if self.rows and self.neurons:
            return self.rows, self.neurons
        limits = ctx.need_target().limits
        return self.rows or limits.fan_in, self.neurons or limits.neurons

    def _original(self, graph: Graph, ctx: PassContext) -> Original | None:
        """Return the network to fit to; cells that a network calls have no samples of their own."""
        known = ctx.calibration or {}
        if not self.refit or any(value.name not in known for value in graph.inputs):
            return None
        return Original(graph, known, samples=self.samples, seed=ctx.seed)

    def _count(self, item: Linear, rows: int, neurons: int, ctx: PassContext) -> int:
        """Return how many groups a matrix falls into; 0 where it stays whole."""
        window = window_of(item)
        groups = item.op.groups if isinstance(item.op, Conv) else 1
        if item.inputs // groups * window <= rows:
            return 0
        if reason := self._obstacle(item, rows, groups, window):
            ctx.remark(item.op, f"not pruned: {reason}", kind="missed")
            return 0
        count = group_count(item.inputs, item.neurons, rows // window, neurons)
        if not count:
            reason = f"{item.neurons} neurons are fewer than the blocks its inputs need"
            ctx.remark(item.op, f"not pruned: {reason}", kind="missed")
        return count

    def _obstacle(self, item: Linear, rows: int, groups: int, window: int) -> str:
        if isinstance(item.op, Conv) and not self.convolutions:
            return "convolutions are to be split"
        if groups > 1:
            return "it is grouped already"
        if window > rows:
            return f"one channel alone takes {window} rows of {rows}"
        if not 2 <= item.x.type.rank <= 2 + SPATIAL:
            return f"a product of {item.x.type.rank} axes has no grouped form"
        return ""

    def _prune(
        self,
        graph: Graph,
        item: Linear,
        count: int,
        rows: int,
        ctx: PassContext,
        original: Original | None,
    ) -> None:
        most = rows // window_of(item)
        found = group(
            magnitude(item), count, rows=most, share=self.share, seed=ctx.seed, climbs=self.climbs
        )
        fit = None if original is None else original.fit(graph, item, found)
        made = build(graph, item, found, fit)
        held = sum(len(r) * len(c) for r, c in zip(found.rows, found.columns, strict=True))
        share = held / (item.inputs * item.neurons)
        text = (
            f"{count} blocks keep {share:.1%} of the weights, {found.kept:.1%} of their magnitude"
        )
        ctx.remark(made, text if fit is None else f"{text}; refitted")


def window_of(item: Linear) -> int:
    """Return the rows that one input channel takes."""
    return prod(item.w.shape[2:]) if isinstance(item.op, Conv) else 1


def magnitude(item: Linear) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return ``[inputs, neurons]`` the magnitudes of the weights, summed over a window."""
    whole = np.abs(item.w.astype(np.float64))
    if isinstance(item.op, Matmul):
        return whole
    return np.asarray(whole.sum(axis=tuple(range(2, whole.ndim))).T)


def group_count(inputs: int, neurons: int, rows: int, columns: int) -> int:
    """Return the groups of a matrix whose blocks hold ``rows`` inputs and ``columns`` neurons.

    As many as the longer side needs; where that leaves groups without an input or a neuron, as
    many as the inputs need, and 0 where that does too.
    """
    tall = -(-inputs // rows)
    for count in (max(tall, -(-neurons // columns)), tall):
        if count <= min(inputs, neurons):
            return count
    return 0
