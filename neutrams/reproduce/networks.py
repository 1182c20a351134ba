"""Networks of published tables, as graphs without weights, and the shapes of their layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from neutrams.ir.graph import Graph
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.text import parse_graph

VGG8 = ((128, False), (128, True), (256, False), (256, True), (512, False), (512, True))
"""Channels of the 3×3 convolutions, and whether a 2×2 pool follows."""
VGG9 = (
    *((64, False), (64, True), (128, False), (128, True)),
    *((256, False), (256, False), (256, True)),
)
"""SpikeSim's; where its pools are is inferred from its output."""
VGG16 = (
    *((64, False), (64, True), (128, False), (128, True), (256, False), (256, False), (256, True)),
    *((512, False), (512, False), (512, True), (512, False), (512, False), (512, True)),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A layer with weights."""

    inputs: int
    """Channels, or elements."""
    outputs: int
    taps: int
    """Places of the kernel; 1 for a matrix."""
    side_in: int = 1
    side_out: int = 1
    """Of the image after the pool that follows, where one does; 1 without an image."""


def convolutional(
    convolutions: Sequence[tuple[int, bool]], *, side: int, dense: Sequence[int] = ()
) -> Graph:
    """Return a network of 3×3 convolutions and dense layers on a colour image of ``side``."""
    lines, weights, value, channels = [], [], "%x", 3
    for n, (outputs, pooled) in enumerate(convolutions):
        weights.append(f"weight @w{n} : f32[{outputs}, {channels}, 3, 3] = abstract")
        kind = f"f32[1, {outputs}, {side}, {side}]"
        lines.append(f"%c{n} = nn.conv({value}, @w{n}) {{pads = [1, 1, 1, 1]}} : {kind}")
        value, channels = f"%c{n}", outputs
        if pooled:
            side //= 2
            kind = f"f32[1, {outputs}, {side}, {side}]"
            lines.append(
                f"%p{n} = nn.max_pool({value}) {{kernel = [2, 2], strides = [2, 2]}} : {kind}"
            )
            value = f"%p{n}"
    if dense:
        inputs = channels * side * side
        lines.append(f"%f = tensor.reshape({value}) {{shape = [1, {inputs}]}} : f32[1, {inputs}]")
        value = "%f"
        for n, outputs in enumerate(dense):
            weights.append(f"weight @d{n} : f32[{inputs}, {outputs}] = abstract")
            lines.append(f"%d{n} = nn.matmul({value}, @d{n}) : f32[1, {outputs}]")
            value, inputs = f"%d{n}", outputs
    first = f"%x: f32[1, 3, {_side(convolutions, side)}, {_side(convolutions, side)}]"
    body = "\n".join(f"  {line}" for line in [*weights, *lines, f"return {value}"])
    return parse_graph(f"neutrams 1\n\ngraph @net({first}) {{\n{body}\n}}\n")


def shapes(graph: Graph) -> tuple[Shape, ...]:
    """Return the layers of a graph that have weights, in order."""
    return tuple(_shape(op) for op in graph.ops if isinstance(op, Conv | Matmul))


def alexnet() -> tuple[Shape, ...]:
    """Return the layers of AlexNet without groups; images have no sides here."""
    convolutions = ((3, 96, 11), (96, 256, 5), (256, 384, 3), (384, 384, 3), (384, 256, 3))
    dense = ((9216, 4096), (4096, 4096), (4096, 1000))
    return (
        *(Shape(inputs, outputs, k * k) for inputs, outputs, k in convolutions),
        *(Shape(inputs, outputs, 1) for inputs, outputs in dense),
    )


def resnet34() -> tuple[Shape, ...]:
    """Return the layers of ResNet-34; images have no sides here."""
    found, before = [Shape(3, 64, 49)], 64
    for channels, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for _ in range(blocks):
            found += [Shape(before, channels, 9), Shape(channels, channels, 9)]
            if before != channels:
                found.append(Shape(before, channels, 1))
            before = channels
    return (*found, Shape(512, 1000, 1))


def _shape(op: Conv | Matmul) -> Shape:
    if isinstance(op, Matmul):
        inputs, outputs = op.b.type.static_shape()
        return Shape(inputs, outputs, 1)
    outputs, inputs, *kernel = op.w.type.static_shape()
    after = op.result.users[0] if op.result.users else op
    result = after.result if isinstance(after, MaxPool) else op.result
    return Shape(
        inputs,
        outputs,
        prod(kernel),
        op.x.type.static_shape()[-1],
        result.type.static_shape()[-1],
    )


def _side(convolutions: Sequence[tuple[int, bool]], last: int) -> int:
    return last << sum(pooled for _, pooled in convolutions)
