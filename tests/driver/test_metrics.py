from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neutrams.driver.metrics import default_metric, metric_named
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.types import Array

X = {"x": np.zeros((4, 1))}
SCORES = np.array([[0.1, 0.9, 0.0], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.4, 0.35, 0.25]])
LABELS = np.array([1, 1, 0, 0])


def measured(name: str, outputs: Array, labels: Array, inputs: Array | None = None) -> float:
    given = X if inputs is None else {"x": inputs}
    return metric_named(name).measure({"out": outputs}, given, labels)


def test_accuracy_and_top_k_by_hand() -> None:
    assert measured("accuracy", SCORES, LABELS) == 0.5
    assert measured("topk:1", SCORES, LABELS) == 0.5
    assert measured("topk:2", SCORES, LABELS) == 0.75
    assert measured("topk:3", SCORES, LABELS) == 1.0


def test_errors_of_regression_by_hand() -> None:
    found, wanted = np.array([[1.0], [2.0]]), np.array([2.0, 4.0])
    assert measured("mse", found, wanted) == 2.5
    assert measured("mae", found, wanted) == 1.5


def test_correlation_agrees_with_numpy() -> None:
    random = np.random.default_rng(1)
    a = random.standard_normal(50)
    b = a + random.standard_normal(50)
    assert measured("correlation", a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_auc_is_the_share_of_pairs_in_order() -> None:
    random = np.random.default_rng(2)
    scores = random.integers(0, 6, 60).astype(float)
    labels = random.integers(0, 2, 60)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels > 0] for n in scores[labels == 0]]
    assert measured("auc", scores, labels) == pytest.approx(np.mean(pairs))


def test_auc_of_an_autoencoder_uses_its_error() -> None:
    x = np.zeros((3, 2))
    out = np.array([[0.0, 0.1], [3.0, 3.0], [0.2, 0.0]])
    assert measured("auc", out, np.array([0, 1, 0]), x) == 1.0


def test_average_precision_by_hand() -> None:
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0])
    assert measured("ap", scores, labels) == pytest.approx((1 + 2 / 3) / 2)


def test_a_function_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def worst(out, y):\n    return abs(out - y).max()\n")
    assert measured(f"{file}:worst", np.array([1.0, 5.0]), np.array([1.0, 2.0])) == 3.0
    with pytest.raises(NeutramsError, match="no function `best`"):
        metric_named(f"{file}:best")
    (tmp_path / "broken.py").write_text("def f(out, y):\n    return 1 / 0\n")
    with pytest.raises(NeutramsError, match="ZeroDivisionError"):
        measured(f"{tmp_path / 'broken.py'}:f", np.array([1.0]), np.array([1.0]))
    with pytest.raises(NeutramsError, match="no such metric file"):
        metric_named(f"{tmp_path / 'other.py'}:worst")


def test_defaults_follow_the_labels() -> None:
    assert default_metric(LABELS).name == "accuracy"
    assert default_metric(np.array([0.5])).name == "mse"


@pytest.mark.parametrize("name", ["acuracy", "topk:0", "topk:x", "mse:2", ""])
def test_unknown_metrics(name: str) -> None:
    with pytest.raises(NeutramsError) as fault:
        metric_named(name)
    assert fault.value.diagnostics[0].code == "NT0528"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("accuracy", np.array([0, 1, 2, 9])),
        ("accuracy", np.array([0.5, 1, 2, 0])),
        ("auc", np.ones(4)),
        ("mse", np.ones(5)),
    ],
)
def test_labels_that_do_not_fit(name: str, labels: Array) -> None:
    with pytest.raises(NeutramsError) as fault:
        measured(name, SCORES, labels)
    assert fault.value.diagnostics[0].code == "NT0525"
