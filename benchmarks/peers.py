"""Peers in an environment of their own, asked for one time after another.

``make peers`` makes that environment; ``NEUTRAMS_PEERS`` names the Python of another.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.measure import ROOT, show
from neutrams.ir.types import Array

PYTHON = ROOT / ".venv-peers" / "bin" / "python"


class Peers:
    """A process that runs cases of ``physics_peers.py``; without its Python, nothing runs."""

    def __init__(self, **work: Array) -> None:
        """Start it on arrays, which it reads from a file."""
        self._folder = tempfile.TemporaryDirectory()
        python = Path(os.environ.get("NEUTRAMS_PEERS", PYTHON))
        self._process: subprocess.Popen[str] | None = None
        if not python.exists():
            print("skipped: peers; `make peers` makes their environment, or set NEUTRAMS_PEERS")
            return
        path = Path(self._folder.name) / "work.npz"
        np.savez(path, allow_pickle=False, **work)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [python, ROOT / "benchmarks" / "physics_peers.py", path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip

    def ask(self, case: str, **how: int) -> dict[str, Any]:
        """Return what the process answers; nothing where there is none."""
        if self._process is None:
            return {}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"case": case, **how}), file=self._process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "missing" in found:
            print(f"skipped: {case}: {found['missing']}")
        return found

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


def least(run: Callable[[], object], runs: int, threads: int) -> float:
    """Return the least time of a run: of the processor with one thread, else on the clock.

    Several threads run as many at once, as the simulator spreads batches; a run is a part of them.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    taken = []
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:

        def turn() -> None:
            if threads == 1:
                run()
                return
            for each in [pool.submit(run) for _ in range(threads)]:
                each.result()

        turn()
        for _ in range(runs):
            start = clock()
            turn()
            taken.append(clock() - start)
    return min(taken) / threads


def race(
    peers: Peers,
    ours: dict[str, Callable[[], object]],
    theirs: dict[str, int],
    *,
    threads: int = 1,
    rounds: int = 4,
    runs: int = 4,
    images: int = 0,
) -> dict[str, float]:
    """Time all in turns, a few runs each time, and show the least.

    Args:
        peers: who runs theirs.
        ours: by name.
        theirs: cases, and in how many of the rounds each is run, by name.
        threads: of each.
        rounds: turns.
        runs: in each turn.
        images: where given, rates are shown, so many images a run; else milliseconds.
    """
    found: dict[str, list[float]] = {}
    for turn in range(rounds):
        for name, run in ours.items():
            found.setdefault(name, []).append(least(run, runs, threads))
        for name, turns in theirs.items():
            if turn < turns:
                each = 1 if turns < rounds else runs
                answer = peers.ask(name, runs=each, threads=threads)
                if "seconds" in answer:
                    found.setdefault(name, []).append(answer["seconds"])
    taken = {name: min(times) for name, times in found.items()}
    for name, seconds in taken.items():
        many = "" if threads == 1 else f", {threads} threads"
        count = 1 if "one image" in name else images
        show(
            name + many,
            count / seconds if images else 1e3 * seconds,
            "images/s" if images else "ms",
        )
    return taken
