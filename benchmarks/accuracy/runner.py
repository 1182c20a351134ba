"""Measure cases in processes of one thread each."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from traceback import format_exception

from threadpoolctl import threadpool_limits

from benchmarks.accuracy import measure
from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.store import Result, Store


def run(todo: Sequence[Case], store: Store, *, limit: int | None, jobs: int, seconds: float) -> int:
    """Store the result of each case as it is done, and return how many have none.

    Some were not begun in time; a bug of ours ends its own case only, and is told.
    """
    if todo:
        measure.warm()  # so that processes find compiled kernels
    start, left, crashed = time.monotonic(), list(todo), 0
    running: dict[Future[Result], Case] = {}
    with ProcessPoolExecutor(jobs, get_context("spawn"), _prepare) as pool:
        while left or running:
            while left and len(running) < jobs and time.monotonic() - start < seconds:
                case = left.pop(0)
                running[pool.submit(_measured, case, limit)] = case
            if not running:
                break
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                case = running.pop(future)
                if fault := future.exception():
                    crashed += 1
                    print("crashed ", case.name, *format_exception(fault), file=sys.stderr)
                    continue
                result = future.result()
                store.add(result)
                progress = f"{len(todo) - len(left) - len(running)}/{len(todo)}"
                print(f"{progress:>9}  {_told(result)}  {case.name}", flush=True)
    return len(left) + crashed


def _told(result: Result) -> str:
    return f"{result['seconds']:7.1f} s" if result["status"] == "done" else result["status"]


def _measured(case: Case, limit: int | None) -> Result:
    return {**measure.measure(case, limit), "key": measure.key(case, limit)}


def _prepare() -> None:
    threadpool_limits(1)
    measure.warm()
