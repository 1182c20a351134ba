"""Processes that simulate parts of one run: they map the same program, and so hold it once."""

from __future__ import annotations

import mmap
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from neutrams.driver.processes import processes
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.files import atomic_write
from neutrams.ir.interpreter import interpret
from neutrams.ir.program import Program
from neutrams.ir.tensor_file import pack, unpack
from neutrams.ir.types import Array
from neutrams.simulator import Elsewhere, Result, Runner, simulate
from neutrams.simulator.physics.matrix import Chance
from neutrams.simulator.run import Parts

PATIENCE_S = 0.2
"""Between two looks at whether a run is to stop."""
LEAVE_S = 1.0
"""Between two times that a process leaves what it has done of a run."""
_PROGRAM, _SAMPLES, _LEFT = "program.ntp", "samples.safetensors", "run-{}.safetensors"


@dataclass(frozen=True, slots=True)
class Crew:
    """Processes, and the folder with what they read."""

    pool: Executor
    jobs: int
    folder: Path

    def batches(self, chance: Chance | None) -> Elsewhere:
        """Return where batches of the program run."""
        return Elsewhere(self.pool, self.jobs, _Batch(self.folder, chance))

    def floats(self) -> Elsewhere:
        """Return where batches of the float network run."""
        return Elsewhere(self.pool, self.jobs, _FloatBatch(self.folder))

    def each_run(
        self,
        chances: Sequence[Chance],
        batch: int | None,
        done: Sequence[Parts],
        *,
        waiting: Callable[[], None],
    ) -> Iterator[tuple[Result, Parts]]:
        """Yield what each of several runs of all samples gives, and its batches, in order.

        Batches that are ``done`` are not run again; ``waiting`` is called now and then.
        """
        futures = [
            self.pool.submit(_whole, self.folder, number, chance, batch, parts)
            for number, (chance, parts) in enumerate(zip(chances, done, strict=True))
        ]
        for future in futures:
            while not wait([future], timeout=PATIENCE_S).done:
                waiting()
            yield future.result()

    def bring(self, done: Sequence[Parts]) -> None:
        """Take up the batches that runs under way have left, beside those that are known."""
        for number, parts in enumerate(done):
            path = self.folder / _LEFT.format(number)
            if path.exists() and len(found := _parts(path.read_bytes())) > len(parts):
                parts[:] = found


@contextmanager
def crew(program: Program, samples: Mapping[str, Array], jobs: int) -> Iterator[Crew | None]:
    """Yield so many processes; ``None`` where this one is to do it alone.

    Raises:
        NeutramsError: NT0546, a process was ended from outside.
    """
    if jobs <= 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="neutrams-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        program.save(folder / _PROGRAM)
        with (folder / _SAMPLES).open("wb") as file:
            file.writelines(pack(samples))
        with processes(jobs) as pool:
            yield Crew(pool, jobs, folder)


@dataclass(frozen=True, slots=True)
class _Batch:
    folder: Path
    chance: Chance | None

    def __call__(self, inputs: Mapping[str, Array], first: int) -> dict[str, Array]:
        return _runner(self.folder, self.chance).at(inputs, first)


@dataclass(frozen=True, slots=True)
class _FloatBatch:
    folder: Path

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return interpret(_program(self.folder).module["float"], inputs)


def _whole(
    folder: Path, number: int, chance: Chance, batch: int | None, done: Parts
) -> tuple[Result, Parts]:
    """Run all samples, and leave what is done now and then."""
    left = time.monotonic()

    def leave(samples: int, total: int) -> None:
        nonlocal left
        if samples < total and time.monotonic() - left > LEAVE_S:
            name = folder / _LEFT.format(number)
            with suppress(NeutramsError), atomic_write(name) as file:  # less is kept then
                file.writelines(
                    pack({f"{i}/{n}": a for i, p in enumerate(done) for n, a in p.items()})
                )
            left = time.monotonic()

    with (folder / _SAMPLES).open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    samples = unpack(memoryview(data))
    program = _program(folder)
    found = simulate(
        program, samples, batch=batch, threads=1, chance=chance, done=done, progress=leave
    )
    return found, done


def _parts(data: bytes) -> Parts:
    found: dict[int, dict[str, Array]] = {}
    for key, array in unpack(memoryview(data)).items():
        batch, name = key.split("/", 1)
        found.setdefault(int(batch), {})[name] = array
    return [found[batch] for batch in sorted(found)]


@lru_cache(maxsize=1)
def _program(folder: Path) -> Program:
    return Program.load(folder / _PROGRAM, check=False)


@lru_cache(maxsize=1)
def _runner(folder: Path, chance: Chance | None) -> Runner:
    return Runner.of(_program(folder), chance)
