"""Whole networks on the simulator, beside onnxruntime in float32 on the same samples.

Both take turns: processor time with one thread of each, then wall-clock time with two, the least of
some runs. Converters of 8 bits lose nothing in these networks, those of 6 bits do. Files that are
not in ``NEUTRAMS_DATA`` are left out, by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import neutrams
from benchmarks.accuracy.data import DATA
from benchmarks.accuracy.networks import NETWORKS
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator import simulate

SAMPLES = 1024
BITS = (8, 6)
ROUNDS = 5
Inputs = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Case:
    """A network with inputs to calibrate with and to run on, by name."""

    name: str
    model: str
    calibration: Inputs | None
    inputs: Inputs
    samples: int
    """Or steps of a sequence."""


def cases() -> list[Case]:
    found = [_noise("MNIST MLP with norms", "mnist_mlp_bn", (784,), SAMPLES)]
    counts = {"auto-encoder": 4 * SAMPLES, "wake word int8": 4 * SAMPLES}
    wanted = ("mnist8", "ResNet-8", "DS-CNN", "BraggNN", *counts, "Silero VAD")
    for network in (n for n in NETWORKS if n.name in wanted):
        if network.missing:
            print(f"{network.name}: skipped, no {', '.join(network.missing)}")
            continue
        sets, samples = network.load(), counts.get(network.name, SAMPLES)
        first = _input(network.model)
        drawn = None if network.quantised else _few(sets.draw(0), first, 64)
        case = Case(network.name, str(network.model), drawn, {}, samples)
        case.inputs.update(_few(sets.inputs, first, samples))
        found.append(case)
    return [*found, _noise("UltraFace", "ultraface_slim320_simplified", (3, 240, 320), 32)]


def _noise(name: str, file: str, shape: tuple[int, ...], samples: int) -> Case:
    model = str(DATA / "models" / "onnx" / f"{file}.onnx")
    x = np.random.default_rng(0).uniform(-1, 1, (samples, *shape)).astype(np.float32)
    first = _input(model)
    return Case(name, model, {first: x[:8]}, {first: x}, samples)


def _input(model: object) -> str:
    return _session(str(model), 1).get_inputs()[0].name


def _few(given: Any, first: str, samples: int) -> Inputs:
    """Return some samples, repeated where there are too few; of a sequence all its steps."""
    if isinstance(given, dict):
        return {k: v[:SAMPLES] if len(v) > 1 else v for k, v in given.items()}
    return {first: np.resize(given, (samples, *given.shape[1:]))}


def _session(model: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def theirs(case: Case, threads: int) -> Callable[[], object]:
    """Return a run of onnxruntime; a model for one sample takes one a call."""
    session = _session(case.model, threads)
    first = session.get_inputs()[0]
    if not isinstance(first.shape[0], int):
        return partial(session.run, None, case.inputs)
    x = case.inputs[first.name]
    return lambda: [session.run(None, {first.name: x[i : i + 1]}) for i in range(len(x))]


def ours(program: Program, case: Case, threads: int) -> Callable[[], object]:
    names = [value.name for value in program.module["main"].inputs]
    inputs = dict(zip(names, case.inputs.values(), strict=True))
    return partial(simulate, program, inputs, threads=threads)


def least(*runs: Callable[[], object], clock: Callable[[], float]) -> list[float]:
    """Return the least time of each, taken in turns, after one that is not counted."""
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(ROUNDS + 1):
        for taken, run in zip(times, runs, strict=True):
            start = clock()
            run()
            if turn:
                taken.append(clock() - start)
    return [min(taken) for taken in times]


def compare(case: Case) -> None:
    programs = [
        neutrams.compile(
            case.model, calibration=case.calibration, overrides={"core.adc_bits": bits}
        )
        for bits in BITS
    ]
    for threads, clock in ((1, time.process_time), (2, time.perf_counter)):
        runs = [ours(program, case, threads) for program in programs]
        their, *taken = least(theirs(case, threads), *runs, clock=clock)
        each = "  ".join(
            f"{bits} bits {1e6 * seconds / case.samples:9.1f} µs = {seconds / their:5.2f}"
            for bits, seconds in zip(BITS, taken, strict=True)
        )
        shown = f"onnxruntime {1e6 * their / case.samples:9.1f} µs"
        print(f"{case.name:22} threads {threads}  {shown}  {each}", flush=True)


def main() -> None:
    for case in cases():
        compare(case)


if __name__ == "__main__":
    main()
