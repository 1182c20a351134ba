"""How the tick grain and Monte-Carlo runs scale with processors: threads, then processes.

Wall-clock times: only a machine with nothing else to do tells something. A process that may use n
processors runs n batches, or chips, at a time by itself; with ``jobs=n`` so many processes do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import neutrams
from benchmarks.accuracy.data import DATA, Sets, cifar, mnist_pixels
from benchmarks.measure import EXAMPLES, best
from neutrams.ir.processors import processors
from neutrams.ir.program import Program

MNIST8 = EXAMPLES / "mnist8_cntk.onnx"
RESNET8 = DATA / "models" / "onnx" / "mlperf_tiny_resnet8.onnx"
LOSSY = {"core.adc_bits": 6}
Run = Callable[[int], object]
"""Of so many processes; 0: threads of this one."""


def main() -> None:
    """Print seconds, and how many times faster than on one processor."""
    all_of_them = sorted(os.sched_getaffinity(0))
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= processors()]
    for name, run in cases().items():
        run(0)
        alone = 0.0
        for count in counts:
            os.sched_setaffinity(0, all_of_them[:count])
            threads = best(lambda run=run: run(0))
            spread = best(lambda run=run, count=count: run(count)) if count > 1 else threads
            alone = alone or threads
            print(
                f"{name:40} {count:3} processors  threads {threads:7.2f} s {alone / threads:5.1f} ×"
                f"  processes {spread:7.2f} s {alone / spread:5.1f} ×",
                flush=True,
            )
        os.sched_setaffinity(0, all_of_them)


def cases() -> dict[str, Run]:
    """What is run, by name."""
    digits, images = mnist_pixels(), cifar()
    small = neutrams.compile(MNIST8, calibration=digits.draw(0), overrides=LOSSY)
    large = neutrams.compile(RESNET8, calibration=images.draw(0), overrides=LOSSY)
    exact = neutrams.compile(MNIST8, calibration=digits.draw(0))

    def whole(program: Program, sets: Sets, **how: Any) -> Run:
        return lambda jobs: neutrams.simulate(
            program, sets.inputs, sets.labels, compare=False, jobs=jobs, **how
        )

    return {
        "mnist8, 6-bit ADC, 10,000 digits": whole(small, digits),
        "ResNet-8, 6-bit ADC, 10,000 images": whole(large, images),
        "mnist8, 16 chips of RRAM, 1,000 digits": whole(
            exact, digits, physics="rram-wan,read-additive=0.01", monte_carlo=16, limit=1000
        ),
    }


if __name__ == "__main__":
    main()
