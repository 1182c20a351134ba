"""Loads of links and routers, and the measures of a placement, against routes walked one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.traffic import Mesh, Placement, Traffic
from neutrams.mapper.metrics import (
    JIN,
    LOIHI,
    HopCosts,
    Metrics,
    congestion,
    hops,
    measure,
    spread_minimal_paths,
    weighted_hops,
)
from neutrams.mapper.route import xy_loads

Spot = tuple[int, int]


@st.composite
def placed(draw: st.DrawFn) -> tuple[Traffic, Placement]:
    mesh = Mesh(draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    nodes, edges = draw(st.integers(1, mesh.slots)), draw(st.integers(0, 30))
    ends = rng.integers(0, nodes, (2, edges)).astype(np.int32)
    y, x = np.divmod(rng.permutation(mesh.slots)[:nodes].astype(np.int32), np.int32(mesh.columns))
    return Traffic(nodes, ends[0], ends[1], rng.integers(0, 9, edges)), Placement(mesh, x, y)


def one_edge(start: Spot, stop: Spot, *, mesh: Mesh, bits: int = 1) -> tuple[Traffic, Placement]:
    x, y = np.array([start, stop], np.int32).T
    ends = np.array([[0], [1]], np.int32)
    return Traffic(2, ends[0], ends[1], np.array([bits])), Placement(mesh, x, y)


def walk(start: Spot, stop: Spot) -> list[Spot]:
    """Routers of the XY route, one step at a time."""
    route = [start]
    while route[-1] != stop:
        x, y = route[-1]
        if x != stop[0]:
            x += 1 if stop[0] > x else -1
        else:
            y += 1 if stop[1] > y else -1
        route.append((x, y))
    return route


def chances(start: Spot, stop: Spot) -> dict[Spot, float]:
    """Probability of a visit to every router, by following all minimal paths to their ends."""
    (x, y), (goal_x, goal_y) = start, stop
    onward = []
    if x != goal_x:
        onward.append((x + (1 if goal_x > x else -1), y))
    if y != goal_y:
        onward.append((x, y + (1 if goal_y > y else -1)))
    found = {start: 1.0}
    for spot in onward:
        for visited, chance in chances(spot, stop).items():
            found[visited] = found.get(visited, 0.0) + chance / len(onward)
    return found


def edges_of(traffic: Traffic, placement: Placement) -> list[tuple[Spot, Spot, int]]:
    spots = list(zip(placement.x.tolist(), placement.y.tolist(), strict=True))
    edges = zip(traffic.source, traffic.target, traffic.bits, strict=True)
    return [(spots[s], spots[t], int(bits)) for s, t, bits in edges if s != t]


@settings(deadline=None)
@given(placed())
def test_loads_are_those_of_routes_walked_one_by_one(case: tuple[Traffic, Placement]) -> None:
    traffic, placement = case
    shape = (placement.mesh.rows, placement.mesh.columns)
    links = {step: np.zeros(shape, np.int64) for step in ((1, 0), (-1, 0), (0, -1), (0, 1))}
    routers = np.zeros(shape, np.int64)
    for start, stop, bits in edges_of(traffic, placement):
        route = walk(start, stop)
        for x, y in route:
            routers[y, x] += bits
        for (x, y), (next_x, next_y) in pairwise(route):
            links[next_x - x, next_y - y][y, x] += bits
    loads = xy_loads(traffic, placement)
    assert np.array_equal(loads.links, np.stack(list(links.values())))
    assert np.array_equal(loads.routers, routers)


@settings(deadline=None)
@given(placed())
def test_links_carry_the_weighted_hops_and_routers_the_bits_too(
    case: tuple[Traffic, Placement],
) -> None:
    loads, metrics = xy_loads(*case), measure(*case)
    assert loads.weighted_hops == metrics.weighted_hops == weighted_hops(*case)
    assert loads.routers.sum() == metrics.bits + metrics.weighted_hops
    assert loads.maximum_link <= loads.maximum_router


@settings(deadline=None)
@given(placed())
def test_congestion_is_that_of_all_minimal_paths(case: tuple[Traffic, Placement]) -> None:
    traffic, placement = case
    expected = np.zeros((placement.mesh.rows, placement.mesh.columns))
    for start, stop, bits in edges_of(traffic, placement):
        for (x, y), chance in chances(start, stop).items():
            expected[y, x] += bits * chance
    np.testing.assert_allclose(congestion(traffic, placement), expected, atol=1e-9)


@settings(deadline=None)
@given(placed(), st.sampled_from([JIN, LOIHI]))
def test_three_measures_are_functions_of_bits_and_hops(
    case: tuple[Traffic, Placement], prices: HopCosts
) -> None:
    """Identities of the literature's measures: a minimal path of ``d`` hops visits ``d + 1``."""
    traffic, placement = case
    metrics = measure(traffic, placement, costs=prices)
    remote = (traffic.source != traffic.target) & (traffic.bits > 0)
    bits, distance = traffic.bits[remote], hops(traffic, placement)[remote]
    routers, wires = bits * (distance + 1), bits * distance
    latency = (distance + 1) * prices.router_latency + distance * prices.wire_latency
    energy = (routers * prices.router_energy + wires * prices.wire_energy).sum()
    assert metrics.energy == pytest.approx(energy)
    assert metrics.maximum_latency == pytest.approx(latency.max(initial=0.0))
    if len(bits):
        assert metrics.average_latency == pytest.approx((bits * latency).sum() / bits.sum())
    visits = metrics.bits + metrics.weighted_hops
    assert metrics.average_congestion * placement.mesh.slots == pytest.approx(visits)


