"""Event counts against the published laws; none depends on the data."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from neutrams.ir.events import EVENTS
from neutrams.ir.graph import Graph
from neutrams.ir.ops.chip import Flow, Group, Place
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Coding, Target
from neutrams.ir.types import DType, symbol, tensor
from neutrams.simulator import simulate, usage
from neutrams.simulator.events import crossbar_events, network_events


def convolution(outputs: int, channels: int, **attributes: Any) -> Mvm:
    graph = Graph("main", "unit")
    groups = attributes.get("groups", 1)
    x = graph.input("x", tensor(DType.U8, symbol("N"), channels * groups, 10, 10))
    w = graph.weight("w", np.zeros((outputs * groups, channels * 9), np.int8))
    return Mvm(x, w, kernel=(3, 3), **attributes)


@pytest.mark.parametrize(("fan_in_channels", "splits"), [(3, 1), (20, 2), (64, 5)])
@pytest.mark.parametrize("coding", get_args(Coding))
def test_conversions_follow_the_law(
    isaac: Target, fan_in_channels: int, splits: int, coding: str
) -> None:
    """Conversions = windows × neurons × ceil(fan-in / rows) × slices × phases + unit columns."""
    op = convolution(40, fan_in_channels, rows=128, neurons=16, coding=coding)
    counts = crossbar_events(op, isaac, {"N": 1}, None)
    sums = {"offset": 4, "differential": 2 * 4, "analog-differential": 4, "twos-complement": 1 + 4}
    blocks = splits * 3
    unit = blocks if coding == "offset" else 0
    assert counts["adc_conversions"] == 64 * 8 * (40 * splits * sums[coding] + unit)
    assert counts["crossbar_reads"] == 64 * 8 * blocks
    assert counts["dac_drives"] == 64 * 8 * fan_in_channels * 9 * 3
    assert set(counts) <= set(EVENTS)


def test_isaac_converts_once_for_each_product(isaac: Target) -> None:
    """`reference`: conversions of a full 16-bit array are 1.0 a MAC, unit columns apart."""
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U16, symbol("N"), 128))
    w = graph.weight("w", np.zeros((16, 128), np.int16))
    op = Mvm(x, w, rows=128, neurons=16, input_bits=16, weight_bits=16)
    counts = crossbar_events(op, isaac, {"N": 1}, None)
    unit_columns = 16
    assert counts["adc_conversions"] - unit_columns == 128 * 16
    assert counts["cell_macs"] == 16 * 128 * (128 + 1)


def test_depthwise_blocks_drive_only_their_rows(isaac: Target) -> None:
    op = convolution(1, 1, groups=28, rows=128, neurons=32)
    counts = crossbar_events(op, isaac, {"N": 1}, None)
    assert counts["crossbar_reads"] == 64 * 8 * 2  # 14 groups of 9 rows in each block
    assert counts["dac_drives"] == 64 * 8 * 28 * 9


def test_copies_change_no_count(isaac: Target) -> None:
    op = convolution(40, 20, rows=128, neurons=16)
    blocks = len(op.table())
    chip = Graph("chip", "chip")
    one = Group(chip.weight("a", np.arange(blocks, dtype=np.int32)), unit="y")
    two = Group(chip.weight("b", np.arange(2 * blocks, dtype=np.int32) + 96), unit="y", copies=2)
    apart = [crossbar_events(op, isaac, {"N": 1}, group) for group in (None, one, two)]
    for event in ("adc_conversions", "crossbar_reads", "dac_drives", "shift_adds", "cell_macs"):
        assert len({counts[event] for counts in apart}) == 1
    assert apart[1]["input_register_bytes"] == apart[1]["buffer_read_bytes"] == 64 * 180
    assert apart[0]["input_register_bytes"] == 64 * 180 * 3


def test_flows_pay_for_every_hop(isaac: Target) -> None:
    chip = Graph("chip", "chip")
    place = [chip.weight("x", np.array([0, 3, 0])), chip.weight("y", np.array([0, 1, 0]))]
    source, end, bits = (
        chip.weight("s", np.array([0, 0, 1])),
        chip.weight("t", np.array([1, 2, 1])),
        chip.weight("b", np.array([100, 32, 999])),
    )
    chip.insert(Place(*place))
    chip.insert(Flow(source, end, bits))
    assert isaac.machine.network.flit_bits == 32
    # 4 flits over 4 links and 5 routers; 1 flit within one router; nothing for a tile to itself
    assert network_events(chip, isaac) == {"link_flits": 16, "router_flits": 21}


def test_a_run_counts_every_sample(build_net: Any) -> None:
    program: Program = build_net()
    rng = np.random.default_rng(0)
    runs = [
        simulate(program, {"x": rng.integers(0, 256, (n, 1, 12, 12)).astype(np.uint8)}, batch=2)
        for n in (1, 5)
    ]
    assert runs[1].counts == {event: 5 * count for event, count in runs[0].counts.items()}
    counts = runs[0].counts
    assert counts["pool_ops"] == 4 * 36 * 4
    assert counts["io_bytes"] == 144 + 10
    assert set(counts) <= set(EVENTS)
    names = [layer.name for layer in runs[0].layers]
    results = [op.result.name for op in program.module["main"].ops]
    assert names[: len(results)] == results


def test_usage_counts_cells_that_hold_weights(build_net: Any) -> None:
    program: Program = build_net()
    first, second, third = usage(program).values()
    assert (first.crossbars, first.cells) == (1, 9 * 4 * 4)
    assert (second.crossbars, second.cells) == (1, 36 * 6 * 4)
    assert third.share == pytest.approx(96 * 40 / 128**2)
