"""Spread the points of a sweep over processes."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from concurrent.futures import as_completed

from neutrams.driver.processes import processes
from neutrams.driver.sweeping.grid import Point
from neutrams.driver.sweeping.measure import Study, measure
from neutrams.driver.sweeping.results import Row


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
    with processes(jobs) as pool:
        keys = {pool.submit(measure, study, point): key for key, point in todo.items()}
        for future in as_completed(keys):
            yield keys[future], future.result()
