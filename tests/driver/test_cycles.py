"""The cycle grain through the driver: same outputs, times that wait for what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neutrams import driver
from neutrams.driver.clocked.cycles import run_cycles
from neutrams.ir.program import Program

EXAMPLES = Path(__file__).parents[2] / "examples"
MNIST = EXAMPLES / "mnist8_cntk.onnx"


@pytest.fixture(scope="module")
def digits() -> dict[str, Any]:
    with np.load(EXAMPLES / "digits_test.npz") as held:
        return {"x": held["x"][:20], "y": held["y"][:20]}


@pytest.fixture(scope="module")
def program() -> Program:
    return driver.compile(MNIST, calibration=EXAMPLES / "digits_calibration.npz")


def test_outputs_do_not_depend_on_the_grain(program: Program, digits: dict[str, Any]) -> None:
    tick = driver.simulate(program, digits)
    cycle = driver.simulate(program, digits, grain="cycle")
    for name, array in tick.outputs.items():
        assert (cycle.outputs[name] == array).all()
    assert cycle.cycles is not None
    assert cycle.resources.latency_s == cycle.cycles.clocks * cycle.cycles.clock_s
    assert cycle.resources.latency_s <= tick.resources.latency_s
    assert cycle.resources.throughput_per_s == pytest.approx(tick.resources.throughput_per_s, 0.02)
    last = [layer for layer in cycle.resources.layers if layer.crossbars][-1]
    assert last.finish_s <= cycle.resources.latency_s


def test_a_slow_network_is_felt(digits: dict[str, Any]) -> None:
    """Spread over single-crossbar tiles, with slow links of one bit, the network sets the pace."""
    spread = {"tile.cores": 1, "core.crossbars": 1, "network.clock_ghz": 0.1}
    spread["network.multicast"] = False
    found = {}
    for bits in (32, 1):
        chip = {**spread, "network.flit_bits": bits}
        made = driver.compile(MNIST, calibration=digits, overrides=chip)
        found[bits] = run_cycles(made)
    assert found[1].flits > 8 * found[32].flits
    assert found[1].period_s > 1.2 * found[32].period_s
    assert found[1].busiest_link > found[32].busiest_link
    assert found[32].router_flits == found[32].link_flits + found[32].flits
