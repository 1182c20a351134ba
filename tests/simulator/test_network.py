"""The network on chip against closed forms, conservation, and itself in other words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.traffic import Mesh, Placement, Traffic
from neutrams.mapper.route import xy_loads
from neutrams.simulator.network import (
    PATTERNS,
    Network,
    Routers,
    Synthetic,
    packets,
    synthetic,
    zero_load,
)

ROUTERS = st.builds(
    Routers,
    mesh=st.builds(Mesh, st.integers(1, 5), st.integers(1, 5)),
    virtual_channels=st.integers(2, 4),
    depth=st.integers(1, 4),
    pipeline=st.integers(1, 3),
    link=st.integers(0, 3),
    credit=st.integers(1, 3),
    routing=st.sampled_from(["xy", "yx", "o1turn"]),
)


def random_packets(routers: Routers, count: int, *, seed: int, clocks: int = 40) -> Any:
    random = np.random.default_rng(seed)
    nodes = routers.mesh.slots
    turned = {"xy": np.zeros(count), "yx": np.ones(count), "o1turn": random.integers(0, 2, count)}
    return packets(
        random.integers(0, clocks, count),
        random.integers(0, nodes, count).astype(np.int32),
        random.integers(0, nodes, count).astype(np.int32),
        random.integers(1, 6, count).astype(np.int32),
        turned[routers.routing].astype(np.int32),
    )


@pytest.mark.parametrize("length", [1, 3, 9])
@pytest.mark.parametrize("pipeline", [1, 2, 4])
@pytest.mark.parametrize("link", [0, 1, 2])
def test_alone_a_packet_takes_its_hops(length: int, pipeline: int, link: int) -> None:
    """Every pair of routers of a mesh, one packet at a time, queues deep enough for the credits."""
    depth = pipeline + link + 2
    routers = Routers(Mesh(4, 3), depth=depth, pipeline=pipeline, link=link)
    source, target = (axis.ravel().astype(np.int32) for axis in np.indices((12, 12)))
    born = np.arange(len(source), dtype=np.int64) * 1000
    sent = packets(born, source, target, np.full(len(source), length, np.int32))
    found = Network(routers, sent).run().latency
    assert (found == zero_load(routers, sent)).all()
    hops = abs(source % 4 - target % 4) + abs(source // 4 - target // 4)
    assert (found == (hops + 1) * pipeline + hops * link + length - 1).all()


@settings(max_examples=60, deadline=None)
@given(ROUTERS, st.integers(0, 10**6))
def test_every_flit_arrives(routers: Routers, seed: int) -> None:
    """Whatever the buffers: nothing is lost, nothing waits for ever, nothing is early."""
    sent = random_packets(routers, 200, seed=seed)
    found = Network(routers, sent).run()
    assert found.delivered == found.sent == sent["length"].sum()
    assert (found.latency >= zero_load(routers, sent)).all()
    assert found.load[..., 4].sum() == found.delivered


@settings(max_examples=30, deadline=None)
@given(ROUTERS, st.integers(0, 10**6))
def test_skipping_clocks_changes_nothing(routers: Routers, seed: int) -> None:
    sent = random_packets(routers, 60, seed=seed, clocks=2000)
    first, second = (Network(routers, sent, skip=skip).run() for skip in (True, False))
    assert (first.arrived == second.arrived).all()
    assert (first.load == second.load).all()


@settings(max_examples=30, deadline=None)
@given(ROUTERS, st.integers(0, 10**6), st.lists(st.integers(1, 60), max_size=5))
def test_a_run_goes_on_where_it_stopped(routers: Routers, seed: int, stops: list[int]) -> None:
    sent = random_packets(routers, 100, seed=seed)
    whole, parts = Network(routers, sent), Network(routers, sent)
    for stop in sorted(stops):
        parts.run(stop)
    assert (parts.run().arrived == whole.run().arrived).all()
    for mine, other in zip(_arrays(parts), _arrays(whole), strict=True):
        assert (mine == other).all()


def _arrays(network: Network) -> list[Any]:
    state = network.state
    return [state.nodes, state.ports, state.queues, state.active[:-1][: state.active[-1]]]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_links_carry_what_the_mapper_says(seed: int) -> None:
    mesh = Mesh(5, 4)
    routers = Routers(mesh, depth=3)
    sent = random_packets(routers, 150, seed=seed)
    found = Network(routers, sent).run().load
    nodes = np.arange(mesh.slots, dtype=np.int32)
    place = Placement(mesh, nodes % mesh.columns, nodes // mesh.columns)
    bits = sent["length"].astype(np.int64)
    wanted = xy_loads(Traffic(mesh.slots, sent["source"], sent["target"], bits), place)
    for port, links in enumerate((wanted.east, wanted.west, wanted.north, wanted.south)):
        assert (found[..., port] == links).all()


def copied(routers: Routers, sent: Any, *, seed: int) -> tuple[Any, list[int]]:
    """Let half of some packets go to several routers each; return them and their goals."""
    random, goals = np.random.default_rng(seed), list[int]()
    for index in np.flatnonzero(random.random(len(sent)) < 0.5):
        count = random.integers(2, routers.mesh.slots, endpoint=True)
        there = random.choice(routers.mesh.slots, count, replace=False)
        sent[index]["target"], sent[index]["copies"] = len(goals), count
        sent[index]["left"] = count
        sent[index]["length"] = min(sent[index]["length"], routers.depth)
        goals += there.tolist()
    return sent, goals


@settings(max_examples=60, deadline=None)
@given(ROUTERS.filter(lambda r: r.mesh.slots > 1), st.integers(0, 10**6))
def test_every_copy_of_a_flit_arrives(routers: Routers, seed: int) -> None:
    """Of each flit as many are delivered as it has goals, and none waits for ever."""
    sent, goals = copied(routers, random_packets(routers, 200, seed=seed), seed=seed)
    found = Network(routers, sent, goals=goals).run()
    assert found.sent == sent["length"].sum()
    assert found.delivered == (sent["length"] * sent["copies"]).sum()
    assert (found.arrived > sent["born"]).all()
    slow = Network(routers, sent, goals=goals, skip=False).run()
    assert (slow.arrived == found.arrived).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["xy", "yx"]))
def test_a_tree_takes_each_link_once(seed: int, routing: Any) -> None:
    """Alone, copies take the clocks of the farthest goal and the links that any path takes."""
    random = np.random.default_rng(seed)
    mesh = Mesh(5, 4)
    routers = Routers(mesh, depth=8, routing=routing)
    goals = random.choice(mesh.slots, random.integers(2, 8), replace=False).astype(np.int32)
    source = np.full(len(goals), random.integers(mesh.slots), np.int32)
    born, length = np.arange(len(goals)) * 1000, np.full(len(goals), 4, np.int32)
    turned = np.full(len(goals), int(routing == "yx"), np.int32)
    apart = packets(born, source, goals, length, turned)
    paths = [Network(routers, apart[n : n + 1]).run().load for n in range(len(goals))]
    together = apart[:1].copy()
    together["target"], together["copies"], together["left"] = 0, len(goals), len(goals)
    found = Network(routers, together, goals=goals.tolist()).run()
    assert (found.load == np.max(paths, axis=0)).all()
    assert found.latency[0] == zero_load(routers, apart).max()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_light_traffic_goes_through(pattern: Any) -> None:
    """Far below saturation the network delivers what is offered, nearly as fast as alone."""
    routers = Routers(Mesh(8, 8))
    rate = 0.01 if pattern == "hotspot" else 0.05
    sent = synthetic(routers, Synthetic(pattern, rate, length=2, clocks=4000))
    offered = sent["length"].sum() / 64 / 4000
    assert abs(offered - rate) < 0.1 * rate
    found = Network(routers, sent).run()
    assert found.clocks < 4400
    assert found.latency.mean() < 1.5 * zero_load(routers, sent).mean()


def test_a_hot_spot_takes_one_flit_a_clock() -> None:
    routers = Routers(Mesh(8, 8))
    sent = synthetic(routers, Synthetic("hotspot", 0.5, clocks=3000))
    network = Network(routers, sent)
    before = network.run(1000).delivered
    assert network.run(3000).delivered - before == 2000


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("senders", [(1, 3, 4, 5, 7), (3, 5), (1, 7), (3, 7), (1, 4)])
def test_those_who_compete_take_turns(channels: int, length: int, senders: tuple[int, ...]) -> None:
    """Neighbours, and the node itself, send to the middle for as long as it is watched."""
    routers = Routers(Mesh(3, 3), virtual_channels=channels)
    source = np.resize(np.array(senders, np.int32), 1000)
    sent = packets(
        np.zeros(1000, np.int64), source, np.full(1000, 4, np.int32),
        np.full(1000, length, np.int32), np.zeros(1000, np.int32),
    )  # fmt: skip
    arrived = Network(routers, sent).run(500).arrived >= 0
    each = [int(arrived[source == node].sum()) for node in senders]
    assert sum(each) * length >= 490
    assert min(each) > 0.9 * max(each)


def test_routers_without_flits_are_not_looked_at() -> None:
    """A flit is in one router at a time, however many it has passed."""
    routers = Routers(Mesh(12, 1), pipeline=3)
    one = np.ones(1, np.int32)
    sent = packets(one.astype(np.int64), 0 * one, 11 * one, one, 0 * one)
    found = Network(routers, sent, skip=False).run()
    assert found.worked <= found.clocks


def test_a_free_channel_is_found_beside_a_taken_one() -> None:
    """Short packets pass a long one, whichever of the two channels it holds."""
    routers = Routers(Mesh(3, 1), virtual_channels=2)
    for before in (0, 1):  # a packet before the long one turns the channels round
        shorts = 15 + before
        born = [0] * before + [10] + list(range(20, 320, 20))
        length = np.array([2] * before + [400] + [2] * 15, np.int32)
        source = np.where(length == 400, 0, 1).astype(np.int32)
        target = np.full(shorts + 1, 2, np.int32)
        sent = packets(
            np.array(born, np.int64), source, target, length, np.zeros(shorts + 1, np.int32)
        )
        late = Network(routers, sent).run().latency - zero_load(routers, sent)
        assert (late[length == 2] <= 3).all()


def test_uniform_traffic_saturates_below_the_bisection() -> None:
    """Half of the flits cross the middle, over one link a row each way: 0.5 of the capacity."""
    routers = Routers(Mesh(8, 8), virtual_channels=8)
    sent = synthetic(routers, Synthetic("uniform", 0.9, clocks=3000))
    network = Network(routers, sent)
    before = network.run(1000).delivered
    accepted = (network.run(3000).delivered - before) / 64 / 2000
    assert 0.3 < accepted <= 0.5


def test_without_the_compiler() -> None:
    """A few clocks in plain Python are the clocks of the kernel."""
    import os
    import subprocess
    import sys

    script = (
        "import numpy as np\n"
        "from neutrams.ir.traffic import Mesh\n"
        "from neutrams.simulator.network import *\n"
        "r = Routers(Mesh(3, 3), routing='o1turn', depth=2)\n"
        "s = synthetic(r, Synthetic('uniform', 0.3, length=2, clocks=40, seed=3))\n"
        "print(Network(r, s).run().arrived.tolist())\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "NUMBA_DISABLE_JIT": flag},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flag in ("0", "1")
    }
    assert len(seen) == 1
    assert "-1" not in seen.pop()
