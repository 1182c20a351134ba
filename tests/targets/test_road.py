"""Every built-in target runs a real network from model to report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neutrams
from neutrams import targets

EXAMPLES = Path(__file__).parents[2] / "examples"
LOSSY = {"neurosim-rram"}
"""Their converters take less than whole sums, and nothing here retrains for that: better than a
guess is all that can be asked."""


@pytest.mark.parametrize("name", targets.names())
def test_digits_compile_and_are_told_apart(name: str) -> None:
    with np.load(EXAMPLES / "digits_calibration.npz") as data:
        calibration = data["x"][:64]
    program = neutrams.compile(EXAMPLES / "mnist8_cntk.onnx", target=name, calibration=calibration)
    found = neutrams.simulate(program, EXAMPLES / "digits_test.npz", limit=50)
    assert found.energy_j > 0
    assert found.resources.latency_s > 0
    assert 0 < found.resources.area_mm2 < found.resources.chip_area_mm2
    assert found.accuracy is not None
    assert found.accuracy >= (0.2 if name in LOSSY else 0.96)
