"""A tiny network in text, its data, and the command line run in process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from neutrams.cli import run

NET = """neutrams 1

graph @net(%x: f32[N, 4]) {
  weight @a : f32[4, 3] = [1, -2, 0.5, 0.25, 1, -1, -0.5, 2, 1, 0, -1, 0.75]
  weight @b : f32[3, 2] = [1, -1, -0.5, 1, 0.25, 2]
  %h = nn.matmul(%x, @a) : f32[N, 3]
  %r = nn.relu(%h) : f32[N, 3]
  %y = nn.matmul(%r, @b) : f32[N, 2]
  return %y as "scores"
}
"""
A = np.array([1, -2, 0.5, 0.25, 1, -1, -0.5, 2, 1, 0, -1, 0.75]).reshape(4, 3)
B = np.array([1, -1, -0.5, 1, 0.25, 2]).reshape(3, 2)


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str


Command = Callable[..., Run]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that holds ``net.nt``, ``calibration.npz`` and ``test.npz``."""
    monkeypatch.setenv("NEUTRAMS_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    random = np.random.default_rng(7)
    x = random.uniform(-1, 1, (40, 4)).astype(np.float32)
    y = (np.maximum(x @ A, 0) @ B).argmax(axis=1)
    np.savez(work / "calibration.npz", x=x[:20])
    np.savez(work / "test.npz", x=x[20:], y=y[20:])
    (work / "net.nt").write_text(NET)
    return work


@pytest.fixture
def neutrams(folder: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command line in the working folder and return its code and both streams."""

    def command(*arguments: object) -> Run:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Run(code, captured.out, captured.err)

    return command


@pytest.fixture
def program(neutrams: Command, folder: Path) -> Path:
    """The network compiled for `cim`."""
    made = neutrams("compile", "net.nt", "-c", "calibration.npz", "-o", "net.ntp")
    assert made.code == 0, made.err
    return folder / "net.ntp"
