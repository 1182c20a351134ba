"""Fit what is left of a pruned product to what the whole one made, in closed form.

The rule of NEUTRAMS (2016): a layer reads what the layers before it make once they are pruned, and
should make what the original made there. Its kept weights then solve a ridge regression, one for
each block, whose ridge is the one that serves samples held out best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.graph import Graph, Module
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.text import parse, print_module
from neutrams.ir.types import Array
from neutrams.ir.windows import patches
from neutrams.passes.grouping import Grouping
from neutrams.passes.linear import Linear
from neutrams.passes.samples import batches

Floats = NDArray[np.float64]

VIEWS = 20_000
"""Most windows that a product is fitted on."""
HELD_OUT = 8
"""One view of so many only chooses the ridge."""
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Shares of the mean variance of an input."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Weights of the blocks, and what the bias moves by."""

    weights: tuple[Array, ...]
    """For each group ``[neurons, inputs, *window]``."""
    shift: Floats
    """``[neurons]`` of the original order."""


class Original:
    """A network as it was before it was changed, and samples to run it on."""

    def __init__(self, graph: Graph, data: Mapping[str, Array], *, samples: int, seed: int) -> None:
        store: dict[str, Array] = {}
        text = print_module(Module([graph]), store)
        self._graph = parse(text, weights=store).main
        self._parts = list(batches(graph, data, limit=samples))
        self._seed = seed

    def fit(self, graph: Graph, item: Linear, found: Grouping) -> Fit:
        """Return the weights with which a product of ``graph`` is nearest to its original."""
        random = np.random.default_rng(self._seed)
        share = max(1, VIEWS // len(self._parts))
        views = [self._views(graph, item, part, share, random) for part in self._parts]
        x, y = (np.concatenate(side) for side in zip(*views, strict=True))
        whole = item.w if isinstance(item.op, Conv) else item.w.T
        weights, shift = [], np.zeros(item.neurons)
        for rows, columns in zip(found.rows, found.columns, strict=True):
            held = whole[np.ix_(columns, rows)]
            flat = held.reshape(len(columns), -1).astype(np.float64)
            best, shift[columns] = _ridge(x[:, rows].reshape(len(x), -1), y[:, columns], flat)
            weights.append(best.reshape(held.shape))
        return Fit(tuple(weights), shift)

    def _views(
        self,
        graph: Graph,
        item: Linear,
        part: dict[str, Array],
        most: int,
        random: np.random.Generator,
    ) -> tuple[Floats, Floats]:
        """Return ``[views, inputs, window]`` as read now, ``[views, neurons]`` as made once."""
        y = _seen(self._graph, item.op.result.name, part)
        x = _seen(graph, item.x.name, part)
        if isinstance(item.op, Conv):
            op = item.op
            window = patches(x, item.w.shape[2:], op.strides, op.pads, op.dilations)
            x = np.moveaxis(window.reshape(*window.shape[:3], -1), 3, 1)
            y = np.moveaxis(y.reshape(*y.shape[:2], -1), 2, 1)
            y = y if item.b is None else y - item.b
        x = x.reshape(-1, item.inputs, prod(item.w.shape[2:]) if isinstance(item.op, Conv) else 1)
        y = y.reshape(-1, item.neurons)
        some = np.sort(random.choice(len(x), min(most, len(x)), replace=False))
        return x[some].astype(np.float64), y[some].astype(np.float64)


def _seen(graph: Graph, name: str, part: dict[str, Array]) -> Array:
    found: dict[str, Array] = {}

    def watch(value: Value, array: Array) -> None:
        if value.name == name:
            found[name] = array

    interpret(graph, part, watch=watch)
    return found[name]


def _ridge(x: Floats, y: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Return ``[neurons, inputs]`` and a shift with which ``x · wᵀ + shift`` is near ``y``.

    The weights are drawn to ``start``, and stay there if nothing serves the views held out better.
    """
    cut = len(x) - len(x) // HELD_OUT
    centre, target = x[:cut].mean(axis=0), y[:cut].mean(axis=0)
    seen = x[:cut] - centre
    values, vectors = np.linalg.eigh(seen.T @ seen)
    missed = vectors.T @ (seen.T @ (y[:cut] - target - seen @ start.T))
    mean = max(float(values.mean()), np.finfo(np.float64).tiny)
    best, least = start, np.inf
    for ridge in (None, *RIDGES):
        w = start
        if ridge is not None:
            scale = np.maximum(values, 0) + ridge * mean
            w = start + (vectors @ (missed / scale[:, None])).T
        wrong = float((((x[cut:] - centre) @ w.T + target - y[cut:]) ** 2).sum())
        if wrong < least:
            best, least = w, wrong
    return best, target - best @ centre
