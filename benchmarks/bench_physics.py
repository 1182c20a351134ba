"""A layer of 512 × 512 weights, a batch of 128, on cells that are not ideal.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.bench_physics``. In one phase, weights are pairs of
cells (7 bits and a sign) with one converter, as peers have them, or one for each cell; bit by bit,
inputs take 8 phases and weights four cells of 2 bits with a unit column, or pairs. Converters have
8 bits and take the array's largest current; arrays have 512 rows where they are compared. Peers
take turns with us where they are installed (``make peers``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.measure import show
from benchmarks.peers import Peers, race
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.simulator.physics import Physics
from neutrams.simulator.physics.conductances import program
from neutrams.simulator.physics.matrix import Chance
from neutrams.simulator.physics.seeds import Draws
from neutrams.simulator.physics.wires import approximated, currents, solved
from neutrams.simulator.steps import Product, steps

SIZE, BATCH, DAY_S = 512, 128, 86_400.0
PAIRS: dict[str, Any] = {
    "rows": 512, "dac_bits": 8, "cell_bits": 7, "adc_mode": "scale",
    "coding": "analog-differential",
}  # fmt: skip
SERIAL: dict[str, Any] = {"rows": 512, "dac_bits": 1, "cell_bits": 2, "adc_mode": "scale"}
CHIPS: dict[str, dict[str, Any]] = {
    "one phase": PAIRS,
    "one phase, two converters": {**PAIRS, "coding": "differential"},
    "bit-serial": SERIAL,
    "bit-serial, pairs": {**SERIAL, "coding": "analog-differential"},
}
SMALL: dict[str, Any] = {**SERIAL, "rows": 128, "column_flip": True, "adc_mode": "clip"}
PROGRAMMING, READ = Physics(programming_proportional=0.05), Physics(read_additive=0.02)
WIRES = Physics(read_additive=0.02, row_ohm=0.35, column_ohm=0.35)
EACH = Physics(read_proportional=0.02)
NOISE: dict[str, Physics | None] = {
    "exact": None,
    "programming noise": PROGRAMMING,
    "read noise": READ,
    "read noise, part of each": EACH,
}
CASES: dict[str, tuple[dict[str, Any], Physics | None]] = {
    **{
        f"{chip}, {what}": (cells, how)
        for chip, cells in CHIPS.items()
        for what, how in NOISE.items()
    },
    "one phase, read noise, IR drop": (PAIRS, WIRES),
    "bit-serial, 128 rows, clip": (SMALL, None),
    "bit-serial, 128 rows, clip, read noise": (SMALL, READ),
}
PEERS = {
    "aihwkit, torch tile, output noise": 4,
    "aihwkit, compiled tile, read noise": 4,
    "aihwkit, compiled tile, read noise, IR drop": 4,
    "CrossSim, programming noise": 4,
    "CrossSim, bit-serial": 4,
    "CrossSim, bit-serial, programming noise": 4,
    "CrossSim, read noise": 1,
}
"""Cases of peers, and in how many rounds each is run."""


def layer(
    weights: Array, physics: Physics | None, *, seed: int = 0, adc_bits: int = 8, **encoding: Any
) -> Product:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), SIZE))
    sums = graph.add(
        Mvm(x, graph.weight("w", weights), adc_bits=adc_bits, neurons=SIZE, **encoding)
    )
    graph.output(graph.add(Reduce(sums)))
    return Product(steps(graph)[0], Chance(physics, seed, adcs=8) if physics else None)


def layers(weights: Array, drive: Array, peers: Peers) -> None:
    w, x = weights.astype(np.float32), drive.astype(np.float32)
    ours: dict[str, Callable[[], object]] = {"float32 product": lambda: x @ w.T}
    for name, (encoding, how) in CASES.items():
        ours[name] = partial(layer(weights, how, **encoding), drive)
    for threads in (1, 2):
        race(peers, ours, PEERS, threads=threads)


def wires(peers: Peers) -> None:
    """An array is solved once, for all inputs; reads then cost what they cost without."""
    for size in (64, 128, 256):
        rng = np.random.default_rng(0)
        g, volts = rng.uniform(1e-5, 1e-4, (size, size)), rng.uniform(0, 1, size)
        exact = solved(g, 1.0, 1.0) @ volts
        fast = approximated(g, 1.0, 1.0) @ volts
        off, lost = np.abs(fast / exact - 1).mean(), (1 - exact / (g @ volts)).mean()
        print(f"fast, {size} × {size}: mean error {off:.3%} where wires lose {lost:.1%}")
        ours: dict[str, Callable[[], object]] = {
            f"wires {size} × {size}, exact, all inputs": partial(solved, g, 1.0, 1.0),
            f"wires {size} × {size}, exact, one input": partial(currents, g, volts, 1.0, 1.0),
            f"wires {size} × {size}, fast, all inputs": partial(approximated, g, 1.0, 1.0),
        }
        race(peers, ours, {f"CrossSim, wires {size} × {size}": 2}, rounds=2, runs=2)


def relative_error(weights: Array, drive: Array, physics: Physics, seed: int) -> float:
    """Return the RMS of what physics change, behind ideal converters, over that of exact sums."""
    made = layer(weights, physics, seed=seed, adc_bits=0, **PAIRS)
    exact = drive.astype(float) @ weights.T.astype(float)
    return float(np.std(made(drive) - exact) / np.std(exact))


def pcm_error(weights: Array, after: float, seed: int) -> float:
    """Return σ of what programming and time make of weights in -1 to 1."""
    held = weights.astype(float) / np.abs(weights).max()
    pair = np.stack([held.clip(0), (-held).clip(0)])
    physics = Physics(device="pcm", flicker=after > 0, time_s=after + 20)
    g = program(pair, physics, Draws(seed, 0, "peer")).g
    return float((g[0] - g[1] - held).std())


def errors(weights: Array, drive: Array, peers: Peers) -> None:
    """The same noise makes the same errors."""
    of = partial(relative_error, weights, drive)
    cases: dict[str, Callable[[int], float]] = {
        "PCM of aihwkit, programming": partial(pcm_error, weights, 0.0),
        "PCM of aihwkit, one day": partial(pcm_error, weights, DAY_S),
        "PCM of aihwkit, one year": partial(pcm_error, weights, 365 * DAY_S),
        "CrossSim, programming, 2 % of range": partial(
            of, Physics(on_off=10, programming_additive=0.02)
        ),
        "CrossSim, programming, 5 % of each": partial(
            of, Physics(on_off=10, programming_proportional=0.05)
        ),
        "CrossSim, read noise, 2 % of range": partial(of, Physics(on_off=10, read_additive=0.02)),
    }
    for name, ours in cases.items():
        answer = peers.ask(name)
        if "errors" in answer:
            theirs = float(np.mean(answer["errors"]))
            found = float(np.mean([ours(seed) for seed in range(4)]))
            note = f"{100 * theirs:.3f} % {100 * (found / theirs - 1):+.1f} %"
            show(f"error of outputs, {name}", 100 * found, "%", note=note)


def main() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 40, (SIZE, SIZE)).round().clip(-127, 127).astype(np.int8)
    drive = rng.integers(0, 256, (BATCH, SIZE)).astype(np.uint8)
    peers = Peers(weights=weights, drive=drive)
    layers(weights, drive, peers)
    wires(peers)
    errors(weights, drive, peers)
    peers.close()


if __name__ == "__main__":
    main()
