"""Placements are valid, repeatable, judged exactly, and optimal where the optimum is known."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from neutrams.ir.codes import CODES
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.traffic import Mesh, Placement, Traffic
from neutrams.mapper.anneal import Sites
from neutrams.mapper.curve import Order
from neutrams.mapper.exchange import EMPTY, exchange
from neutrams.mapper.metrics import weighted_hops
from neutrams.mapper.neighbours import neighbours
from neutrams.mapper.place import place

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("NEUTRAMS_DATA", ROOT / "../shared/data"))


def traffic_of(nodes: int, edges: list[tuple[int, int, int]]) -> Traffic:
    table = np.array(edges, np.int64).reshape(-1, 3)
    source, target = table[:, 0].astype(np.int32), table[:, 1].astype(np.int32)
    return Traffic(nodes, source, target, table[:, 2])


def chain(nodes: int) -> Traffic:
    return traffic_of(nodes, [(i, i + 1, 1) for i in range(nodes - 1)])


def random_traffic(nodes: int, edges: int, seed: int) -> Traffic:
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, nodes, (2, edges)).astype(np.int32)
    return Traffic(nodes, ends[0], ends[1], rng.integers(0, 50, edges))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Traffic, Mesh, int]:
    """A traffic graph with loops, doubles and empty edges, a mesh, and sites of a router."""
    mesh = Mesh(draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    per_router = draw(st.integers(1, 3))
    nodes = draw(st.integers(1, mesh.slots * per_router))
    edges, seed = draw(st.integers(0, 40)), draw(st.integers(0, 1000))
    return random_traffic(nodes, edges, seed), mesh, per_router


def optimum(traffic: Traffic, mesh: Mesh) -> int:
    """Least cost over all placements, one by one."""
    sites = np.array(list(permutations(range(mesh.slots), traffic.nodes)))
    y, x = np.divmod(sites, mesh.columns)
    source, target = traffic.source, traffic.target
    apart = np.abs(x[:, source] - x[:, target]) + np.abs(y[:, source] - y[:, target])
    return int((apart * traffic.bits).sum(axis=1).min())


@settings(deadline=None, max_examples=60)
@given(problems(), st.sampled_from(get_args(Order)), st.integers(0, 3))
def test_no_router_is_overfull_and_no_placement_worse_than_its_start(
    problem: tuple[Traffic, Mesh, int], start: Order, seed: int
) -> None:
    traffic, mesh, per_router = problem
    found = place(traffic, mesh, seed=seed, moves=500, start=start, per_router=per_router)
    first = place(traffic, mesh, moves=0, start=start, per_router=per_router)
    for placement in (found, first):
        assert placement.x.shape == placement.y.shape == (traffic.nodes,)
        assert placement.x.min() >= 0
        assert placement.y.min() >= 0
        assert placement.x.max() < mesh.columns
        assert placement.y.max() < mesh.rows
        routers = placement.y.astype(int) * mesh.columns + placement.x
        assert np.bincount(routers).max() <= per_router
    assert weighted_hops(traffic, found) <= weighted_hops(traffic, first)


@settings(deadline=None, max_examples=60)
@given(problems(), st.integers(1, 6), st.sampled_from([0.0, 20.0, np.inf]), st.integers(0, 100))
def test_the_change_of_exchanges_is_the_difference_of_costs(
    problem: tuple[Traffic, Mesh, int], reach: int, temperature: float, seed: int
) -> None:
    traffic, mesh, per_router = problem
    rng = np.random.default_rng(seed)
    site = rng.permutation(mesh.slots * per_router)[: traffic.nodes].astype(np.int64)
    sites = Sites.of(site, mesh=mesh, per_router=per_router)
    before = weighted_hops(traffic, placement_of(sites))
    draws, thresholds = rng.random((50, 4)), rng.standard_exponential(50)
    change, _ = run_exchange(sites, traffic, reach, temperature, draws, thresholds)
    assert weighted_hops(traffic, placement_of(sites)) == before + change
    assert temperature > 0 or change <= 0
    again = Sites.of(sites.site, mesh=mesh, per_router=per_router)
    assert np.array_equal(again.node_at, sites.node_at)
    assert np.array_equal(again.x, sites.x)
    assert np.array_equal(again.y, sites.y)
    assert (sites.node_at != EMPTY).sum() == traffic.nodes


def test_compiled_and_plain_exchanges_are_equal() -> None:
    traffic, mesh = random_traffic(20, 60, 5), Mesh(6, 4)
    rng = np.random.default_rng(1)
    draws, thresholds = rng.random((300, 4)), rng.standard_exponential(300)
    results = []
    for plain in (False, True):
        sites = Sites.of(np.arange(20), mesh=mesh, per_router=1)
        change = run_exchange(sites, traffic, 3, 40.0, draws, thresholds, plain=plain)
        results.append((change, sites.site.tolist(), sites.node_at.tolist()))
    assert results[0] == results[1]


def placement_of(sites: Sites) -> Placement:
    return Placement(sites.mesh, sites.x.astype(np.int32), sites.y.astype(np.int32))


def run_exchange(
    sites: Sites,
    traffic: Traffic,
    reach: int,
    temperature: float,
    draws: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    *,
    plain: bool = False,
) -> tuple[int, int]:
    graph = neighbours(traffic)
    run = exchange.py_func if plain else exchange
    return run(
        graph.start,
        graph.partner,
        graph.bits,
        sites.mesh.columns,
        sites.per_router,
        sites.site,
        sites.node_at,
        sites.x,
        sites.y,
        reach,
        temperature,
        draws,
        thresholds,
    )


@pytest.mark.parametrize("mesh", [Mesh(9, 1), Mesh(1, 9), Mesh(3, 3), Mesh(4, 5), Mesh(6, 7)])
def test_a_chain_lies_along_a_line(mesh: Mesh) -> None:
    for nodes in (2, mesh.slots // 2, mesh.slots):
        cost = weighted_hops(chain(nodes), place(chain(nodes), mesh, moves=0, start="snake"))
        assert cost == nodes - 1
        assert weighted_hops(chain(nodes), place(chain(nodes), mesh)) == nodes - 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("mesh", "nodes"), [(Mesh(3, 2), 6), (Mesh(4, 2), 5), (Mesh(3, 3), 7)])
def test_small_placements_are_optimal(mesh: Mesh, nodes: int, seed: int) -> None:
    traffic = random_traffic(nodes, 2 * nodes, seed)
    assert weighted_hops(traffic, place(traffic, mesh)) == optimum(traffic, mesh)


def test_a_hidden_mesh_is_found() -> None:
    """Every edge of a shuffled 6 × 6 grid can have one hop; no edge can have less."""
    names = np.random.default_rng(0).permutation(36).reshape(6, 6)
    pairs = [*zip(names[:, :-1].flat, names[:, 1:].flat, strict=True)]
    pairs += zip(names[:-1].flat, names[1:].flat, strict=True)
    traffic = traffic_of(36, [(int(a), int(b), 1) for a, b in pairs])
    assert weighted_hops(traffic, place(traffic, Mesh(6, 6))) == len(pairs)


@pytest.mark.parametrize(
    ("name", "mesh", "published", "within"),
    [
        ("nug12", Mesh(4, 3), 578, 1.0),
        ("nug15", Mesh(5, 3), 1150, 1.0),
        ("nug20", Mesh(5, 4), 2570, 1.005),
        ("nug30", Mesh(6, 5), 6124, 1.005),
    ],
)
def test_published_optima_are_reached(name: str, mesh: Mesh, published: int, within: float) -> None:
    """QAPLIB counts both directions of each pair, so its values are twice ours."""
    file = DATA / "qaplib" / name / f"{name}.txt"
    if not file.exists():
        pytest.skip(f"{file.name} is not here")
    numbers = np.array(file.read_text().split(), int)
    size = int(numbers[0])
    distances, flows = numbers[1:].reshape(2, size, size)
    y, x = np.divmod(np.arange(size), mesh.columns)
    assert np.array_equal(distances, abs(x[:, None] - x) + abs(y[:, None] - y))
    source, target = np.nonzero(flows)
    ends = source.astype(np.int32), target.astype(np.int32)
    traffic = Traffic(size, *ends, flows[source, target].astype(np.int64))
    assert published <= weighted_hops(traffic, place(traffic, mesh)) <= within * published


def test_a_seed_gives_one_placement_and_seeds_differ() -> None:
    traffic, mesh = random_traffic(30, 120, 3), Mesh(8, 8)
    runs = [place(traffic, mesh, seed=seed, moves=2000) for seed in (7, 7, 8)]
    assert np.array_equal(runs[0].x, runs[1].x)
    assert np.array_equal(runs[0].y, runs[1].y)
    assert not (np.array_equal(runs[0].x, runs[2].x) and np.array_equal(runs[0].y, runs[2].y))


def test_without_the_compiler_the_placement_is_the_same() -> None:
    """A whole run in a process of its own, where every kernel is plain Python."""
    code = (
        "import sys, numpy as np;"
        "from neutrams.ir.traffic import Mesh, Traffic;"
        "from neutrams.mapper.place import place;"
        "i = np.arange(23, dtype=np.int32);"
        "t = Traffic(24, i, (i * 7) % np.int32(24), (i * 5 % 11).astype(np.int64));"
        "p = place(t, Mesh(6, 5), seed=1, moves=3000);"
        "print(p.x.tolist(), p.y.tolist())"
    )
    outputs = []
    for off in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": off}
        command = [sys.executable, "-c", code]
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        outputs.append(run.stdout)
    assert outputs[0] == outputs[1]


def test_traffic_of_one_node_or_none_is_placed() -> None:
    for nodes in (0, 1):
        assert len(place(traffic_of(nodes, []), Mesh(1, 1)).x) == nodes


def test_nodes_on_one_router_cost_nothing() -> None:
    traffic = traffic_of(4, [(0, 2, 9), (1, 3, 9), (0, 1, 1)])
    assert weighted_hops(traffic, place(traffic, Mesh(2, 1), per_router=2)) == 1


def test_a_mesh_too_small_is_told_one_that_fits() -> None:
    with pytest.raises(NeutramsError) as caught:
        place(chain(13), Mesh(3, 2), per_router=2)
    assert str(caught.value) == (
        "error[NT0402]: the mesh has too few sites: 13 needed, 12 available\n"
        "   = note: 3 columns × 2 rows × 2 per router = 12\n"
        "   = help: a mesh that fits: --set network.columns=3 --set network.rows=3"
    )
    assert "NT0402" in CODES
