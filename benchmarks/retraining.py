"""Accuracy with and without retraining, under narrower and narrower chips.

    python -m benchmarks.retraining > docs/retraining-results.md

Retraining sees 512 unlabelled training samples. `--limit 2000` tests on part of the set,
`--methods "none;learned"` runs some of the rows. The sets are those of `benchmarks.accuracy`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import DATA, MODELS, cifar, mnist
from neutrams.driver import Options, compile_model, load_target
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.passes import default_pipeline
from neutrams.training.executor import run_graph
from neutrams.training.run import Run
from neutrams.training.settings import settled

METHODS = {
    "none": "",
    "bias": "method=bias",
    "sgd": "method=sgd",
    "gptq": "method=gptq",
    "gptq, input original": "method=gptq input=original",
    "learned, input original": "method=learned input=original",
    "adaround": "method=adaround",
    "learned": "method=learned",
    "learned, inputs in 4 copies": "method=learned",
}
"""Names of rows and options of `retrain-units`; empty for none at all."""


@dataclass(frozen=True, slots=True)
class Chip:
    """Limits to retrain for."""

    rows: int
    weight_bits: int
    input_bits: int

    @property
    def overrides(self) -> dict[str, Any]:
        return {
            "core.rows": self.rows,
            "limits.weight_bits": self.weight_bits,
            "limits.input_bits": self.input_bits,
        }


CHIPS = (Chip(128, 8, 8), Chip(64, 4, 4), Chip(32, 2, 8))
NETWORKS: dict[str, tuple[str, Callable[[Path], tuple[Array, Array, Array]]]] = {
    "mnist8_cntk": ("images/mnist.npz", mnist),
    "mlperf_tiny_resnet8": ("images/cifar10_jpeg.npz", cifar),
}


def main() -> None:
    args = _arguments()
    print("| network | samples | rows | weights | inputs | float | method | accuracy | loss | s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for network, (data, load) in NETWORKS.items():
        if args.network not in network:
            continue
        if not (DATA / data).exists():
            print(f"skipped {network}: no {data}", file=sys.stderr)
            continue
        calibration, x, y = load(DATA / data)
        x, y = x[: args.limit], y[: args.limit]
        expected = None
        for chip in CHIPS:
            for method in args.methods.split(";"):
                if "copies" in method and chip.input_bits >= 8:
                    continue
                program, seconds = compiled(network, chip, calibration, method)
                if expected is None:
                    expected = accuracy(program, "float", x, y)
                found = accuracy(program, "main", x, y)
                print(
                    f"| {network} | {len(x)} | {chip.rows} | {chip.weight_bits} |"
                    f" {chip.input_bits} | {expected:.2f} % | {method} | {found:.2f} % |"
                    f" {expected - found:.2f} | {seconds:.1f} |",
                    flush=True,
                )


def compiled(network: str, chip: Chip, calibration: Array, method: str) -> tuple[Program, float]:
    """Return a program and the seconds that compiling it took, retraining included."""
    steps = default_pipeline().removesuffix("check-accumulators")
    if "copies" in method:
        steps = steps.replace("split-fan-in", "widen-inputs{copies=4},split-fan-in")
    if options := METHODS[method]:
        steps += f"retrain-units{{{options}}},"
    start = time.perf_counter()
    found = compile_model(
        MODELS / f"{network}.onnx",
        target=load_target("cim", chip.overrides),
        calibration=calibration,
        options=Options(passes=steps + "check-accumulators"),
    )
    return found.program, time.perf_counter() - start


def accuracy(program: Program, name: str, x: Array, y: Array) -> float:
    """Return the share of right classes in per cent; integers are those of the simulator."""
    graph = program.module[name]
    right = 0
    with settled(2):
        for begin in range(0, len(x), 250):
            part = slice(begin, begin + 250)
            run = Run(fast=name == "float")
            outputs = run_graph(graph, {graph.inputs[0].name: x[part]}, run)
            scores = next(iter(outputs.values())).reshape(len(x[part]), -1)
            right += int((scores.argmax(axis=1) == y[part]).sum())
    return 100 * right / len(np.asarray(y))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=10_000, help="test samples")
    parser.add_argument("--network", default="", help="part of a network's name")
    parser.add_argument("--methods", default=";".join(METHODS), help="rows, joined by `;`")
    return parser.parse_args()


if __name__ == "__main__":
    main()
