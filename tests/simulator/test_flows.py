"""Traffic at tick grain against flits that were sent clock by clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.driver import compile
from neutrams.driver.clocked.cycles import run_cycles
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Concat, Reshape
from neutrams.ir.traffic import Mesh
from neutrams.ir.types import DType, symbol, tensor
from neutrams.simulator import schedule
from neutrams.simulator.cycle import Machine, lay_out, routers_of
from neutrams.simulator.events import network_events
from neutrams.simulator.network import Network, Routers, packets
from neutrams.simulator.network.trees import NODE, tree_loads
from neutrams.simulator.traffic.loads import network_load

RANDOM = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return (RANDOM.standard_normal(shape) * 0.2).astype(np.float32)


def branches() -> Graph:
    """A residual network: what one op makes goes to two, of which one is split by rows."""
    graph = Graph("branches", "nn")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 3, 10, 10))
    first = graph.add(Relu(graph.add(Conv(x, graph.weight("a", weights(40, 3, 3, 3))))))
    again = Conv(first, graph.weight("b", weights(40, 40, 3, 3)), pads=(1, 1, 1, 1))
    total = graph.add(Relu(graph.add(Add(graph.add(again), first))))
    pooled = graph.add(MaxPool(total, kernel=(2, 2), strides=(2, 2)))
    last = graph.add(Conv(pooled, graph.weight("c", weights(12, 40, 1, 1))))
    graph.output(last)
    return graph


def groups() -> Graph:
    """A depthwise convolution, parts put side by side, and a layer that reads all at once."""
    graph = Graph("groups", "nn")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 24, 6, 6))
    deep = graph.add(Conv(x, graph.weight("a", weights(24, 1, 3, 3)), groups=24))
    wide = graph.add(Conv(x, graph.weight("b", weights(70, 24, 3, 3))))
    both = graph.add(Relu(graph.add(Concat((deep, wide), axis=1))))
    flat = graph.add(Reshape(both, shape=(symbol("N"), 94 * 16)))
    graph.output(graph.add(Matmul(flat, graph.weight("c", weights(94 * 16, 10)))))
    return graph


def layers() -> Graph:
    graph = Graph("layers", "nn")
    x: Value = graph.input("x", tensor(DType.F32, symbol("N"), 300))
    for name, inputs, outputs in (("a", 300, 500), ("b", 500, 260), ("c", 260, 20)):
        x = graph.add(Relu(graph.add(Matmul(x, graph.weight(name, weights(inputs, outputs))))))
    graph.output(x)
    return graph


@pytest.mark.parametrize("make", [branches, groups, layers])
@pytest.mark.parametrize("multicast", [True, False])
@pytest.mark.parametrize("chip", [(1, 1, 1), (2, 3, 1), (1, 2, 2)])
def test_both_grains_count_the_same_flits(
    make: Any, multicast: bool, chip: tuple[int, int, int]
) -> None:
    """Out of every router, by every port: links, tiles, and what comes from each tile."""
    graph = make()
    crossbars, cores, shared = chip
    shape = tuple(dim if isinstance(dim, int) else 4 for dim in graph.inputs[0].type.shape)
    overrides = {
        "core.crossbars": crossbars,
        "tile.cores": cores,
        "network.tiles_per_router": shared,
        "network.multicast": multicast,
    }
    program = compile(graph, calibration={"x": weights(*shape)}, overrides=overrides)
    found = Machine(lay_out(program).plan, routers_of(program.target)).run()
    load = network_load(program.module["chip"], program.target)
    np.testing.assert_array_equal(load[..., :NODE], found.load)
    sent = np.zeros(load[..., NODE].size, np.int64)
    np.add.at(sent, found.packets["source"], found.packets["length"])
    np.testing.assert_array_equal(load[..., NODE].reshape(-1), sent)
    assert network_events(program.module["chip"], program.target) == {
        "router_flits": found.load.sum(),
        "link_flits": found.load[..., :4].sum(),
    }
    assert found.load[..., :4].sum() > 0


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_trees_are_those_that_routers_build(data: st.DataObject) -> None:
    columns, rows = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    mesh, seen = Mesh(columns, rows), st.integers(0, columns * rows - 1)
    sent = data.draw(
        st.lists(
            st.tuples(seen, st.lists(seen, min_size=1, unique=True), st.integers(1, 4)),
            min_size=1,
            max_size=6,
        )
    )
    goals, target = list[int](), list[int]()
    for _, ends, _ in sent:
        target.append(len(goals) if len(ends) > 1 else ends[0])
        goals += ends if len(ends) > 1 else []
    source, length = ([row[place] for row in sent] for place in (0, 2))
    born = np.arange(len(sent), dtype=np.int64)
    made = packets(born, *(np.array(each, np.int32) for each in (source, target, length)))
    made["copies"] = made["left"] = [len(ends) for _, ends, _ in sent]
    found = Network(Routers(mesh, depth=4), made, goals=goals).run()
    rows_of = [(s, end, p, n) for p, (s, ends, n) in enumerate(sent) for end in ends]
    load = tree_loads(mesh, *np.array(rows_of, np.int64).T)
    np.testing.assert_array_equal(load[..., :NODE], found.load)
    assert load[..., NODE].sum() == found.sent


@pytest.mark.parametrize("make", [branches, groups, layers])
@pytest.mark.parametrize("changed", ["network.flit_bits", "chip.io_gbytes_per_s", "tile.bus_bits"])
def test_the_schedule_knows_what_is_narrow(make: Any, changed: str) -> None:
    """Latency and period are about those of the cycle grain."""
    value = {"network.flit_bits": 8, "chip.io_gbytes_per_s": 0.01, "tile.bus_bits": 8}[changed]
    graph = make()
    shape = tuple(dim if isinstance(dim, int) else 4 for dim in graph.inputs[0].type.shape)
    overrides = {"core.crossbars": 2, "tile.cores": 2, changed: value}
    program = compile(graph, calibration={"x": weights(*shape)}, overrides=overrides)
    timing, found = schedule(program), run_cycles(program)
    assert found.clocks * found.clock_s == pytest.approx(timing.latency_s, rel=0.2)
    assert found.period_s == pytest.approx(timing.period_s, rel=0.15)
