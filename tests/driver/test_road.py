"""The Python API on small graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neutrams
from neutrams.driver import Cache
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.products import Matmul
from neutrams.ir.types import Array, Dim, DType, symbol, tensor

RANDOM = np.random.default_rng(11)
A, B = RANDOM.standard_normal((6, 200)), RANDOM.standard_normal((200, 3))
X = RANDOM.standard_normal((50, 6)).astype(np.float32)
Y = (np.maximum(X @ A, 0) @ B).argmax(axis=1)


def mlp(batch: Dim) -> Graph:
    graph = Graph("mlp")
    x = graph.input("x", tensor(DType.F32, batch, 6))
    h = graph.add(Matmul(x, graph.weight("a", A.astype(np.float32))), name="h")
    r = graph.add(Relu(h), name="r")
    y = graph.add(Matmul(r, graph.weight("b", B.astype(np.float32))), name="y")
    graph.output(y, "scores")
    return graph


def scores(graph: Graph, **options: object) -> tuple[Array, neutrams.Simulation]:
    program = neutrams.compile(graph, calibration=X, **options)  # type: ignore[arg-type]
    result = neutrams.simulate(program, X, Y)
    return result.outputs["scores"], result


def test_outputs_are_near_the_float_network() -> None:
    found, result = scores(mlp(symbol("N")))
    wanted = np.maximum(X @ A, 0) @ B
    assert np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean()) < 0.05
    assert result.quality is not None
    assert result.quality.float_value == 1.0
    assert result.accuracy is not None
    assert result.accuracy >= 0.94


def test_a_fixed_batch_is_looped() -> None:
    free, _ = scores(mlp(symbol("N")))
    fixed, result = scores(mlp(4))
    assert result.samples == len(X) == len(fixed)
    np.testing.assert_allclose(fixed, free, atol=0.15 * np.abs(free).max())


def test_a_graph_is_not_changed_by_compiling_it() -> None:
    graph = mlp(symbol("N"))
    before = [op.name for op in graph.ops]
    neutrams.compile(graph, calibration=X)
    assert [op.name for op in graph.ops] == before


def test_overrides_change_the_chip() -> None:
    _, small = scores(mlp(symbol("N")), overrides={"core.rows": 64}, replicate=False)
    _, large = scores(mlp(symbol("N")), replicate=False)
    assert small.resources.occupancy.crossbars > large.resources.occupancy.crossbars


def test_copies_cost_crossbars_and_change_no_result() -> None:
    graph = mlp(symbol("N"))
    with_copies, _ = scores(graph)
    without, _ = scores(graph, replicate=False)
    np.testing.assert_array_equal(with_copies, without)


def test_a_cache_gives_the_same_program(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    first, second = (
        neutrams.compile(mlp(symbol("N")), calibration=X, cache=cache).members() for _ in range(2)
    )
    assert first == second
    assert first == neutrams.compile(mlp(symbol("N")), calibration=X).members()


def test_a_damaged_or_impossible_cache_is_no_fault(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    neutrams.compile(mlp(symbol("N")), calibration=X, cache=cache)
    for entry in cache.folder.glob("*.ntp"):
        entry.write_bytes(entry.read_bytes()[:100])
    neutrams.compile(mlp(symbol("N")), calibration=X, cache=cache)
    (tmp_path / "file").write_text("")
    neutrams.compile(mlp(symbol("N")), calibration=X, cache=Cache(tmp_path / "file"))


def test_every_name_of_the_package_resolves() -> None:
    for name in neutrams.__all__:
        assert getattr(neutrams, name) is not None
    with pytest.raises(AttributeError):
        neutrams.nothing
