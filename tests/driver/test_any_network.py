"""Networks of every family on chips of any limits: every executor agrees, or a located refusal.

Cases that were wrong once are kept below; more can be drawn with a larger ``max_examples``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import neutrams
from neutrams.driver import Verification, verify
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Concat, Slice
from neutrams.ir.types import DType, symbol, tensor
from neutrams.passes import STRATEGIES

from ..random_networks import Recipe, recipes

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

FUNCTIONS = [("all",), ("relu", "clip", "add", "lut"), ("relu", "add"), ("relu",), ("lut",)]


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    """Draw some limits; each is left alone as often as not."""
    wide: dict[str, st.SearchStrategy[Any]] = {
        "fan-in": st.integers(4, 64),
        "neurons": st.integers(1, 16),
        "weight-bits": st.integers(2, 8),
        "input-bits": st.integers(2, 8),
        "functions": st.sampled_from(FUNCTIONS),
        "fan-out": st.integers(2, 6),
        "lut-entries": st.integers(2, 256),
        "partial-sums": st.sampled_from([1, 2]),
        "adc-bits": st.integers(4, 8),
        "weight-range": st.sampled_from([(-7, 7), (-2, 5), (0, 15)]),
        "input-range": st.sampled_from([(-7, 7), (0, 100), (0, 1)]),
    }
    return {name: draw(values) for name, values in wide.items() if draw(st.integers(0, 2)) == 0}


CHIPS = st.fixed_dictionaries(
    {},
    optional={
        "core.rows": st.sampled_from([16, 32]),
        "core.cell_bits": st.sampled_from([1, 4]),
        "core.crossbars": st.just(1),
        "chip.tiles": st.sampled_from([1, 16]),
        "limits.rescale": st.just("power-of-two"),
    },
)


def checked(
    recipe: Recipe, limits: dict[str, Any], chip: dict[str, Any], options: dict[str, Any]
) -> Verification | None:
    """Compile a network and verify it; a refusal must say what to do, and gives ``None``."""
    data = recipe.inputs()
    try:
        program = neutrams.compile(
            recipe.build(), calibration=data, limits=limits, overrides=chip, rounds=None, **options
        )
    except NeutramsError as refused:
        silent = [str(fault) for fault in refused.diagnostics if not fault.helps]
    else:
        return verify(program, data, limit=2, retention=0.0)
    assert not silent
    return None


def holds(found: Verification) -> None:
    assert [
        (link.name, link.first, link.note) for link in found.links if link.state == "broken"
    ] == []


@given(recipes(), limits(), CHIPS, st.sampled_from(sorted(STRATEGIES)), st.sampled_from([1, 3]))
@settings(
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_every_executor_agrees(
    recipe: Recipe, limits: dict[str, Any], chip: dict[str, Any], strategy: str, widen: int
) -> None:
    found = checked(recipe, limits, chip, {"strategy": strategy, "widen": widen})
    if found is not None:
        holds(found)


FOUND: list[tuple[Recipe, dict[str, Any], dict[str, Any]]] = [
    (Recipe("flat", ("root", "minimum"), "bare", 708), {}, {}),
    (Recipe("flat", (), "classes", 505), {}, {"widen": 3}),
    (Recipe("flat", ("swish",), "classes", 248), {"lut-entries": 11}, {"widen": 2}),
    (Recipe("sequence", ("gru_back",), "last", 776), {"functions": ("add", "lut")}, {}),
    (Recipe("sequence", ("gru",), "last", 7), {"functions": ("relu",)}, {}),
    (Recipe("sequence", ("lstm_both",), "classes", 7), {"functions": ("relu", "add")}, {}),
    (
        Recipe("sequence", ("relu6", "cross"), "classes", 604),
        {"neurons": 7, "fan-out": 3, "weight-range": (0, 15)},
        {},
    ),
    (Recipe("image", ("dilated",), "classes", 233), {"fan-in": 4, "neurons": 1, "fan-out": 2}, {}),
    (
        Recipe("sequence", ("layer_norm",), "classes", 948),
        {"functions": ("float", "relu", "add", "sub", "mul", "lut")},
        {"verify_each": True},
    ),
    (Recipe("image", ("conv",), "classes", 189), {"adc-bits": 4}, {"verify_each": True}),
]


@pytest.mark.parametrize("case", range(len(FOUND)))
def test_what_was_wrong_once(case: int) -> None:
    recipe, limits, options = FOUND[case]
    found = checked(recipe, limits, {}, options)
    assert found is not None
    holds(found)


def test_converters_that_drop_more_bits_than_a_row_has() -> None:
    """A unit of one row, on a chip whose converters are made for 256."""
    recipe = Recipe("flat", (), "two", 237)
    limits = {"functions": ("relu",), "adc-bits": 7}
    program = neutrams.compile(
        recipe.build(), target="fpsa", calibration=recipe.inputs(), limits=limits
    )
    holds(verify(program, recipe.inputs(), limit=2, retention=0.0))


def test_short_tables_of_a_chip_that_shifts() -> None:
    recipe, limits = Recipe("image", ("relu", "tanh"), "last", 474), {"lut-entries": 101}
    found = checked(recipe, limits, {"limits.rescale": "power-of-two"}, {})
    assert found is not None
    holds(found)


def test_sums_of_what_lies_nowhere_and_of_a_matrix_work_where_that_is() -> None:
    recipe = Recipe("sequence", ("gate", "layer_norm", "feed_forward", "hard_swish"), "two", 596)
    limits = {"weight-bits": 3, "input-bits": 6, "crossbar-fan-out": 7, "lut-entries": 7}
    chip = {"core.crossbars": 2, "tile.cores": 1}
    found = checked(recipe, limits, chip, {"widen": 2})
    assert found is not None
    holds(found)


def test_one_bit_by_weights_of_one_merges_nothing() -> None:
    recipe = Recipe("image", ("maximum",), "last", 414)
    tight = {"input-bits": 1, "weight-range": (-1, 1), "partial-sums": 1}
    with pytest.raises(NeutramsError, match="NT0230"):
        neutrams.compile(recipe.build(), calibration=recipe.inputs(), limits=tight)


def odd(kind: str) -> Graph:
    """A network with little or nothing in it."""
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 4))
    w = graph.weight("w", np.ones((4, 3), np.float32))
    match kind:
        case "nothing":
            graph.output(x, "y")
        case "one output twice":
            y = graph.add(Relu(graph.add(Matmul(x, w))))
            graph.output(y, "y")
            graph.output(y, "z")
        case "an empty part":
            none = graph.add(Slice(x, starts=(0,), ends=(0,), axes=(1,)))
            graph.output(graph.add(Matmul(graph.add(Concat((x, none), axis=1)), w)), "y")
        case "an empty matrix":
            none = graph.weight("v", np.ones((4, 0), np.float32))
            parts = graph.add(Matmul(x, none)), graph.add(Matmul(x, w))
            graph.output(graph.add(Concat(parts, axis=1)), "y")
        case "zeros":
            graph.output(graph.add(Matmul(x, graph.weight("v", np.zeros((4, 3), np.float32)))), "y")
    return graph


@pytest.mark.parametrize(
    "kind", ["nothing", "one output twice", "an empty part", "an empty matrix", "zeros"]
)
def test_odd_networks(kind: str) -> None:
    data = {"x": np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)}
    program = neutrams.compile(odd(kind), calibration=data)
    holds(verify(program, data))
