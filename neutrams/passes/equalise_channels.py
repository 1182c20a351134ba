"""``equalise-channels``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.elementwise import Mul
from neutrams.ir.ops.normalization import LayerNorm
from neutrams.ir.types import Array
from neutrams.passes.affine import Affine, is_quantized
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.chains import Chain, chain
from neutrams.passes.match import constant, located
from neutrams.passes.observers import Histogram, choose
from neutrams.passes.watching import show
from neutrams.passes.weight_rounding import channel_scales

Codes = tuple[int, int]
SHARES = np.linspace(0, 1, 9)
"""How much of the differences is taken from the values; the rest from the weights."""
LEAST = 1 / 64
"""Smallest range of a channel, as a share of the largest."""
FLOOR = 0.01
"""Power that counts as that of a silent neuron, as a share of the mean."""
ROWS = 2048
"""Places looked at, about."""
WORK = 2**27
"""Products to try for one layer and one way."""
WEIGHTS = 2**20
"""Weights to try them with, about: those of some of the neurons."""


@dataclass(frozen=True)
class EqualiseChannels(Pass):
    """Scale channels so that one step of rounding serves them all, and undo it in the weights.

    A tensor has one step for all channels, and a neuron one for all its weights; so channels of
    small values, or of small weights, are rounded coarsely. Multiplying a channel and dividing the
    weights that read it moves the difference from the one to the other. Of several ways to share
    it, that of least rounding error at the target's widths is taken. It is done where what makes
    the values, a product, a norm or a float op, can take up the factors.
    (Nagel et al., ICCV 2019; Xiao et al., ICML 2023.)
    """

    name: ClassVar[str] = "equalise-channels"
    takes: ClassVar = ("nn",)

    samples: int = 256
    """Most calibration samples to read."""
    worth: float = 0.25
    """Largest share of a layer's error that may be left where its channels are scaled; equalised
    channels have no room for larger values than were seen."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if is_quantized(graph) or not ctx.calibration:
            return False
        chains = [found for op in graph.ops if (found := chain(graph, op)) is not None]
        seen = self._watch(graph, ctx, chains) if chains else {}
        low, high = ctx.target.activation_codes if ctx.target else (0, 255)
        codes = ctx.target.chosen_weights if ctx.target else (-127, 127)
        bits = (high - low).bit_length()
        changed = False
        for op in [found.behind.op for found in chains]:
            found = chain(graph, op)
            assert found is not None
            factors = _best(seen[found.behind.x.name], found.weights, bits, codes, self.worth)
            if factors is None:
                continue
            ctx.remark(op, f"{len(factors)} channels that it reads are rounded more alike")
            _scale(graph, found, factors)
            changed = True
        if changed:
            graph.prune()
        return changed

    def _watch(self, graph: Graph, ctx: PassContext, chains: list[Chain]) -> dict[str, Array]:
        """Return ``[places, channels, of each]`` numbers of what each chain ends in."""
        ends = {found.behind.x: found for found in chains}
        seen: dict[str, list[Array]] = {}

        def watch(value: Value, array: Array) -> None:
            if value not in ends:
                return
            found = ends[value]
            moved = np.moveaxis(array, found.behind.input_axis, -1)
            flat = moved.reshape(-1, found.channels, found.behind.inputs // found.channels)
            every = max(1, len(flat) * self.samples // (ROWS * len(array)))
            seen.setdefault(value.name, []).append(flat[::every].astype(np.float64))

        show(graph, ctx, watch, samples=self.samples)
        return {name: np.concatenate(parts) for name, parts in seen.items()}


def _best(x: Array, w: Array, bits: int, codes: Codes, worth: float) -> Array | None:
    """Return what to divide channels by, for the least error; ``None`` where that is nothing.

    Args:
        x: ``[places, channels, of each]`` numbers that are read.
        w: ``[neurons, channels, of each]``, or more weights of each where windows slide.
        bits: of numbers.
        codes: the least and the largest weight.
        worth: share of the error that may be left.
    """
    most = np.abs(w).max(axis=(1, 2), keepdims=True)
    sizes = np.abs(x).max(axis=(0, 2)), (np.abs(w) / np.maximum(most, 1e-30)).max(axis=(0, 2))
    if not (sizes[0].any() and sizes[1].any()):
        return None
    by_x, by_w = (np.maximum(size, LEAST * size.max()) for size in sizes)
    w = w[:: max(1, w.size // WEIGHTS)]
    x = x[:: max(1, len(x) * w.size // WORK)]
    best, least = None, worth * _error(np.ones_like(by_x), x, w, bits, codes)
    for share in SHARES:
        factors = by_x**share / by_w ** (1 - share)
        factors /= np.exp(np.log(factors).mean())
        if (error := _error(factors, x, w, bits, codes)) < least:
            best, least = factors, error
    return best


def _error(factors: Array, x: Array, w: Array, bits: int, codes: Codes) -> float:
    """Return the error that rounding makes, as a share of what a neuron makes, over all neurons."""
    wanted = _products(x, w)
    missed = (_products(*_rounded(factors, x, w, bits, codes)) - wanted) ** 2
    power = (wanted**2).mean(axis=0)
    return float((missed.mean(axis=0) / (power + FLOOR * power.mean() + 1e-30)).mean())


def _products(x: Array, w: Array) -> Array:
    """Multiply; where windows slide, each weight of a channel with every number of it."""
    if x.shape[2] == w.shape[2]:
        return x.reshape(len(x), -1) @ w.reshape(len(w), -1).T
    return np.asarray(np.einsum("nc,mck->nmk", x[:, :, 0], w, optimize=True))


def _rounded(factors: Array, x: Array, w: Array, bits: int, codes: Codes) -> tuple[Array, Array]:
    """Round numbers and weights as `calibrate` and `quantize` do."""
    scaled = x / factors[:, None]
    histogram = Histogram()
    histogram.add(scaled)
    to = Affine.of_range(*choose(histogram, "mse", bits=bits, percentile=0), bits=bits)
    ints = np.clip(np.rint(scaled / to.scale) + to.zero, to.low, to.high)
    wide = w * factors[:, None]
    scales = channel_scales(wide.reshape(len(w), -1), codes).astype(np.float64)
    steps = scales[:, None, None]
    return (ints - to.zero) * to.scale, np.clip(np.rint(wide / steps), *codes) * steps


def _scale(graph: Graph, found: Chain, factors: Array) -> None:
    """Divide channels by factors where they are made, multiply the weights that read them."""
    behind = found.behind
    wide = np.repeat(factors, behind.inputs // len(factors))
    graph.replace(behind.op, behind.inputs_scaled(wide).build(graph))
    source, norm = found.source, found.source.op
    if found.before is not None:
        if found.add is not None:
            _divide(graph, found.add, found.add.b, factors)
        graph.replace(found.before.op, found.before.outputs_scaled(1 / factors).build(graph))
    elif isinstance(norm, LayerNorm):
        for value in list(norm.present)[1:]:
            _divide(graph, norm, value, factors)
    else:
        shape = [-1 if axis == found.axis else 1 for axis in range(source.type.rank)]
        inverse = (1 / factors).reshape(shape).astype(source.type.dtype.numpy)
        (reader,) = source.users
        mul = located(Mul(source, graph.weight(f"{source.name}.alike", inverse)), reader)
        scaled = graph.add(mul, before=reader, name=f"{source.name}.scaled")
        graph.redirect(source, scaled, [reader])


def _divide(graph: Graph, op: Op, value: Value, factors: Array) -> None:
    """Let an op read a constant vector divided by factors."""
    data = constant(value)
    assert data is not None
    vector = np.broadcast_to(data.reshape(-1), factors.shape) / factors
    new = graph.weight(f"{value.name}.alike", vector.astype(data.dtype))
    graph.redirect(value, new, [op])
