"""Schedules against closed forms on networks small enough to work out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.stripes import stripes
from neutrams.ir.target import Target
from neutrams.ir.types import DType, symbol, tensor
from neutrams.simulator import schedule, schedule_graph
from neutrams.simulator.cycle import Machine, lay_out, routers_of
from neutrams.simulator.traffic.loads import network_load


def matrix(graph: Graph, x: Value, neurons: int, fan_in: int, **attributes: Any) -> Value:
    w = graph.weight("w", np.zeros((neurons, fan_in), np.int8))
    return graph.add(Mvm(x, w, **attributes), name="y")


def rescaled(graph: Graph, sums: Value, axis: int) -> Value:
    scale = graph.weight("s", np.array(1.0, np.float32))
    reduced = graph.add(Reduce(sums, axis=axis))
    return graph.add(Rescale(reduced, scale, axis=axis, low=0, dtype=DType.U8))


def test_one_window_takes_isaacs_22_cycles(isaac: Target) -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U16, symbol("N"), 128))
    graph.output(matrix(graph, x, 16, 128, input_bits=16, weight_bits=16, rows=128))
    timing = schedule_graph(isaac, graph)
    assert timing.stages[0].finish_cycle == 22
    assert timing.latency_s == pytest.approx(2.2e-6)
    assert timing.throughput_per_s == pytest.approx(1 / 1.6e-6)


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_copies_share_the_windows(isaac: Target, copies: int) -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 1, 10, 10))
    graph.output(matrix(graph, x, 4, 9, kernel=(3, 3)))
    (stage,) = schedule_graph(isaac, graph, copies={"y": copies}).stages
    rounds = stripes((8, 8), copies).most
    assert (stage.windows, stage.interval_cycles) == (rounds, 8)
    assert stage.finish_cycle == (rounds - 1) * 8 + 8 + isaac.machine.core.pipeline_cycles


def test_a_convolution_starts_when_its_first_rows_are_there(isaac: Target) -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 1, 22, 22))
    first = rescaled(graph, matrix(graph, x, 1, 9, kernel=(3, 3)), 1)
    graph.output(matrix(graph, first, 1, 9, kernel=(3, 3)))
    stages = schedule_graph(isaac, graph).stages
    depth = 8 + isaac.machine.core.pipeline_cycles
    done = 399 * 8 + depth  # 20 × 20 windows
    assert stages[0].finish_cycle == done
    assert stages[-1].start_cycle == pytest.approx(depth + 3 / 20 * (done - depth), abs=1)
    # its last row of 18 windows follows the last row of the first
    assert stages[-1].finish_cycle == pytest.approx(done + 17 * 8 + depth, abs=1)


def test_a_matrix_product_of_everything_waits_for_everything(isaac: Target) -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 30))
    first = rescaled(graph, matrix(graph, x, 20, 30), 1)
    graph.output(matrix(graph, first, 10, 20))
    stages = schedule_graph(isaac, graph).stages
    assert stages[-1].start_cycle >= stages[0].finish_cycle


def test_the_slowest_stage_sets_the_pace(isaac: Target) -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 1, 22, 22))
    first = rescaled(graph, matrix(graph, x, 1, 9, kernel=(3, 3)), 1)
    graph.output(matrix(graph, first, 1, 9, kernel=(3, 3)))
    timing = schedule_graph(isaac, graph)
    assert timing.period_s == pytest.approx(400 * 8 * 100e-9)
    assert timing.latency_s < timing.layer_by_layer_s
    assert timing.crossbar_busy == pytest.approx((400 + 324) / 2 / 400)


def test_vector_work_takes_lanes_and_tiles_into_account(isaac: Target) -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 64, 64, 64))
    graph.output(graph.add(MaxPool(x, kernel=(2, 2), strides=(2, 2)), name="p"))
    tile = isaac.machine.tile
    clocks = 64 * 32 * 32 * 4 / tile.vector_lanes
    cycles = clocks / tile.clock_ghz / isaac.machine.core.read_ns
    (one,) = schedule_graph(isaac, graph).stages
    (two,) = schedule_graph(isaac, graph, tiles={"p": (3, 4)}).stages
    assert one.busy_cycles == pytest.approx(cycles)
    assert two.busy_cycles == pytest.approx(cycles / 2)


def test_ops_of_one_tile_share_its_vector_unit(isaac: Target) -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 64, 64, 64))
    first = graph.add(MaxPool(x, kernel=(2, 2)), name="a")
    graph.output(graph.add(MaxPool(first, kernel=(2, 2)), name="b"))
    apart = schedule_graph(isaac, graph, tiles={"a": (0,), "b": (1,)})
    shared = schedule_graph(isaac, graph, tiles={"a": (0,), "b": (0,)})
    assert shared.period_s > 1.9 * apart.period_s


def test_a_program_is_scheduled_by_its_chip_graph(build_net: Any) -> None:
    program: Program = build_net()
    stages = schedule(program).stages
    assert [stage.unit for stage in stages] == [op.result.name for op in program.module["main"].ops]
    assert all(stage.start_cycle <= stage.finish_cycle for stage in stages)


def layers(**chip: Any) -> Program:
    from neutrams.driver import compile

    graph = Graph("net", "nn")
    random = np.random.default_rng(0)
    x = graph.input("x", tensor(DType.F32, symbol("N"), 64))
    for name, inputs, outputs in (("a", 64, 200), ("b", 200, 30)):
        w = graph.weight(name, random.standard_normal((inputs, outputs)).astype(np.float32))
        x = graph.add(Relu(graph.add(Matmul(x, w))))
    graph.output(x)
    data = random.standard_normal((4, 64)).astype(np.float32)
    return compile(graph, calibration={"x": data}, overrides=chip)


def test_a_slow_link_sets_the_pace() -> None:
    """Inputs come, in 8 bits, and outputs go, in 32, one after the other."""
    fast, slow = layers(), layers(**{"chip.io_gbytes_per_s": 1e-3})
    before, timing = schedule(fast), schedule(slow)
    inside, outside = 64 / 1e-3 * 1e-9, 30 * 4 / 1e-3 * 1e-9
    assert timing.bounds[0].part == "link of the chip"
    assert timing.period_s == pytest.approx(inside + outside)
    assert inside + outside < timing.latency_s <= inside + outside + before.latency_s
    assert timing.stages[-1].op == "chip.io"


def test_routers_and_buses_set_the_pace() -> None:
    """Each sends what it has to as fast as it can: a flit a clock, and what a bus is wide."""
    program = layers(**{"core.crossbars": 1, "tile.cores": 1, "network.flit_bits": 1})
    timing, load = schedule(program), network_load(program.module["chip"], program.target)
    assert timing.bounds[0].busy_ns == load.max() / program.target.machine.network.clock_ghz
    assert timing.period_s == pytest.approx(timing.bounds[0].busy_ns * 1e-9)
    narrow = layers(**{"tile.bus_bits": 1})
    found = Machine(lay_out(narrow).plan, routers_of(narrow.target)).run()
    bus = next(each for each in schedule(narrow).bounds if each.part.startswith("bus"))
    assert bus.busy_ns * narrow.target.machine.network.clock_ghz == found.tiles["bus_busy"].max()
