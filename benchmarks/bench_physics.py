"""A layer of 512 × 512 weights, a batch of 128, on cells that are not ideal.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.bench_physics``. Weights are differential pairs of
one cell each (7 bits and a sign), inputs of 8 bits come in one phase, converters have 8 bits; the
array is whole, 512 rows. Bit-serial rows take 8 phases and four cells of 2 bits, on 128 rows. Best
of several runs, one thread.
Peers run where they are installed, and are named where they are not.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.measure import EXAMPLES, best, show
from benchmarks.physics_peers import peers
from neutrams import driver
from neutrams.driver.preprocess import Preprocess
from neutrams.driver.samples import load_samples
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.simulator import simulate
from neutrams.simulator.physics import Physics
from neutrams.simulator.physics.matrix import Chance
from neutrams.simulator.physics.wires import approximated, solved
from neutrams.simulator.steps import Product, steps

SIZE, BATCH, RUNS = 512, 128, 15
WHOLE: dict[str, Any] = {
    "rows": 512, "dac_bits": 8, "cell_bits": 7, "coding": "differential", "adc_mode": "scale",
}  # fmt: skip
SERIAL: dict[str, Any] = {"rows": 128, "dac_bits": 1, "cell_bits": 2, "column_flip": True}
CASES = (
    ("8-bit ADC", WHOLE, Physics(programming_proportional=0.05)),
    ("read noise, 8-bit ADC", WHOLE, Physics(read_additive=0.02)),
    ("read noise, part of each, 8-bit ADC", WHOLE, Physics(read_proportional=0.02)),
    ("the same with IR drop", WHOLE, Physics(read_additive=0.02, row_ohm=0.35, column_ohm=0.35)),
    ("bit-serial, 8-bit ADC", SERIAL, Physics(programming_proportional=0.05)),
    ("bit-serial, read noise, 8-bit ADC", SERIAL, Physics(read_additive=0.02)),
)  # fmt: skip


def layer(
    weights: Array, physics: Physics, *, seed: int = 0, adc_bits: int = 8, **encoding: Any
) -> Product:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), SIZE))
    sums = graph.add(
        Mvm(x, graph.weight("w", weights), adc_bits=adc_bits, neurons=SIZE, **encoding)
    )
    graph.output(graph.add(Reduce(sums)))
    return Product(steps(graph)[0], Chance(physics, seed, adcs=8))


def ours(weights: Array, x: Array) -> None:
    w32, x32 = weights.astype(np.float32), x.astype(np.float32)
    show("float32 product", 1e3 * best(lambda: x32 @ w32.T, runs=RUNS), "ms")
    for name, encoding, physics in CASES:
        made = layer(weights, physics, **encoding)
        made(x)
        show(name, 1e3 * best(lambda run=made: run(x), runs=RUNS), "ms")  # type: ignore[misc]


def wires(rng: np.random.Generator) -> None:
    """Once for each array; reads then cost what they cost without."""
    for size in (64, 128, 256):
        g = rng.uniform(1e-6, 1e-4, (size, size))
        bits = rng.integers(0, 2, (size, 50))
        exact = solved(g, 1.0, 1.0) @ bits
        fast = approximated(g, 1.0, 1.0) @ bits
        off = f"mean error {100 * np.abs(fast / exact - 1).mean():.3f} % where wires lose"
        off += f" {100 * (1 - exact / (g @ bits)).mean():.1f} %"
        taken = best(lambda g=g: solved(g, 1.0, 1.0))  # type: ignore[misc]
        show(f"IR drop, exact, {size} × {size}", 1e3 * taken, "ms")
        taken = best(lambda g=g: approximated(g, 1.0, 1.0))  # type: ignore[misc]
        show(f"IR drop, fast, {size} × {size}", 1e3 * taken, "ms", note=off)


def relative_error(weights: Array, drive: Array, physics: Physics, seed: int) -> float:
    """Return the RMS of what physics change, behind ideal converters, over that of exact sums."""
    made = layer(weights, physics, seed=seed, adc_bits=0, **WHOLE)
    exact = drive.astype(float) @ weights.T.astype(float)
    return float(np.std(made(drive) - exact) / np.std(exact))


EVERYTHING = Physics(
    device="pcm", flicker=True, compensate=True, time_s=3600, read_additive=0.01,
    read_proportional=0.01, stuck_on=0.001, stuck_off=0.002, on_off=50, row_ohm=0.2,
    column_ohm=0.2, adc_offset=0.3, adc_gain=0.01, adc_inl=0.2, adc_noise=0.3,
)  # fmt: skip


def network() -> None:
    """A digit classifier with all at once: as the chip is, and in one phase on pairs of cells."""
    with np.load(EXAMPLES / "digits_test.npz") as held:
        images = {"x": held["x"]}
    chip = driver.load_target("cim")
    pairs = driver.load_target(
        "cim", {"core.coding": "differential", "core.column_flip": False, "core.adc_mode": "scale"}
    )
    core = replace(pairs.machine.core, dac_bits=8, cell_bits=7)
    pairs = replace(pairs, machine=replace(pairs.machine, core=core))
    for name, target, physics in (
        ("8 phases, 4 cells a weight", chip, EVERYTHING),
        ("one phase, pairs of cells", pairs, replace(EVERYTHING, dac_inl=0.2)),
    ):
        model, digits = EXAMPLES / "mnist8_cntk.onnx", EXAMPLES / "digits_calibration.npz"
        program = driver.compile(model, target=target, calibration=digits)
        given = load_samples(
            images,
            program.module["main"],
            preprocess=Preprocess.from_manifest(program.manifest.get("preprocess", {})),
        ).inputs
        run = partial(simulate, program, given, chance=Chance(physics, adcs=8), threads=1)
        rate = len(images["x"]) / best(run)
        show(f"mnist8, everything, {name}", rate, "images/s")


def main() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 40, (SIZE, SIZE)).round().clip(-127, 127).astype(np.int8)
    drive = rng.integers(0, 256, (BATCH, SIZE)).astype(np.uint8)
    with threadpool_limits(1):
        ours(weights, drive)
        network()
        wires(rng)
        peers(weights, drive, partial(relative_error, weights, drive))


if __name__ == "__main__":
    main()
