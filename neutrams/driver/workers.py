"""Spread the points of a sweep over processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context

from threadpoolctl import threadpool_limits

from neutrams.driver.grid import Point
from neutrams.driver.measure import Study, measure
from neutrams.driver.results import Row
from neutrams.ir.diagnostics import NeutramsError, error


def in_parallel(
    study: Study, todo: Mapping[str, Point], *, jobs: int
) -> Generator[tuple[str, Row]]:
    """Yield each point's key and row as it is done; with one job, in this process.

    Where the reader stops, interrupted or not, so do the processes.

    Raises:
        NeutramsError: NT0546, a process was ended from outside.
    """
    jobs = min(jobs, len(todo))
    if jobs <= 1:
        yield from ((key, measure(study, point)) for key, point in todo.items())
        return
    others = set(active_children())
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _ignore_interrupts) as pool:
        keys = {pool.submit(_measure, study, p, threads): key for key, p in todo.items()}
        try:
            for future in as_completed(keys):
                yield keys[future], future.result()
        except BrokenProcessPool:
            fault = error("NT0546", "a process of the sweep was ended from outside")
            fault = fault.note("often because memory ran out; rows that were done are kept")
            raise NeutramsError(fault.help("run the sweep again with fewer --jobs")) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if not all(future.done() for future in keys):
                for process in set(active_children()) - others:
                    process.terminate()


def _measure(study: Study, point: Point, threads: int) -> Row:
    with threadpool_limits(threads):
        return measure(study, point)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which the terminal sends to all processes, to the one that asked for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
