"""The arithmetic and the machinery of `benchmarks.accuracy`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neutrams
from benchmarks.accuracy import cases, judges
from benchmarks.accuracy.cases import NARROW, NONE, RETRAINED, USUAL, Bar, Case, bar
from benchmarks.accuracy.data import CANDIDATES, Sets
from benchmarks.accuracy.measure import key, measure, pipeline
from benchmarks.accuracy.networks import NETWORKS, Network
from benchmarks.accuracy.pack import pack
from benchmarks.accuracy.statistics import Figure, difference, paired
from benchmarks.accuracy.store import Store, packed, unpacked
from benchmarks.accuracy.table import page
from neutrams.driver.npz import write_npz
from neutrams.ir.types import Array

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NAN = float("nan")


def rows(*losses: list[float]) -> list[Array]:
    return [np.array(each, np.float32) for each in losses]


def test_losses_are_averaged_over_seeds_then_over_samples() -> None:
    """Averages over seeds are 1, 0, 0, 0: mean 1/4, deviation 1/2, over the root of 4."""
    found = paired(rows([1, 0, 0, -1], [1, 0, 0, 1]))
    assert found == Figure(0.25, 0.25)


def test_the_error_is_that_of_independent_pairs() -> None:
    """Of n samples, a are lost and b won: the variance is (a + b - (a - b)² / n) / (n - 1)."""
    n, a, b = 10_000, 60, 40
    losses = np.zeros(n, np.float32)
    losses[:a], losses[a : a + b] = 1, -1
    found = paired([losses])
    assert found.mean == pytest.approx((a - b) / n)
    assert found.error == pytest.approx(np.sqrt((a + b - (a - b) ** 2 / n) / (n - 1) / n))


def test_a_sample_counts_only_for_seeds_that_have_not_seen_it() -> None:
    found = paired(rows([1, NAN, 0, NAN], [NAN, 0, 0, NAN]))
    assert found == paired(rows([1, 0, 0]))


def test_what_all_methods_lose_cancels() -> None:
    first, second = rows([1, 1, 0, 1], [1, 0, 1, 1]), rows([1, 1, 0, 0], [1, 0, 1, 0])
    assert difference(first, second) == paired(rows([0, 0, 0, 1]))


@pytest.mark.parametrize(
    ("figure", "most", "met"),
    [
        (Figure(0.50, 0.00), 0.5, True),
        (Figure(0.69, 0.10), 0.5, True),
        (Figure(0.71, 0.10), 0.5, False),
        (Figure(-3.0, 0.10), 0.0, True),
    ],
)
def test_a_bar_is_met_when_the_loss_less_twice_its_error_is(
    figure: Figure, most: float, met: bool
) -> None:
    assert figure.within(most) is met


def test_bars_are_those_asked_for() -> None:
    by_name = {network.name: network for network in NETWORKS}
    assert bar(by_name["mnist8"], USUAL) == Bar(0.1)
    assert bar(by_name["LeNet-5"], USUAL) == Bar(0.05)
    assert bar(by_name["ResNet-8"], NARROW) == Bar(2.0)
    assert bar(by_name["LSTM"], NARROW) == Bar(3.0)
    assert bar(by_name["ResNet-8"], cases.PRIME) is None


def test_a_judge_sees_each_sample() -> None:
    wanted = np.array([[2, 1], [2, 1], [1, 2], [1, 2]], np.float32)
    found = np.array([[2, 1], [1, 2], [1, 2], [2, 1]], np.float32)
    outcome = judges.classes(wanted, wanted, found, np.array([0, 0, 1, 0]))
    assert (outcome.original, outcome.found, outcome.agreement) == (0.75, 0.75, 0.5)
    assert outcome.losses is not None
    assert outcome.losses.tolist() == [0, 1, 0, -1]
    further = judges.positions(wanted, wanted, wanted + 1 / 11, 11 * wanted)
    assert further.losses is not None
    np.testing.assert_allclose(further.losses, np.sqrt(2), rtol=1e-5)


def test_losses_survive_their_packing() -> None:
    losses = np.array([0, 1, -1, NAN, 0.25], np.float32)
    assert np.array_equal(unpacked(packed(losses)), losses, equal_nan=True)


def test_a_torn_line_is_forgotten_and_a_later_one_wins(tmp_path: Path) -> None:
    store = Store(tmp_path / "made" / "results.jsonl")
    assert store.read() == {}
    store.add({"case": "a", "found": 1})
    with store.path.open("a") as file:
        file.write('{"case": "b", "fou')
    store.add({"case": "c", "found": 2})
    store.add({"case": "a", "found": 3})
    assert store.read() == {"a": {"case": "a", "found": 3}, "c": {"case": "c", "found": 2}}


def digits() -> Sets:
    with np.load(EXAMPLES / "digits_calibration.npz") as known:
        calibration = known["x"].astype(np.float32)
    with np.load(EXAMPLES / "digits_test.npz") as test:
        x, y = test["x"][:200].astype(np.float32), test["y"][:200]
    return Sets(lambda seed: calibration[seed:], x, y)


def test_a_case_is_a_compile_and_a_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    model = EXAMPLES / "mnist8_cntk.onnx"
    network = Network("mnist8", str(model), digits, judges.classes, "digits", mnist=True)
    case = Case(network, NARROW, NONE, 0)
    result = measure(case)
    assert result["status"] == "done", result
    sets = digits()
    program = neutrams.compile(
        model,
        overrides=case.chip.overrides,
        calibration=sets.draw(0),
        seed=0,
        replicate=False,
    )
    found = neutrams.simulate(program, sets.inputs, sets.labels)
    assert found.quality is not None
    assert result["found"] == pytest.approx(found.quality.value)
    assert result["original"] == pytest.approx(found.quality.float_value)
    assert result["agreement"] == found.agreement
    assert result["crossbars"] == found.resources.occupancy.crossbars
    loss = 100 * (result["original"] - result["found"])
    monkeypatch.setattr("benchmarks.accuracy.table.NETWORKS", (network,))
    monkeypatch.setattr("benchmarks.accuracy.cases.NETWORKS", (network,))
    written = page({case.name: result})
    assert f"| none (1 of 5 seeds) | {result['found']:.2%} | {loss:+.2f} ±" in written


def test_a_result_is_known_by_all_it_depends_on() -> None:
    model = str(EXAMPLES / "mnist8_cntk.onnx")
    network = Network("mnist8", model, digits, judges.classes, "digits")
    case = Case(network, NARROW, NONE, 0)
    others = [
        Case(network, USUAL, NONE, 0),
        Case(network, NARROW, RETRAINED, 0),
        Case(network, NARROW, NONE, 1),
    ]
    keys = {key(each, None) for each in (case, *others)} | {key(case, 100)}
    assert len(keys) == 5
    assert key(case, None) == key(Case(network, NARROW, NONE, 0), None)


def test_methods_are_spelt_as_options_of_passes() -> None:
    network = next(each for each in NETWORKS if each.name == "Silero VAD")
    spelt = pipeline(Case(network, NARROW, cases.SGD, 0))
    assert "calibrate{observer=min-max samples=1500}" in spelt
    assert "retrain-units{method=sgd threads=1 device=cpu}" in spelt
    assert "retrain-units" not in pipeline(Case(network, NARROW, NONE, 0))
    some = pipeline(Case(network, NARROW, cases.SOME_DIGITS, 0))
    assert 'bits="*=4/8,/stft/Conv_output_0=8/8" digits=named' in some
    assert "retrain-units{threads=1 device=cpu},split-digits" in some


def test_networks_that_miss_a_bar_at_4_bits_have_rows_in_digits() -> None:
    asked = {(c.network.name, c.method) for c in cases.cases(seeds=1)}
    for name in ("ResNet-8", "DS-CNN", "auto-encoder", "Silero VAD", "BraggNN"):
        held = {method for method in cases.HELD if (name, method) in asked}
        assert held & {cases.DIGITS, cases.SOME_DIGITS}
        assert cases.ALL_DIGITS in held
        assert {(name, cases.NARROW_INPUT), (name, cases.ROUNDED_INPUT)} <= asked


def test_a_rounded_input_is_judged_by_the_float_network_alone() -> None:
    model = EXAMPLES / "mnist8_cntk.onnx"
    network = Network("mnist8", str(model), digits, judges.classes, "digits", mnist=True)
    found = measure(Case(network, NARROW, cases.ROUNDED_INPUT, 0))
    assert found["status"] == "done", found
    assert found["crossbars"] == 0
    assert 0.9 < found["agreement"] < 1
    fine = measure(Case(network, replace(NARROW, inputs=8), cases.ROUNDED_INPUT, 0))
    assert unpacked(fine["losses"]).mean() <= 0, "one grid holds pixels, which are whole numbers"


def test_packed_data_are_the_samples_that_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    made: dict[str, Array] = {
        f"{kind}_train": rng.integers(0, 9, (CANDIDATES + 5, 2)) for kind in "xy"
    }
    made["x_test"] = rng.integers(0, 9, (7, 2))
    made["train_offset"] = np.arange(CANDIDATES + 6) * 2
    made["train_jpeg"] = np.arange(2 * (CANDIDATES + 5))
    write_npz(tmp_path / "set.npz", made)
    model = EXAMPLES / "mnist8_cntk.onnx"
    network = Network("mnist8", str(model), digits, judges.classes, "digits", needs=("set",))
    monkeypatch.setattr("benchmarks.accuracy.pack.DATA", tmp_path)
    monkeypatch.setattr("benchmarks.accuracy.pack.NETWORKS", (network,))
    size = pack(tmp_path / "packed")
    copied = tmp_path / "packed/models/examples" / model.name
    assert copied.read_bytes() == model.read_bytes()
    assert size == copied.stat().st_size + (tmp_path / "packed/set.npz").stat().st_size
    with np.load(tmp_path / "packed/set.npz") as kept:
        assert np.array_equal(kept["x_train"], made["x_train"][:CANDIDATES])
        assert np.array_equal(kept["x_test"], made["x_test"])
        assert kept["train_offset"][-1] == len(kept["train_jpeg"]) == 2 * CANDIDATES
