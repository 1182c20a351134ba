"""Time of crossbar kernels beside one float32 matrix product of the same shape.

Blocks have 128 rows and 32 neurons of 8-bit weights in 2-bit cells; 8-bit inputs come in 8 phases.
Each case and the product run in turns on one thread, so that a busy machine hits both alike; times
are the least of the processor. Rows of two threads are by the clock: two kernels, and two products,
run at once. Dense inputs are uniform bytes, the worst case; others look like those behind a ReLU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.peers import least as race
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.simulator.exact.lookup import unit
from neutrams.simulator.steps import Product, steps

WINDOWS = 4096
SHAPES = ((128, 128), (512, 128), (512, 512))
"""Rows and neurons."""
CODINGS: dict[str, dict[str, int | bool | str]] = {
    "offset, flipped": {"column_flip": True},
    "offset": {},
    "differential": {"coding": "differential"},
    "pairs, one converter": {"coding": "analog-differential"},
}


def least(*runs: Callable[[], object], rounds: int = 15) -> list[float]:
    """Return the least processor time of each, taken in turns."""
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(rounds + 1):
        for taken, run in zip(times, runs, strict=True):
            start = time.process_time()
            run()
            if turn:
                taken.append(time.process_time() - start)
    return [min(taken) for taken in times]


def product(weights: Array, **encoding: int | bool | str) -> Product:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), weights.shape[1]))
    w = graph.weight("w", weights)
    sums = graph.add(Mvm(x, w, rows=128, neurons=32, **encoding))  # type: ignore[arg-type]
    graph.output(graph.add(Reduce(sums)))
    return Product(steps(graph)[0])


def compare(rows: int, neurons: int, rng: np.random.Generator) -> None:
    weights = rng.normal(0, 40, (neurons, rows)).round().clip(-127, 127).astype(np.int8)
    inputs = {
        "dense": rng.integers(0, 256, (WINDOWS, rows)).astype(np.uint8),
        "relu": rng.normal(0, 40, (WINDOWS, rows)).round().clip(0, 255).astype(np.uint8),
    }
    w, x = weights.astype(np.float32), inputs["dense"].T.astype(np.float32).copy()
    for coding, encoding in CODINGS.items():
        for adc_bits, adc_mode in ((8, "clip"), (7, "clip"), (6, "clip"), (6, "scale")):
            run = product(weights, adc_bits=adc_bits, adc_mode=adc_mode, **encoding)
            for kind, data in inputs.items():
                sgemm, taken = least(lambda: w @ x, partial(run, data))
                rate = WINDOWS * rows * neurons / sgemm / 1e9
                print(
                    f"{rows:4} × {neurons:3}  {coding:20} {adc_bits} bits {adc_mode:5}  {kind:5}"
                    f" {taken * 1e3:7.2f} ms = {taken / sgemm:5.2f} products of"
                    f" {sgemm * 1e3:.2f} ms ({rate:.0f} GMAC/s)"
                )
        run = partial(product(weights, adc_bits=6, **encoding), inputs["dense"])
        taken, sgemm = (
            min(times)
            for times in zip(*(two_at_once(run, lambda: w @ x) for _ in range(8)), strict=True)
        )
        print(
            f"{rows:4} × {neurons:3}  {coding:20} 6 bits clip   dense, two threads"
            f" {taken * 1e3:7.2f} ms = {taken / sgemm:5.2f} products of {sgemm * 1e3:.2f} ms"
        )


def two_at_once(*runs: Callable[[], object]) -> list[float]:
    """Return the time of each run on the clock, where two threads do it at once."""
    return [race(run, 2, threads=2) for run in runs]


def main() -> None:
    found = unit()
    print(f"tables of {2**found.bits} bytes, {found.width} look-ups at once")
    rng = np.random.default_rng(0)
    with threadpool_limits(1):  # BLAS threads that spin would count as ours
        for rows, neurons in SHAPES:
            compare(rows, neurons, rng)


if __name__ == "__main__":
    main()
