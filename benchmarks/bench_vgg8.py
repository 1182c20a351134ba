"""Area, energy and latency of VGG8 on NeuroSim's default chip, by the whole command."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx

from benchmarks.measure import show, timed
from benchmarks.networks import vgg8


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "vgg8.onnx"
        onnx.save(vgg8(), str(path))
        options = [str(path), "--target", "neurosim-rram", "--dry-run", "--format", "json"]
        command = [sys.executable, "-m", "neutrams", "compile", *options]
        before = os.times()
        seconds, done = timed(
            lambda: subprocess.run(command, check=True, capture_output=True, text=True)
        )
        after = os.times()
    worked = sum(after[2:4]) - sum(before[2:4])
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    found = json.loads(done.stdout)
    note = f"{seconds:.1f} s on the clock; {found['area_mm2']:.0f} mm²"
    note += f", {1e6 * found['energy_j']:.0f} µJ, {1e6 * found['latency_s']:.1f} µs"
    show("VGG8, processor time", worked, "s", limit=3, note=note)
    show("  peak memory", used, "GB", limit=0.5)


if __name__ == "__main__":
    main()
