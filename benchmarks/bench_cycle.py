"""Compile, place and schedule networks; run one image clock by clock, beside its schedule.

    python -m benchmarks.bench_cycle [--multicast false]

Weights are random; ResNet-8 is MLPerf Tiny's. Times are of the processor, kernels compiled.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import onnx

import neutrams
from benchmarks.measure import data, peak_gb
from benchmarks.networks import resnet18, vgg8
from neutrams.driver.clocked.cycles import run_cycles
from neutrams.ir.program import Program
from neutrams.simulator import schedule
from neutrams.simulator.cycle import Machine, lay_out, routers_of

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--multicast", default="true")
    chip = {"network.multicast": parser.parse_args().multicast == "true"}
    print(f"{'network':24}{'compile s':>10}{'schedule us':>13}{'cycles us':>11}{'ratio':>7}"
          f"{'period us':>11}{'cycles us':>11}{'ratio':>7}{'flits':>11}{'image s':>9}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        small = data("models/onnx/mlperf_tiny_resnet8.onnx")
        for name, path in [("ResNet-8", small), *_made(Path(folder))]:
            if path is not None:
                seconds, program = _timed(lambda p=path: neutrams.compile(p, overrides=chip))
                _show(name, seconds, program)
    print(f"peak memory {peak_gb():.2f} GB")


def _show(name: str, seconds: float, program: Program) -> None:
    timing, found = schedule(program), run_cycles(program)
    latency, period = found.clocks * found.clock_s, found.period_s
    layout = lay_out(program)
    image, _ = _timed(lambda: Machine(layout.plan, routers_of(program.target)).run())
    print(
        f"{name:24}{seconds:10.2f}{timing.latency_s * 1e6:13.1f}{latency * 1e6:11.1f}"
        f"{latency / timing.latency_s:7.2f}{timing.period_s * 1e6:11.1f}{period * 1e6:11.1f}"
        f"{period / timing.period_s:7.2f}{found.flits:11,}{image:9.2f}",
        flush=True,
    )


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.process_time()
    made = work()
    return time.process_time() - start, made


def _made(folder: Path) -> Iterator[tuple[str, Path]]:
    models = {
        "VGG8": vgg8(),
        "ResNet-18, 32x32": resnet18(size=32, classes=10),
        "ResNet-18, 224x224": resnet18(size=224, classes=1000),
    }
    for index, (name, model) in enumerate(models.items()):
        path = folder / f"{index}.onnx"
        onnx.save(model, str(path))
        yield name, path


if __name__ == "__main__":
    main()
