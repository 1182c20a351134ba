"""The cycle grain: closed forms of small machines, and networks that never wait for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.graph import Graph
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.traffic import Mesh
from neutrams.ir.types import DType, symbol, tensor
from neutrams.simulator import schedule
from neutrams.simulator.cycle import Machine, Stuck, lay_out, routers_of
from neutrams.simulator.cycle.deliveries import Deliveries
from neutrams.simulator.cycle.state import EDGE, STATION, Plan
from neutrams.simulator.cycle.watch import watch_nothing
from neutrams.simulator.network import Routers
from neutrams.simulator.traffic.packets import Sent

ROUTERS = Routers(Mesh(2, 2), pipeline=2, link=1)


def chain(
    items: int, *stations: dict[str, int], room: int = 4, flits: int = 0, delay: int = 0
) -> Plan:
    """Return stations in a row; window ``i`` needs the first ``i + 1`` windows before it."""
    made = np.zeros(len(stations), STATION)
    for record, given_ in zip(made, stations, strict=True):
        fields = {"items": items, "each": items, "ahead": 2, "depth": 4, "begin": -1}
        for name, value in {**fields, **given_}.items():
            record[name] = value
    edges = np.zeros(len(stations) - 1, EDGE)
    sent = Deliveries(np.arange(4, dtype=np.int32), 8, multicast=True)
    for index, station in enumerate(made):
        one = []
        if index < len(edges):
            edges[index]["source"], edges[index]["target"] = index, index + 1
            edges[index]["room"], edges[index]["each"] = room, items
            edges[index]["told"], edges[index]["delay"] = -1, delay
            tile = int(made[index + 1]["tile"])
            one = [Sent(index, tile, ("x",), 8.0 * flits, np.arange(items))]
        station["classes"] = sent.add(int(station["tile"]), items, one)
    numbers = np.arange(len(stations))
    made["in_begin"], made["in_end"] = np.maximum(numbers - 1, 0), numbers
    windows = np.arange(items)
    needs = np.stack([windows + 1, windows], axis=1)
    incoming = np.arange(len(edges), dtype=np.int32)
    return sent.plan(made, edges, incoming, needs, np.arange(4, dtype=np.int32))


@pytest.mark.parametrize("items", [1, 7, 40])
def test_a_pipeline_runs_at_the_pace_of_its_slowest_station(items: int) -> None:
    """Latency is the sum of the steps of one item, and the slowest step for each further one."""
    first = {"work": 10, "after": 5, "fetch": 2, "store": 1}
    second = {"work": 30, "after": 0, "fetch": 1, "store": 2}
    found = Machine(chain(items, first, second), ROUTERS).run()
    assert found.finished
    assert found.clocks == (2 + 10 + 5 + 1) + (1 + 30 + 2) + (items - 1) * 30
    assert found.stations["busy"].tolist() == [10 * items, 30 * items]
    assert found.tiles["bus_busy"][0] == items * (2 + 1 + 1 + 2)


def test_a_packet_between_tiles_takes_the_network_its_time() -> None:
    """From router 0 to 3: two hops; the head crosses three routers and two links."""
    plan = chain(1, {"tile": 0, "work": 10}, {"tile": 3, "work": 7}, flits=5)
    found = Machine(plan, ROUTERS).run()
    assert found.clocks == 10 + (3 * 2 + 2 * 1 + 4) + 7
    assert found.flits == 5
    assert found.load[..., :4].sum() == 10


def test_stations_of_a_tile_share_its_vector_unit() -> None:
    shared = [{"shared": 1, "work": 20}, {"shared": 1, "work": 20}]
    found = Machine(chain(10, *shared), ROUTERS).run()
    assert found.clocks == 10 * 40
    apart = [{"shared": 1, "work": 20}, {"shared": 1, "work": 20, "tile": 1}]
    found = Machine(chain(10, *apart, flits=1), ROUTERS).run()
    assert found.clocks == 20 + (2 * 2 + 1) + 10 * 20


def test_a_slow_reader_holds_its_source_back() -> None:
    """The source is never further ahead than the buffer, the register and its own results."""
    plan = chain(50, {"work": 1}, {"work": 100}, room=3)
    machine = Machine(plan, ROUTERS)
    for until in range(100, 5000, 100):
        found = machine.run(until)
        sent, fetched = found.stations["sent"][0], found.stations["fetched"][1]
        assert sent - fetched <= 3
    assert machine.run().clocks == 1 + 50 * 100


def test_word_of_free_places_takes_its_time() -> None:
    """With room for one item, each goes its way, is worked on, and word of it comes back."""
    first, second = {"work": 1}, {"work": 10, "tile": 1, "ahead": 1}
    way = 2 * 2 + 1
    for delay in (5, 50):
        plan = chain(20, first, second, room=1, flits=1, delay=delay)
        found = Machine(plan, ROUTERS).run().stations["end"][1]
        assert found == 1 + way + 10 + 19 * max(10, way + delay)


def test_too_small_a_buffer_is_told() -> None:
    plan = chain(4, {"work": 1}, {"work": 1}, room=1)
    plan.needs[:, 0] = np.minimum(plan.needs[:, 0] + 1, 4)
    with pytest.raises(Stuck, match="wait for each other"):
        Machine(plan, ROUTERS).run()


def network(draw: Any, rng: np.random.Generator) -> Graph:
    """Return convolutions, pools and sums of two branches."""
    graph = Graph("net", "nn")
    size = draw(st.integers(4, 9))
    x = graph.input("x", tensor(DType.F32, symbol("N"), 3, size, size))
    value, channels = x, 3
    for number in range(draw(st.integers(1, 3))):
        kernel, out = draw(st.sampled_from([1, 3])), draw(st.integers(2, 12))
        pads = (kernel // 2,) * 4
        w = graph.weight(f"w{number}", rng.normal(size=(out, channels, kernel, kernel)) * 0.3)
        w.data = w.data.astype(np.float32) if w.data is not None else None
        w.type = w.type.with_dtype(DType.F32)
        made = graph.add(Conv(value, w, pads=pads))
        if draw(st.booleans()):
            again = graph.weight(
                f"v{number}", (rng.normal(size=(out, out, 3, 3)) * 0.2).astype(np.float32)
            )
            branch = graph.add(Conv(made, again, pads=(1, 1, 1, 1)))
            made = graph.add(Add(branch, made))
        value, channels = made, out
        if value.type.shape[-1] >= 4 and draw(st.booleans()):  # type: ignore[operator]
            value = graph.add(MaxPool(value, kernel=(2, 2), strides=(2, 2)))
    graph.output(value)
    return graph


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_networks_come_to_an_end(data: st.DataObject) -> None:
    """Whatever the shape, the copies and the chip: every window is done, and none too early."""
    from neutrams.driver import compile

    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    graph = network(data.draw, rng)
    shape = tuple(8 if not isinstance(dim, int) else dim for dim in graph.inputs[0].type.shape)
    x = rng.normal(size=shape).astype(np.float32)
    tiles = {"tile.cores": 1, "core.crossbars": data.draw(st.integers(1, 4))}
    program = compile(graph, calibration={"x": x}, overrides=tiles)
    inferences = data.draw(st.integers(1, 3))
    layout = lay_out(program, inferences=inferences)
    routers = routers_of(program.target)
    found = Machine(layout.plan, routers).run()
    assert found.finished
    assert (found.stations["sent"] == found.stations["items"]).all()
    assert (found.packets["arrived"] > found.packets["born"]).all()
    assert found.clocks >= found.stations["busy"].max()
    slow = Machine(layout.plan, routers, skip=False).run()
    assert (slow.stations == found.stations).all()
    assert (slow.packets["arrived"] == found.packets["arrived"]).all()
    parts = Machine(layout.plan, routers)
    for stop in sorted(data.draw(st.lists(st.integers(1, found.clocks), max_size=3))):
        parts.run(stop)
    assert (parts.run().stations == found.stations).all()


def test_a_stream_settles_at_the_period_of_the_schedule() -> None:
    """Where the network is no bottleneck, both grains agree on the throughput."""
    from neutrams.driver import compile

    mnist8 = compile(Path(__file__).parents[2] / "examples" / "mnist8_cntk.onnx")
    one, many = (Machine(lay_out(mnist8, inferences=n).plan, routers_of(mnist8.target)).run()
                 for n in (1, 9))  # fmt: skip
    period = (many.clocks - one.clocks) / 8 / mnist8.target.machine.network.clock_ghz * 1e-9
    assert period == pytest.approx(schedule(mnist8).period_s, rel=0.02)
    assert one.clocks * 1e-9 <= schedule(mnist8).latency_s


def test_what_is_told_changes_nothing_and_is_whole() -> None:
    """Starts add up to the clocks at work, flits of a watched link to its load."""
    plan = chain(
        300, {"work": 3, "fetch": 2}, {"tile": 3, "work": 7, "shared": 1, "store": 1}, flits=5
    )
    alone = Machine(plan, ROUTERS).run()
    machine, starts, changes = Machine(plan, ROUTERS), list[Any](), list[Any]()
    east = np.flatnonzero(alone.load.reshape(-1, 5)[:, 0])[:1] * 5
    machine.tell_starts(lambda rows: starts.extend(rows.tolist()))
    signals = watch_nothing()._replace(
        ports=east.astype(np.int32),
        buses=np.zeros(1, np.int32),
        owners=np.array([0, 1], np.int32),
        shelves=np.array([0, 1], np.int32),
        edges=np.zeros(1, np.int32),
        bytes=np.ones(1),
        loads=np.zeros(1, np.int64),
        last=np.zeros(3, np.int64),
        changes=np.zeros((5, 3), np.int64),
    )
    machine.watch(signals, lambda rows: changes.extend(rows.tolist()))
    found = machine.run()
    assert (found.stations == alone.stations).all()
    assert (found.packets == alone.packets).all()
    for station, busy in enumerate(alone.stations["busy"].tolist()):
        assert busy == sum(start[3] for start in starts if start[0] == station)
    link, bus, buffer = ([row[1:] for row in changes if row[0] == each] for each in range(3))
    assert len(link) == alone.load.reshape(-1)[east[0]] == 1500
    times = [clock for clock, _ in bus] + [found.clocks]
    on = sum(then - clock for (clock, value), then in zip(bus, times[1:], strict=True) if value)
    assert on == alone.tiles["bus_busy"][0] == 600
    assert max(value for _, value in buffer) <= plan.edges["room"][0]
    assert buffer[-1][1] == 0
