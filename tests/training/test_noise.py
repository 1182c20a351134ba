"""Noise of cells and converters: its size follows from how weights lie in cells."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import DType, symbol, tensor
from neutrams.training.executor import execute
from neutrams.training.noise import Noise
from neutrams.training.run import Run

NEURONS = 4000
X = np.array([[3, 0, 5, 7, 1, 2]], np.int64)


def sums(noise: Noise | None, *, coding: str = "offset", cells: int = 2, rows: int = 0) -> Tensor:
    """Return the sums of many neurons of the same 4-bit weights, 3-bit inputs in 3 phases."""
    graph = Graph("g", level="unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), X.shape[1]))
    w = graph.weight("w", np.ones((NEURONS, X.shape[1]), np.int8))
    form: dict[str, Any] = {"coding": coding, "cell_bits": cells, "rows": rows, "adc_bits": 0}
    op = Mvm(x, w, input_bits=3, weight_bits=4, **form)
    graph.add(op)
    live = {x: torch.from_numpy(X).float()}
    with torch.no_grad():
        execute([op], live, Run(noise=noise, merging=False))
    return live[op.result].sum(dim=0)[0]


def spread(noise: Noise, **form: Any) -> float:
    return float((sums(noise, **form) - sums(None, **form)).std())


def test_no_noise_changes_nothing() -> None:
    assert torch.equal(sums(Noise()), sums(None))


def test_a_seed_is_a_chip() -> None:
    noise = Noise(program=0.1, read=0.1, offset=1.0)
    assert torch.equal(sums(noise), sums(noise))
    other = Noise(program=0.1, read=0.1, offset=1.0, seed=1)
    assert not torch.equal(sums(noise), sums(other))


@pytest.mark.parametrize(
    ("coding", "cells", "slices"),
    [
        ("offset", 2, 1 + 16),
        ("offset", 4, 1),
        ("differential", 3, 2),
        ("differential", 1, 2 * 21),
        ("twos-complement", 2, 1 + 16 + 64),
    ],
)
def test_its_size_is_that_of_independent_cells(coding: str, cells: int, slices: int) -> None:
    """By slice, an error counts as often as its digit; by phase, as often as the input's bit."""
    form: dict[str, Any] = {"coding": coding, "cells": cells}
    top = 2**cells - 1
    programmed = 0.1 * top * sqrt(slices) * float(np.linalg.norm(X))
    assert spread(Noise(program=0.1), **form) == pytest.approx(programmed, rel=0.05)
    squares = sum(4**p * int((X >> p & 1).sum()) for p in range(3))
    assert spread(Noise(read=0.1), **form) == pytest.approx(
        0.1 * top * sqrt(slices * squares), rel=0.05
    )
    assert spread(Noise(offset=0.5), **form) == pytest.approx(0.5 * 7 * sqrt(slices), rel=0.05)


def test_each_crossbar_has_converters_of_its_own() -> None:
    one, two = (spread(Noise(offset=0.5), rows=rows) for rows in (6, 3))
    assert two == pytest.approx(one * sqrt(2), rel=0.05)
