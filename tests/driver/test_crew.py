"""Several processes give what one gives, in order, and end when they are told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import neutrams
from neutrams.driver.processes import processes
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.products import Matmul
from neutrams.ir.program import Program
from neutrams.ir.types import DType, symbol, tensor

RANDOM = np.random.default_rng(5)
X = RANDOM.standard_normal((90, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def program() -> Program:
    graph = Graph("mlp")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 40))
    a, b = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((40, 30), (30, 4)))
    h = graph.add(Relu(graph.add(Matmul(x, graph.weight("a", a)))))
    graph.output(graph.add(Matmul(h, graph.weight("b", b))), "scores")
    return neutrams.compile(graph, calibration=X)


def test_batches_and_runs_are_those_of_one_process(program: Program) -> None:
    told: list[tuple[str, int, int]] = []
    labels = np.arange(90) % 4
    exact, noisy = (
        [
            neutrams.simulate(program, X, labels, batch=16, jobs=jobs, progress=tell, **options)  # type: ignore[arg-type]
            for jobs, tell in ((1, None), (2, lambda *step: told.append(step)))
        ]
        for options in ({}, {"physics": "rram-wan", "monte_carlo": 3})
    )
    for one, two in (exact, noisy):
        assert one.outputs["scores"].tobytes() == two.outputs["scores"].tobytes()
        assert (one.counts, one.quality, one.spread) == (two.counts, two.quality, two.spread)
    assert [done for stage, done, _ in told if stage == "simulating"] == [
        16, 32, 48, 64, 80, 90, 1, 2, 3,
    ]  # fmt: skip


def test_a_process_that_is_killed_is_told() -> None:
    with pytest.raises(NeutramsError, match="NT0546"), processes(2) as pool:
        pool.submit(_end).result()


def test_processes_end_with_an_interrupted_block() -> None:
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        _interrupted()
    assert time.monotonic() - start < 60


def test_ctrl_c_leaves_no_process_and_no_file(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "net.ntp")
    np.savez(tmp_path / "x.npz", x=np.tile(X, (20_000, 1)))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-m", "neutrams", "simulate", "net.ntp", "-i", "x.npz", "-j", "2"]
    running = subprocess.Popen(
        [*command, "--batch", "8"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    while running.poll() is None and not list(temporary.glob("neutrams-*/samples*")):
        time.sleep(0.02)
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert out == b""
    assert not list(temporary.iterdir())


def _interrupted() -> None:
    main = threading.main_thread().ident
    assert main is not None
    with processes(2) as pool:
        waiting = pool.submit(time.sleep, 600)
        while not waiting.running():
            time.sleep(0.01)
        threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT]).start()
        waiting.result()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