def mirrored(placement: Placement) -> Placement:
    return replace(placement, x=np.int32(placement.mesh.columns - 1) - placement.x)


def turned(placement: Placement) -> Placement:
    mesh = Mesh(placement.mesh.rows, placement.mesh.columns)
    return Placement(mesh, placement.y, placement.x)


@settings(deadline=None)
@given(placed())
def test_mirrors_and_turns_change_no_measure(case: tuple[Traffic, Placement]) -> None:
    traffic, placement = case
    metrics = measure(traffic, placement)
    for other in (mirrored(placement), turned(placement)):
        assert_close(measure(traffic, other), metrics)
    here, there = xy_loads(traffic, placement), xy_loads(traffic, mirrored(placement))
    assert np.array_equal(here.east, there.west[:, ::-1])
    assert np.array_equal(here.south, there.south[:, ::-1])


def assert_close(one: Metrics, other: Metrics) -> None:
    assert (one.bits, one.weighted_hops) == (other.bits, other.weighted_hops)
    assert one.energy == other.energy
    assert one.average_latency == other.average_latency
    assert one.maximum_latency == other.maximum_latency
    assert one.average_congestion == pytest.approx(other.average_congestion)
    assert one.maximum_congestion == pytest.approx(other.maximum_congestion)


@pytest.mark.parametrize("stop", [(0, 0), (0, 4), (4, 0), (4, 4)])
def test_two_by_two_visits_five_routers_whatever_the_direction(stop: Spot) -> None:
    load = congestion(*one_edge((2, 2), stop, mesh=Mesh(5, 5)))
    assert load.sum() == 5.0
    assert (load[2, 2], load[stop[1], stop[0]]) == (1.0, 1.0)


def test_one_hop_by_hand() -> None:
    metrics = measure(*one_edge((0, 0), (1, 0), mesh=Mesh(3, 2), bits=10))
    assert (metrics.bits, metrics.weighted_hops) == (10, 10)
    assert metrics.energy == pytest.approx(10 * (2 * 1.0 + 0.1))
    assert metrics.average_latency == pytest.approx(2.01)
    assert metrics.maximum_latency == pytest.approx(2.01)
    assert metrics.average_congestion == pytest.approx(20 / 6)
    assert metrics.maximum_congestion == 10.0


def test_a_chip_without_traffic_costs_nothing() -> None:
    traffic = Traffic(1, np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([8]))
    placement = Placement(Mesh(1, 1), np.zeros(1, np.int32), np.zeros(1, np.int32))
    assert measure(traffic, placement) == Metrics(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert xy_loads(traffic, placement).maximum_router == 0


def test_compiled_and_plain_congestion_are_equal() -> None:
    rng = np.random.default_rng(2)
    x, y, to_x, to_y = (rng.integers(0, 7, 20) for _ in range(4))
    bits = rng.integers(0, 100, 20)
    loads = [np.zeros((7, 7)) for _ in range(2)]
    spread_minimal_paths(x, y, to_x, to_y, bits, loads[0])
    spread_minimal_paths.py_func(x, y, to_x, to_y, bits, loads[1])
    assert np.array_equal(loads[0], loads[1])
