"""Kernels compile on their first call, call each other, and mean the same uncompiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from neutrams.ir.kernel import kernel, prange
from neutrams.ir.kernel_files import Files

ROOT = Path(__file__).resolve().parents[2]


@kernel
def doubled(value: int) -> int:
    """Twice the value."""
    return 2 * value


@kernel
def doubled_sum(values: NDArray[np.int64]) -> int:
    total = 0
    for value in values:
        total += doubled(value)
    return total


@kernel(parallel=True)
def double_all(values: NDArray[np.int64], result: NDArray[np.int64]) -> None:
    for index in prange(len(values)):
        result[index] = doubled(values[index])


def test_a_kernel_calls_a_kernel() -> None:
    values = np.arange(10)
    assert doubled_sum(values) == doubled_sum.py_func(values) == 90


def test_a_parallel_kernel_fills_an_array() -> None:
    values, result, plain = np.arange(10), np.zeros(10, np.int64), np.zeros(10, np.int64)
    double_all(values, result)
    double_all.py_func(values, plain)
    assert np.array_equal(result, 2 * values)
    assert np.array_equal(plain, 2 * values)


def test_a_kernel_keeps_its_documentation() -> None:
    assert doubled.__doc__ == "Twice the value."


def test_a_function_without_a_file_cannot_be_cached_but_runs() -> None:
    scope: dict[str, object] = {}
    exec("def tripled(value): return 3 * value", scope)
    tripled = scope["tripled"]
    assert callable(tripled)
    assert kernel(tripled)(4) == 12


MODULE = """
import sys
from neutrams.ir.kernel import kernel

@kernel
def doubled(value: int) -> int:
    return 2 * value

print("numba" in sys.modules, doubled(21), "numba" in sys.modules)
"""


@pytest.mark.parametrize("disabled", ["0", "1"])
def test_decorating_loads_no_numba(tmp_path: Path, disabled: str) -> None:
    module = tmp_path / "module.py"
    module.write_text(MODULE, encoding="utf-8")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled, "PYTHONPATH": paths}
    run = subprocess.run(
        [sys.executable, module], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == "False 42 True\n"


CALLED = """
from neutrams.ir.kernel import kernel

@kernel
def {name}(value: int) -> int:
    return {factor} * value
"""
CALLER = """
from neutrams.ir.kernel import kernel
from called import scaled

@kernel
def run(value: int) -> int:
    return scaled(value)

result = run(7)
print(result, sum(run._resolve().stats.cache_hits.values()))
"""


def test_a_kept_kernel_is_renewed_when_one_it_calls_changes(tmp_path: Path) -> None:
    """Numba alone would look at the file of the caller only."""
    (tmp_path / "caller.py").write_text(CALLER, encoding="utf-8")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "0", "PYTHONPATH": paths}
    told = []
    for factor in (3, 3, 5):
        text = CALLED.format(name="scaled", factor=factor)
        (tmp_path / "called.py").write_text(text, encoding="utf-8")
        command = [sys.executable, str(tmp_path / "caller.py")]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        told.append(run.stdout.split())
    assert told == [["21", "0"], ["21", "1"], ["35", "0"]]


def test_processes_that_compile_at_once_never_meet_the_others_code(tmp_path: Path) -> None:
    """Where both took the next number for a file, one would run what the other compiled."""

    class Late(Files):  # reads the index before the other writes it
        def _load_index(self) -> dict[object, str]:
            return {}

    Files(tmp_path, "kernel", 1).save("bytes", "code for bytes")
    late = Late(tmp_path, "kernel", 1)
    late.save("words", "code for words")
    assert Files(tmp_path, "kernel", 1).load("words") == "code for words"
    assert Files(tmp_path, "kernel", 1).load("bytes") is None


def test_code_of_other_sources_is_neither_found_nor_left(tmp_path: Path) -> None:
    Files(tmp_path, "kernel", 1).save("bytes", "old")
    new = Files(tmp_path, "kernel", 2)
    assert new.load("bytes") is None
    new.save("bytes", "new")
    assert new.load("bytes") == "new"
    assert len(list(tmp_path.glob("*.nbc"))) == 1
