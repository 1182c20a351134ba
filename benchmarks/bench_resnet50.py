"""Compile an ONNX of ResNet-50's shape (25.6 M parameters, random weights)."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import neutrams
from benchmarks.measure import peak_gb, show, timed

STAGES = ((64, 256, 3, 1), (128, 512, 4, 2), (256, 1024, 6, 2), (512, 2048, 3, 2))
"""Middle and outer channels, blocks, first stride (He et al. 2015, table 1)."""


class Net:
    """Builds the graph node by node; batch norms are folded into the convolutions."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def weight(self, *shape: int, scale: float) -> str:
        name = f"w_{len(self.weights)}"
        array = (self.random.standard_normal(shape) * scale).astype(np.float32)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def conv(self, x: str, channels: int, out: int, kernel: int, stride: int = 1) -> str:
        fan_in = channels * kernel * kernel
        w = self.weight(out, channels, kernel, kernel, scale=(2 / fan_in) ** 0.5)
        b = self.weight(out, scale=0.01)
        pad = kernel // 2
        sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return self.node("Conv", x, w, b, **sizes)

    def bottleneck(self, x: str, channels: int, middle: int, out: int, stride: int) -> str:
        y = self.node("Relu", self.conv(x, channels, middle, 1))
        y = self.node("Relu", self.conv(y, middle, middle, 3, stride))
        y = self.conv(y, middle, out, 1)
        if channels != out:
            x = self.conv(x, channels, out, 1, stride)
        return self.node("Relu", self.node("Add", x, y))

    def model(self) -> onnx.ModelProto:
        x = self.node("Relu", self.conv("x", 3, 64, 7, 2))
        x = self.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        channels = 64
        for middle, out, blocks, stride in STAGES:
            for block in range(blocks):
                x = self.bottleneck(x, channels, middle, out, stride if block == 0 else 1)
                channels = out
        x = self.node("Flatten", self.node("GlobalAveragePool", x))
        x = self.node(
            "Gemm",
            x,
            self.weight(1000, 2048, scale=0.02),
            self.weight(1000, scale=0.01),
            transB=1,
        )
        shape = {"x": ["N", 3, 224, 224], x: ["N", 1000]}
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shape.items()]
        graph = helper.make_graph(self.nodes, "resnet50", ends[:1], ends[1:], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main() -> None:
    images = np.random.default_rng(1).standard_normal((4, 3, 224, 224)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet50.onnx"
        onnx.save(Net(seed=0).model(), str(path))
        seconds, program = timed(lambda: neutrams.compile(path, calibration=images))
        show("compile ResNet-50, 4 calibration images", seconds, "s", limit=60)
        show("  peak memory", peak_gb(), "GB", limit=6)
        seconds, _ = timed(lambda: program.save(Path(folder) / "resnet50.ntp"))
        show("  save the program", seconds, "s")


if __name__ == "__main__":
    main()
