"""Compile, place and schedule networks; run one image clock by clock, beside its schedule.

    python -m benchmarks.bench_cycle [--multicast false]

Weights are random; ResNet-8 is MLPerf Tiny's. Times are of the processor, kernels compiled.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import onnx
from onnx import TensorProto, helper

import neutrams
from benchmarks.bench_resnet50 import Net
from benchmarks.measure import data, peak_gb
from neutrams.driver.cycles import run_cycles
from neutrams.ir.program import Program
from neutrams.simulator import schedule
from neutrams.simulator.cycle import Machine, lay_out, routers_of

T = TypeVar("T")
VGG8 = ((128, False), (128, True), (256, False), (256, True), (512, False), (512, True))
"""Channels of the 3×3 convolutions, and whether a pool follows (NeuroSim's VGG8)."""


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


def _made(folder: Path) -> list[tuple[str, Path]]:
    found = []
    for name, (ends, net) in {
        "VGG8": _vgg8(),
        "ResNet-18, 32x32": _resnet18(32, 10),
        "ResNet-18, 224x224": _resnet18(224, 1000),
    }.items():
        infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends.items()]
        graph = helper.make_graph(net.nodes, "net", infos[:1], infos[1:], net.weights)
        opset = [helper.make_opsetid("", 13)]
        path = folder / f"{len(found)}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
        found.append((name, path))
    return found


def _vgg8() -> tuple[dict[str, list[object]], Net]:
    net, x, channels = Net(0), "x", 3
    for out, pools in VGG8:
        x, channels = net.node("Relu", net.conv(x, channels, out, 3)), out
        if pools:
            x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Flatten", x)
    x = net.node("Relu", net.node("MatMul", x, net.weight(8192, 1024, scale=0.01)))
    x = net.node("MatMul", x, net.weight(1024, 10, scale=0.03))
    return {"x": ["N", 3, 32, 32], x: ["N", 10]}, net


def _resnet18(size: int, classes: int) -> tuple[dict[str, list[object]], Net]:
    """With the stem for images of CIFAR where they are small (He et al. 2015, table 1)."""
    net = Net(0)
    stem = (3, 1) if size < 64 else (7, 2)
    x, channels = net.node("Relu", net.conv("x", 3, 64, *stem)), 64
    if size >= 64:
        x = net.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for out in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if out > 64 and block == 0 else 1
            y = net.node("Relu", net.conv(x, channels, out, 3, stride))
            y = net.conv(y, out, out, 3)
            if channels != out:
                x = net.conv(x, channels, out, 1, stride)
            x, channels = net.node("Relu", net.node("Add", y, x)), out
    x = net.node("Flatten", net.node("GlobalAveragePool", x))
    x = net.node("MatMul", x, net.weight(512, classes, scale=0.04))
    return {"x": ["N", 3, size, size], x: ["N", classes]}, net


if __name__ == "__main__":
    main()
