"""Compile an ONNX of ResNet-50's shape (25.6 M parameters, random weights)."""

import tempfile
from pathlib import Path

import numpy as np
import onnx

import neutrams
from benchmarks.measure import peak_gb, show, timed
from benchmarks.networks import resnet50


def main() -> None:
    images = np.random.default_rng(1).standard_normal((4, 3, 224, 224)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet50.onnx"
        onnx.save(resnet50(), str(path))
        seconds, program = timed(lambda: neutrams.compile(path, calibration=images))
        show("compile ResNet-50, 4 calibration images", seconds, "s", limit=60)
        show("  peak memory", peak_gb(), "GB", limit=6)
        seconds, _ = timed(lambda: program.save(Path(folder) / "resnet50.ntp"))
        show("  save the program", seconds, "s")


if __name__ == "__main__":
    main()
