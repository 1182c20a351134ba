"""Measure cases in processes of one thread each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

from threadpoolctl import threadpool_limits

from benchmarks.accuracy import measure
from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.store import Result, Store


def run(todo: Sequence[Case], store: Store, *, limit: int | None, jobs: int, seconds: float) -> int:
    """Store the result of each case as it is done; return how many were not begun in time."""
    if todo:
        measure.warm()  # so that processes find compiled kernels
    start, left, running = time.monotonic(), list(todo), set[Future[Result]]()
    with ProcessPoolExecutor(jobs, get_context("spawn"), _prepare) as pool:
        while left or running:
            while left and len(running) < jobs and time.monotonic() - start < seconds:
                running.add(pool.submit(_measured, left.pop(0), limit))
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                result = future.result()
                store.add(result)
                progress = f"{len(todo) - len(left) - len(running)}/{len(todo)}"
                print(f"{progress:>9}  {_told(result)}  {result['case']}", flush=True)
    return len(left)


def _told(result: Result) -> str:
    return f"{result['seconds']:7.1f} s" if result["status"] == "done" else result["status"]


def _measured(case: Case, limit: int | None) -> Result:
    return {**measure.measure(case, limit), "key": measure.key(case, limit)}


def _prepare() -> None:
    threadpool_limits(1)
    measure.warm()
