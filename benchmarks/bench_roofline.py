"""How far each kernel is from what the machine can do: bandwidth, multiply-adds, table look-ups.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.bench_roofline``. Limits and kernels take turns on one
thread; times are of the processor, the least of all turns. A kernel's least time is the longest
of those that its bytes, multiply-adds and look-ups would take alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.bench_physics import EACH, PAIRS, READ, SERIAL, SIZE, SMALL, layer
from benchmarks.measure import show
from benchmarks.peers import least
from neutrams.ir.kernel import kernel
from neutrams.simulator.exact.collect import COLUMNS, I64, LANES, Bytes
from neutrams.simulator.exact.dots import FOUR, NEURONS, PLACES, Fours, Signed, Sums, dot, unit
from neutrams.simulator.exact.layout import aligned
from neutrams.simulator.exact.lookup import add_looked_up
from neutrams.simulator.physics.normals import TOGETHER, Floats, Ids, fill_normals, mixed
from neutrams.simulator.physics.tables import BITS, ENTRIES, Words, look_up

BATCH, TURNS, RUNS = 1024, 6, 2
GROUPS, TIMES = 32, 4000


@kernel
def triad(a: Floats, b: Floats, c: Floats) -> None:
    """Read two arrays and write one, as STREAM does."""
    for n in range(a.shape[0]):
        c[n] = a[n] + np.float32(3) * b[n]


@kernel
def look_up_bytes(times: int, tables: Bytes, index: Bytes, sums: Bytes) -> None:
    for _ in range(times):
        add_looked_up(tables, 0, 0, index, 0, 0, 0, index.shape[2], sums)


@kernel
def look_up_words(times: int, tables: Words, index: Bytes, sums: Words) -> None:
    for _ in range(times):
        look_up(tables, index, 0, 0, sums)


@kernel
def dot_bytes(times: int, weights: Signed, drive: Fours, taps: I64, sums: Sums) -> None:
    for _ in range(times):
        dot(weights, 0, drive, 0, taps, sums)


@kernel
def draw(times: int, ids: Ids, z: Floats) -> None:
    for key in range(times):
        fill_normals(ids, 0, key, z)


@dataclass(frozen=True, slots=True)
class Work:
    """What a run of a kernel does."""

    run: Callable[[], object]
    bytes: float = 0.0
    macs: float = 0.0
    byte_macs: float = 0.0
    byte_cells: float = 0.0
    """Cells times places times phases, looked up in tables of bytes."""
    word_cells: float = 0.0
    """The same, in tables of 16 bits."""
    normals: float = 0.0


def limits() -> dict[str, Work]:
    """Return what measures each limit; cells here are looked up in first-level cache."""
    big = 1 << 24
    a, b, c = (np.ones(big, np.float32) for _ in range(3))
    square = np.ones((1024, 1024), np.float32)
    index = aligned((1, 1, GROUPS, LANES))
    index[:] = np.arange(LANES) % ENTRIES
    byte_tables = aligned((1, GROUPS, COLUMNS, 2**6))
    words = aligned((GROUPS, COLUMNS, ENTRIES), np.uint16)
    byte_tables[:], words[:] = 1, 1
    cells = TIMES * GROUPS * BITS * COLUMNS * LANES
    ids, z = mixed(np.arange(LANES, dtype=np.uint64)), np.empty((TOGETHER, LANES), np.float32)
    sums, wide = aligned((COLUMNS, LANES)), aligned((COLUMNS, LANES), np.uint16)
    byte_run = partial(look_up_bytes, TIMES, byte_tables, index, sums)
    word_run = partial(look_up_words, TIMES, words, index, wide)
    return {
        "bytes": Work(partial(triad, a, b, c), bytes=12.0 * big),
        "macs": Work(lambda: square @ square, macs=1024.0**3),
        "byte_cells": Work(byte_run, byte_cells=cells),
        "word_cells": Work(word_run, word_cells=cells),
        "byte_macs": byte_work(),
        "normals": Work(partial(draw, TIMES, ids, z), normals=TIMES * TOGETHER * LANES),
    }


def byte_work() -> Work:
    """Return products of 128 rows of bytes, in first-level cache; without them, of float32."""
    taps, sums = np.arange(GROUPS) * PLACES, np.empty((NEURONS, PLACES), np.int32)
    weights = np.ones((1, GROUPS, NEURONS, FOUR), np.int8)
    run = partial(dot_bytes, TIMES, weights, np.ones(GROUPS * PLACES, np.uint32), taps, sums)
    done = float(TIMES * GROUPS * FOUR * NEURONS * PLACES)
    square = np.ones((1024, 1024), np.float32)
    return Work(run, byte_macs=done) if unit() else Work(lambda: square @ square, byte_macs=2.0**30)


def kernels(rng: np.random.Generator) -> dict[str, Work]:
    """Return layers of 512 × 512 weights, and what each has to do at least."""
    weights = rng.normal(0, 40, (SIZE, SIZE)).round().clip(-127, 127).astype(np.int8)
    drive = rng.integers(0, 256, (BATCH, SIZE)).astype(np.uint8)
    ends = BATCH * SIZE * (1 + 4)
    macs, cells = SIZE * SIZE * BATCH, SIZE * (4 * SIZE) * 8 * BATCH
    reads = 4 * SIZE * 8 * BATCH

    def made(how: dict[str, object], physics: object) -> Callable[[], object]:
        return partial(layer(weights, physics, **how), drive)  # type: ignore[arg-type]

    six = {**SMALL, "adc_bits": 6}
    return {
        "exact, bit-serial, 128 rows, 6 bits": Work(made(six, None), ends, byte_cells=cells),
        "read noise, bit-serial, 512 rows": Work(
            made(SERIAL, READ), ends + 2.0 * cells / 8 / BATCH, word_cells=cells, normals=reads
        ),
        "read noise by level, bit-serial, 512 rows": Work(
            made(SERIAL, EACH), ends + 4.0 * cells / 8 / BATCH, word_cells=2 * cells, normals=reads
        ),
        "read noise, one phase, pairs": Work(
            made(PAIRS, READ), ends + 1.0 * SIZE * SIZE, byte_macs=macs, normals=SIZE * BATCH
        ),
        "read noise by level, one phase, pairs": Work(
            made(PAIRS, EACH), ends + 2.0 * SIZE * SIZE, byte_macs=2 * macs, normals=SIZE * BATCH
        ),
    }


UNITS = {
    "bytes": ("memory", "GB/s"), "macs": ("float32 multiply-adds (NumPy)", "G/s"),
    "byte_cells": ("cells looked up in bytes", "G/s"),
    "byte_macs": ("multiply-adds of bytes", "G/s"),
    "word_cells": ("cells looked up in 16 bits", "G/s"), "normals": ("normal numbers", "G/s"),
}  # fmt: skip


def main() -> None:
    rooms, works = limits(), kernels(np.random.default_rng(0))
    everything = {**rooms, **works}
    taken = dict.fromkeys(everything, np.inf)
    for _ in range(TURNS):
        for name, work in everything.items():
            taken[name] = min(taken[name], least(work.run, RUNS, 1))
    rates = {name: getattr(work, name) / taken[name] for name, work in rooms.items()}
    for name, rate in rates.items():
        show(UNITS[name][0], rate / 1e9, UNITS[name][1])
    for name, work in works.items():
        floors = {key: getattr(work, key) / rate for key, rate in rates.items()}
        bound = max(floors, key=lambda key: floors[key])
        note = f"{floors[bound] / taken[name]:.0%} of the limit, {UNITS[bound][0]}; all limits "
        note += f"one after another {sum(floors.values()) / taken[name]:.0%}"
        show(name, 1e3 * taken[name], "ms", note=note)


if __name__ == "__main__":
    main()
