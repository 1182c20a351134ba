"""Every example runs and prints what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neutrams.frontends import load_model
from neutrams.ir.interpreter import interpret

ROOT = Path(__file__).resolve().parents[1]
SAYS = {
    "compile_and_simulate.py": "accuracy",
    "own_passes.py": "count-ops: ",
    "own_target.py": "small",
    "torch_module.py": "on the chip",
    "trace_a_run.py": "at work for",
}


def test_every_example_is_listed() -> None:
    scripts = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert scripts == {*SAYS, "make_digits.py", "train_networks.py"}


def run_example(name: str, folder: Path, *arguments: str) -> str:
    """Run an example inside a folder, and return what it prints."""
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("name", sorted(SAYS))
def test_example_runs(name: str, tmp_path: Path) -> None:
    assert SAYS[name] in run_example(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_networks_are_trained_and_written(tmp_path: Path) -> None:
    """On 1,000 digits, which serve as training and as test set."""
    with np.load(ROOT / "examples/digits_test.npz") as digits:
        x, y = digits["x"][:, 0].astype(np.uint8), digits["y"]
    (tmp_path / "images").mkdir()
    np.savez(tmp_path / "images/mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    said = run_example(
        "train_networks.py", tmp_path, "--data", ".", "--out", "made", "mnist_mlp_50_10"
    )
    assert said.endswith("of 1000 test samples\n")
    (made,) = (tmp_path / "made").iterdir()
    pixels = (x.reshape(-1, 784) / 255).astype(np.float32)
    graph = load_model(made)
    (scores,) = interpret(graph, {graph.inputs[0].name: pixels}).values()
    accuracy = float((scores.argmax(axis=1) == y).mean())
    assert accuracy > 0.8
    assert f"{accuracy:.2%}" in said
