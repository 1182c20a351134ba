"""NEUTRAMS (2016): the magnitude of weights that diagonal blocks keep of a random matrix."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neutrams.passes.grouping import Grouping, group
from neutrams.passes.prune_to_blocks import group_count
from neutrams.reproduce.recipe import Recipe, Row

_SIDE = 256
_KEPT = {
    (784, 50): ("32.7", "38", "40"),
    (784, 300): ("32.7", "36", "37"),
    (512, 512): ("50", "52", "53"),
    (1024, 256): ("25", "28", "29"),
}
"""Percent of the synapses, and of the magnitude of Gaussian and Laplace weights."""
_MORE = "our search keeps more: an input may feed several blocks, and every block has neurons"


def _rows() -> Iterator[Row]:
    for (inputs, neurons), (synapses, gauss, laplace) in _KEPT.items():
        random = np.random.default_rng(0)
        size = (inputs, neurons)
        for kind, published, weights in (
            ("Gaussian", gauss, random.normal(size=size)),
            ("Laplace", laplace, random.laplace(size=size)),
        ):
            count = group_count(inputs, neurons, _SIDE, _SIDE)
            found = group(np.abs(weights), count, rows=_SIDE)
            if kind == "Gaussian":
                quantity = f"{inputs}×{neurons}: synapses kept"
                yield Row(quantity, synapses, _share(found, inputs * neurons), "%")
            quantity = f"{inputs}×{neurons}, {kind}: magnitude kept"
            yield Row(quantity, published, 100 * found.kept, "%", 0.05, _MORE)


def _share(found: Grouping, elements: int) -> float:
    held = sum(len(r) * len(c) for r, c in zip(found.rows, found.columns, strict=True))
    return 100 * held / elements


PRUNING = Recipe(
    name="prune-to-blocks",
    title="Magnitude of weights kept in diagonal blocks of 256×256",
    source="Ji et al., MICRO 2016: its search, run again on random weights",
    about=(
        "The grouping of `prune-to-blocks` on random matrices. The numbers beside are those of the "
        "2016 search re-implemented, a hill climb over single swaps and moves, not of the paper."
    ),
    rows=lambda: tuple(_rows()),
)
