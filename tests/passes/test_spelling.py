"""Functions that a chip lacks, spelled in those it has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.unit import Add, Lut
from neutrams.ir.text import print_graph
from neutrams.ir.types import DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager
from neutrams.targets import load

quick = settings(
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)


def run(graph: Graph, limits: dict[str, object], passes: str) -> PassContext:
    ctx = PassContext(target=load("cim", limits=limits))
    PassManager(passes).run(graph, ctx)
    assert ctx.target is not None
    assert verify(graph, ctx.target) == []
    return ctx


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
    ceil_mode=st.booleans(),
    low=st.sampled_from([0, -7]),
)
@quick
def test_a_max_pool_of_units_is_exact(
    kernel: int, stride: int, pad: int, dilation: int, ceil_mode: bool, low: int
) -> None:
    graph, pad = Graph("main", "unit"), min(pad, (kernel - 1) // 2)
    dtype, top = (DType.U8, 255) if low == 0 else (DType.I8, 7)
    x = graph.input("x", tensor(dtype, symbol("N"), 3, 9, 11).with_range(low, top))
    pool = MaxPool(
        x,
        kernel=(kernel, 2),
        strides=(stride, 1),
        pads=(pad, 0, pad, 1),
        dilations=(dilation, 1),
        ceil_mode=ceil_mode,
    )
    graph.output(graph.add(pool), "y")
    numbers = np.random.default_rng(kernel).integers(low, top + 1, (2, 3, 9, 11))
    given = {"x": numbers.astype(dtype.numpy)}
    wanted = interpret(graph, given)["y"]
    limits: dict[str, object] = {"functions": ("lut",), "fan-in": 6, "neurons": 4}
    run(graph, limits | ({"input-range": (-7, 7)} if low else {}), "spell-max-pool,split-fan-in")
    assert not any(isinstance(op, MaxPool) for op in graph.ops)
    np.testing.assert_array_equal(interpret(graph, given)["y"], wanted)


def table_of(function: str) -> np.ndarray:
    x = (np.arange(256) - 128) / 24
    y = {
        "sigmoid": 255 / (1 + np.exp(-x)),
        "tanh": 127.5 + 127.5 * np.tanh(x),
        "gelu": 20 + 44 * x / (1 + np.exp(-1.702 * x)),
        "leaky": 30 + np.where(x < 0, 4 * x, 40 * x),
        "hard-sigmoid": 255 * np.clip(0.2 * x + 0.5, 0, 1),
        "abs": 47 * np.abs(x),
        "step": 255.0 * (x > 1),
        "constant": np.full(256, 9.0),
    }[function]
    return np.asarray(np.clip(np.rint(y), 0, 255), np.uint8)


def looked_up(function: str) -> tuple[Graph, dict[str, np.ndarray]]:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 4, 8).with_range(0, 255))
    table = graph.weight("table", table_of(function))
    graph.output(graph.add(Lut(x, table), name="f"), "y")
    return graph, {"x": np.arange(256, dtype=np.uint8).reshape(8, 4, 8)}


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("sigmoid", 2),
        ("tanh", 2),
        ("gelu", 2),
        ("leaky", 1),
        ("hard-sigmoid", 1),
        ("abs", 1),
        ("step", 0),
        ("constant", 0),
    ],
)
@pytest.mark.parametrize("limits", [{}, {"weight-bits": 4}, {"neurons": 16}])
def test_units_of_ramps_stand_for_a_table(
    function: str, error: int, limits: dict[str, object]
) -> None:
    graph, x = looked_up(function)
    ctx = run(graph, {"functions": ("relu",), **limits}, "spell-tables,split-fan-in")
    found = interpret(graph, x)["y"].astype(int)
    missed = int(np.abs(found.ravel() - table_of(function)).max())
    assert missed <= (error if not limits else 20)
    (remark,) = [r for r in ctx.remarks if r.by == "spell-tables"]
    assert f"off by {missed} steps at most" in remark.text


def trained(limits: dict[str, object], steps: int) -> tuple[Graph, str]:
    """Spell a sigmoid on a chip of few neurons, whose inputs lie near its middle mostly."""
    graph, _ = looked_up("sigmoid")
    numbers = np.clip(np.random.default_rng(1).normal(128, 30, (64, 4, 8)), 0, 255)
    chip = load("cim", limits={"functions": ("relu",), "fan-in": 8, **limits})
    ctx = PassContext(target=chip, calibration={"x": numbers.astype(np.uint8)})
    PassManager(f"spell-tables{{train-steps={steps}}},split-fan-in").run(graph, ctx)
    assert verify(graph, chip) == []
    (remark,) = [r for r in ctx.remarks if r.by == "spell-tables"]
    return graph, remark.text


@pytest.mark.parametrize("limits", [{}, {"weight-bits": 3}, {"weight-range": (-2, 5)}])
def test_ramps_learn_from_what_occurs(limits: dict[str, object]) -> None:
    pytest.importorskip("torch")
    fresh = np.clip(np.random.default_rng(2).normal(128, 30, (64, 4, 8)), 0, 255).astype(np.uint8)
    wanted = table_of("sigmoid")[fresh].astype(float)
    errors = {}
    for steps in (0, 100):
        graph, text = trained(limits, steps)
        found = interpret(graph, {"x": fresh})["y"]
        errors[steps] = float(np.sqrt(np.mean((found - wanted) ** 2)))
        assert ("trained, RMS error" in text) == bool(steps)
    assert errors[100] < 0.9 * errors[0]
    before, after = text.split("RMS error ")[1].split(" steps")[0].split(" -> ")
    assert errors[0] == pytest.approx(float(before), rel=0.2)
    assert errors[100] == pytest.approx(float(after), rel=0.2)
    again, _ = trained(limits, 100)
    assert print_graph(again, {}) == print_graph(graph, {})


def test_ramps_that_bounds_fix_are_not_trained() -> None:
    assert "trained" not in trained({"bias-range": (-300, 300)}, 100)[1]


@pytest.mark.parametrize(("entries", "error"), [(255, 4), (64, 7), (16, 26), (2, 128)])
def test_shorter_tables_state_their_error(entries: int, error: int) -> None:
    graph, x = looked_up("sigmoid")
    limits = {"functions": ("lut",), "lut-entries": entries, "fan-in": 1, "neurons": 1}
    ctx = run(graph, limits, "spell-tables,split-fan-in")
    missed = int(np.abs(interpret(graph, x)["y"].astype(int).ravel() - table_of("sigmoid")).max())
    assert missed <= error
    (remark,) = [r for r in ctx.remarks if r.by == "spell-tables"]
    assert f"off by {missed} " in remark.text


def test_ramps_are_taken_where_they_err_less() -> None:
    graph, _ = looked_up("sigmoid")
    ctx = run(graph, {"functions": ("lut", "relu"), "lut-entries": 8}, "spell-tables,split-fan-in")
    assert ["ramps" in remark.text for remark in ctx.remarks if remark.by == "spell-tables"] == [
        True
    ]


@given(
    scales=st.tuples(st.floats(-1.0, 1.0), st.floats(0.1, 1.0)),
    zeros=st.tuples(st.integers(0, 255), st.integers(0, 255)),
    bits=st.sampled_from([8, 4]),
)
@quick
def test_sums_of_units_err_as_stated(
    scales: tuple[float, float], zeros: tuple[int, int], bits: int
) -> None:
    graph = Graph("main", "unit")
    a = graph.input("a", tensor(DType.U8, symbol("N"), 5).with_range(0, 255))
    b = graph.input("b", tensor(DType.U8, symbol("N"), 1).with_range(0, 255))
    added = Add(
        a,
        b,
        a_scale=scales[0],
        b_scale=scales[1],
        a_zero=zeros[0],
        b_zero=zeros[1],
        zero=100,
        low=0,
        high=255,
        dtype=DType.U8,
    )
    graph.output(graph.add(added), "y")
    rng = np.random.default_rng(zeros[0])
    given = {k: rng.integers(0, 256, (64, n)).astype(np.uint8) for k, n in (("a", 5), ("b", 1))}
    wanted = interpret(graph, given)["y"].astype(int)
    ctx = run(graph, {"functions": ("relu",), "weight-bits": bits}, "spell-sums,split-fan-in")
    (remark,) = [r for r in ctx.remarks if r.by == "spell-sums"]
    stated = float(remark.text.split("off by ")[1].split()[0])
    moved = int(np.abs(interpret(graph, given)["y"].astype(int) - wanted).max())
    assert moved <= 1.01 * stated + 1  # and one for rounding
