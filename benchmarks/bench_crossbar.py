"""Time of crossbar kernels beside one float32 matrix product of the same shape.

Run: ``OMP_NUM_THREADS=1 python benchmarks/bench_crossbar.py``. Each line is one block of 128 rows
and 32 neurons of 8-bit weights in 2-bit cells, 8-bit inputs in 8 phases; times are the best of
several. Dense inputs are uniform bytes, the worst case; the others look like those behind a ReLU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.simulator.steps import Product, steps

WINDOWS, ROWS, NEURONS = 4096, 512, 128
CASES: dict[str, dict[str, int | bool | str]] = {
    "8-bit converters, flipped (lossless)": {"adc_bits": 8, "column_flip": True},
    "7-bit converters, flipped": {"adc_bits": 7, "column_flip": True},
    "6-bit converters, flipped": {"adc_bits": 6, "column_flip": True},
    "6-bit scaling converters, flipped": {
        "adc_bits": 6,
        "column_flip": True,
        "adc_mode": "scale",
    },
    "6-bit converters, differential": {"adc_bits": 6, "coding": "differential"},
}


def best(*runs: Callable[[], object], rounds: int = 9) -> list[float]:
    """Return the least time of each, taken in turns so that a busy machine hits all alike."""
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(rounds + 1):
        for taken, run in zip(times, runs, strict=True):
            start = time.perf_counter()
            run()
            if turn:
                taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def product(weights: Array, **encoding: int | bool | str) -> Product:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), ROWS))
    w = graph.weight("w", weights)
    sums = graph.add(Mvm(x, w, rows=128, neurons=32, **encoding))  # type: ignore[arg-type]
    graph.output(graph.add(Reduce(sums)))
    return Product(steps(graph)[0])


def main() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 40, (NEURONS, ROWS)).round().clip(-127, 127).astype(np.int8)
    inputs = {
        "dense": rng.integers(0, 256, (WINDOWS, ROWS)).astype(np.uint8),
        "relu": rng.normal(0, 40, (WINDOWS, ROWS)).round().clip(0, 255).astype(np.uint8),
    }
    w, x = weights.astype(np.float32), inputs["dense"].T.astype(np.float32).copy()
    macs = WINDOWS * ROWS * NEURONS
    for name, encoding in CASES.items():
        run = product(weights, **encoding)
        for kind, data in inputs.items():
            sgemm, taken = best(lambda: w @ x, partial(run, data))
            rate = macs / sgemm / 1e9
            print(
                f"{name:38} {kind:6} {taken * 1e3:7.2f} ms = {taken / sgemm:5.2f} products"
                f" of {sgemm * 1e3:.2f} ms ({rate:.0f} GMAC/s)"
            )


if __name__ == "__main__":
    main()
