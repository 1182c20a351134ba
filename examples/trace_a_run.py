"""Run a network clock by clock, and read off its trace how long layers are at work.

`python examples/trace_a_run.py out.json` keeps the trace: open it in https://ui.perfetto.dev.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

import neutrams

HERE = Path(__file__).parent


def main(path: Path) -> None:
    calibration = HERE / "digits_calibration.npz"
    program = neutrams.compile(HERE / "mnist8_cntk.onnx", calibration=calibration)
    digit = np.load(HERE / "digits_test.npz")["x"][:1]
    neutrams.simulate(program, digit, grain="cycle", record=neutrams.Record(trace=path))

    clocks: dict[str, int] = defaultdict(int)
    for event in json.loads(path.read_text())["traceEvents"]:
        if event["ph"] == "X":
            clocks[event["name"]] += event["args"]["clocks"]
    for layer, busy in sorted(clocks.items(), key=lambda each: -each[1]):
        print(f"{layer:32} at work for {busy:>9,} clocks, over all its copies")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder) / "out.json")
