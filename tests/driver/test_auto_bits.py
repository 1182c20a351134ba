"""Bits chosen within a budget: the integer program is exact, budgets are kept, faults are told."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neutrams
from neutrams.driver.bits.choice import widths
from neutrams.driver.bits.knapsack import choose
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.products import Matmul
from neutrams.ir.types import DType, symbol, tensor
from neutrams.passes.answers import relative_error
from neutrams.passes.bits import Bits
from neutrams.targets import load

RANDOM = np.random.default_rng(5)
SIZES = (24, 160, 40, 6)
X = RANDOM.normal(size=(400, SIZES[0])).astype(np.float32)
WEIGHTS = [RANDOM.normal(size=pair).astype(np.float32) for pair in pairwise(SIZES)]


def net() -> Graph:
    graph = Graph("net")
    value = graph.input("x", tensor(DType.F32, symbol("N"), SIZES[0]))
    for number, w in enumerate(WEIGHTS):
        value = graph.add(Matmul(value, graph.weight("w", w)), name=f"m{number}")
        value = graph.add(Relu(value)) if number < 2 else value
    graph.output(value, "y")
    return graph


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_the_choice_is_the_best_there_is(data: st.DataObject) -> None:
    numbers = st.integers(0, 20).map(float)
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    goal, weight = (
        [np.array(data.draw(st.lists(numbers, min_size=n, max_size=n))) for n in sizes]
        for _ in range(2)
    )
    goal[0][-1] = np.inf if sizes[0] > 1 else goal[0][-1]
    most = data.draw(numbers)
    every = product(*(range(n) for n in sizes))
    within = [c for c in every if sum(w[k] for w, k in zip(weight, c, strict=True)) <= most]
    totals = [sum(g[k] for g, k in zip(goal, c, strict=True)) for c in within]
    best = min((total for total in totals if np.isfinite(total)), default=None)
    found = choose(goal, [(weight, most)])
    if best is None:
        assert found is None
    else:
        assert found is not None
        assert sum(w[k] for w, k in zip(weight, found, strict=True)) <= most
        assert sum(g[k] for g, k in zip(goal, found, strict=True)) == best


def test_only_widths_that_save_a_slice_or_a_phase_are_options() -> None:
    options = widths(load("cim"))
    assert {bits.weights for bits in options} == {8, 6, 4, 2}
    assert {bits.inputs for bits in options} == set(range(1, 9))
    assert options[0] == Bits(8, 8)
    pairs = load("cim", {"core.coding": "differential", "core.column_flip": "false"})
    assert {bits.weights for bits in widths(pairs)} == {8, 7, 5, 3}


def test_a_share_is_kept_and_no_uniform_plan_of_that_cost_moves_outputs_less() -> None:
    program = neutrams.compile(net(), calibration=X, bits="auto", budget={"energy": 0.75})
    told = program.manifest["precision"]
    assert told["after"]["energy_j"] <= 0.75 * told["before"]["energy_j"]
    test = RANDOM.normal(size=(300, SIZES[0])).astype(np.float32)
    full = neutrams.simulate(neutrams.compile(net(), calibration=X), test)
    mixed = neutrams.simulate(program, test)
    assert mixed.energy_j == pytest.approx(told["after"]["energy_j"], rel=0.01)
    moved = relative_error(mixed.outputs, full.outputs)
    assert moved == pytest.approx(told["measured_change"], rel=0.3)
    tried = 0
    for bits in ("6/6", "6/4", "4/6", "4/4", "8/4", "8/3"):
        uniform = neutrams.compile(net(), calibration=X, bits=f"*={bits}")
        ran = neutrams.simulate(uniform, test)
        if ran.energy_j <= mixed.energy_j:
            tried += 1
            assert relative_error(ran.outputs, full.outputs) > relative_error(
                mixed.outputs, full.outputs
            )
    assert tried


def test_a_loss_is_kept_on_samples_held_out_and_runs_agree() -> None:
    first, second = (
        neutrams.compile(net(), calibration=X, bits="auto", budget={"loss": 4.0}) for _ in range(2)
    )
    assert first.members() == second.members()
    told = first.manifest["precision"]
    assert told["measure"] == "agreement"
    assert told["lost_points"] <= 4
    assert told["after"]["energy_j"] < told["before"]["energy_j"]
    assert f'bits="{told["bits"]}"' in first.manifest["pipeline"]


@pytest.mark.parametrize(
    ("bits", "budget", "code"),
    [
        ("auto", {"energy": 0.01}, "NT0561"),
        ("auto", {"energy": 0.5, "loss": 0.0}, "NT0561"),
        ("auto", {"energy": 1.5}, "NT0560"),
        ("auto", {"loss": -1.0}, "NT0560"),
        ("", {"loss": 1.0}, "NT0560"),
    ],
)
def test_budgets_that_cannot_be_kept_are_refused(
    bits: str, budget: dict[str, float], code: str
) -> None:
    with pytest.raises(NeutramsError, match=code):
        neutrams.compile(net(), calibration=X[:64], bits=bits, budget=budget)


def test_a_quantised_network_leaves_nothing_to_choose() -> None:
    graph = neutrams.compile(net(), calibration=X[:32]).module["float"]
    neutrams.PassManager("quantize").run(graph)
    with pytest.raises(NeutramsError, match="NT0562"):
        neutrams.compile(graph, calibration=X[:32], bits="auto")
