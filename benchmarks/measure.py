"""Times, peak memory, and one way to print them."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return wall-clock seconds of one call, and what it returned."""
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made


def best(work: Callable[[], object], *, runs: int = 3) -> float:
    """Return the least wall-clock seconds of some calls."""
    return min(timed(work)[0] for _ in range(runs))


def peak_gb() -> float:
    """Return the most memory this process has held (10^9 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def show(name: str, value: float, unit: str, *, limit: float | None = None, note: str = "") -> None:
    """Print one measurement, beside what it should stay under."""
    verdict = (
        "" if limit is None else f"  (limit {limit:g} {unit}: {'ok' if value < limit else 'OVER'})"
    )
    print(f"{name:48} {value:10.3f} {unit}{verdict}{'  ' + note if note else ''}", flush=True)


def data(path: str) -> Path | None:
    """Return a file of the data sets in ``NEUTRAMS_DATA``; say so where it is not there."""
    folder = os.environ.get("NEUTRAMS_DATA")
    found = Path(folder) / path if folder else None
    if found is not None and found.is_file():
        return found
    print(f"skipped: set NEUTRAMS_DATA to a folder that holds {path}")
    return None
