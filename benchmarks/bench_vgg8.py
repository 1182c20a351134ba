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
from onnx import TensorProto, helper

from benchmarks.bench_resnet50 import Net
from benchmarks.measure import show, timed

LAYERS = ((128, False), (128, True), (256, False), (256, True), (512, False), (512, True))
"""Neurons, and whether pooling follows."""


class Vgg8(Net):
    """For 32 × 32 images, random weights."""

    def model(self) -> onnx.ModelProto:
        x, channels = "x", 3
        for out, pooled in LAYERS:
            x, channels = self.node("Relu", self.conv(x, channels, out, 3)), out
            if pooled:
                x = self.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = self.node("Flatten", x)
        x = self.node("Relu", self.node("MatMul", x, self.weight(8192, 1024, scale=0.01)))
        y = self.node("MatMul", x, self.weight(1024, 10, scale=0.03))
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", ["N", 3, 32, 32]), (y, ["N", 10]))
        ]
        graph = helper.make_graph(self.nodes, "vgg8", ends[:1], ends[1:], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "vgg8.onnx"
        onnx.save(Vgg8(seed=0).model(), str(path))
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
