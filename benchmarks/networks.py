"""Networks of published shapes as ONNX, with random weights; batch norms are folded."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

VGG8 = ((128, False), (128, True), (256, False), (256, True), (512, False), (512, True))
"""Channels of the 3 × 3 convolutions, and whether pooling follows (NeuroSim's VGG8)."""
STAGES = ((64, 256, 3, 1), (128, 512, 4, 2), (256, 1024, 6, 2), (512, 2048, 3, 2))
"""Of ResNet-50: middle and outer channels, blocks, first stride (He et al. 2015, table 1)."""


class Net:
    """Builds a graph on input ``x`` node by node."""

    def __init__(self, seed: int = 0) -> None:
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

    def stem(self) -> str:
        """Take images of 224 × 224."""
        x = self.node("Relu", self.conv("x", 3, 64, 7, 2))
        return self.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    def model(self, result: str, *, size: int, classes: int) -> onnx.ModelProto:
        """Return the graph, for images ``[N, 3, size, size]``."""
        shapes = {"x": ["N", 3, size, size], result: ["N", classes]}
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
        graph = helper.make_graph(self.nodes, "net", ends[:1], ends[1:], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def vgg8() -> onnx.ModelProto:
    net, x, channels = Net(), "x", 3
    for out, pooled in VGG8:
        x, channels = net.node("Relu", net.conv(x, channels, out, 3)), out
        if pooled:
            x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Flatten", x)
    x = net.node("Relu", net.node("MatMul", x, net.weight(8192, 1024, scale=0.01)))
    x = net.node("MatMul", x, net.weight(1024, 10, scale=0.03))
    return net.model(x, size=32, classes=10)


def resnet18(*, size: int, classes: int) -> onnx.ModelProto:
    """ResNet-18 (He et al. 2015, table 1); with the stem for CIFAR where images are small."""
    net, channels = Net(), 64
    x = net.stem() if size >= 64 else net.node("Relu", net.conv("x", 3, 64, 3))
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
    return net.model(x, size=size, classes=classes)


def resnet50() -> onnx.ModelProto:
    """ResNet-50: 25.6 M parameters."""
    net, channels = Net(), 64
    x = net.stem()
    for middle, out, blocks, first in STAGES:
        for block in range(blocks):
            x = _bottleneck(net, x, channels, middle, out, first if block == 0 else 1)
            channels = out
    x = net.node("Flatten", net.node("GlobalAveragePool", x))
    w, b = net.weight(1000, 2048, scale=0.02), net.weight(1000, scale=0.01)
    return net.model(net.node("Gemm", x, w, b, transB=1), size=224, classes=1000)


def _bottleneck(net: Net, x: str, channels: int, middle: int, out: int, stride: int) -> str:
    y = net.node("Relu", net.conv(x, channels, middle, 1))
    y = net.node("Relu", net.conv(y, middle, middle, 3, stride))
    y = net.conv(y, middle, out, 1)
    if channels != out:
        x = net.conv(x, channels, out, 1, stride)
    return net.node("Relu", net.node("Add", x, y))
