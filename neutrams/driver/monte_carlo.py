"""Many runs on chips made alike: how much a figure varies from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from math import sqrt
from statistics import fmean, stdev
from typing import TypeVar

from neutrams.ir.processors import processors

CONFIDENCE = 0.95
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over several runs."""

    metric: str
    percent: bool
    values: tuple[float, ...]
    """One for each run, by the run's number."""

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def deviation(self) -> float:
        """Standard deviation of single runs; 0 for one run."""
        return stdev(self.values) if len(self.values) > 1 else 0.0

    @property
    def half_width(self) -> float | None:
        """Half of the interval of the mean at :data:`CONFIDENCE`, by Student's t; none of one."""
        from scipy.stats import t

        runs = len(self.values)
        if runs < 2:
            return None
        return float(t.ppf(0.5 + CONFIDENCE / 2, runs - 1)) * self.deviation / sqrt(runs)


def each_run(work: Callable[[int, int], T], runs: int, *, jobs: int = 0) -> list[T]:
    """Return what ``work`` makes of run 0, 1, …, some at a time; by default one a processor.

    It is told how many threads a run may take besides. Kernels and BLAS free the interpreter, so
    threads share the program and its samples.
    """
    most = processors()
    jobs = min(jobs or most, runs)
    threads = max(1, most // jobs)
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(work, range(runs), repeat(threads)))
