"""Convolutions and their transposes."""

from __future__ import annotations

from collections.abc import Sequence

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import as_type, choice, reshaped
from neutrams.frontends.onnx.handlers.geometry import geometry, numbers, whole
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.elementwise import Sub
from neutrams.ir.types import DType


@handles("Conv")
def conv(node: Node, build: Builder) -> Value:
    return convolved(node, build, node[0], node[1], node.get(2))


@handles("ConvInteger")
def conv_integer(node: Node, build: Builder) -> Value:
    """Integers less their zero points, convolved; ``w``'s may differ from filter to filter."""
    x, w = as_type(build, node[0], DType.I32), as_type(build, node[1], DType.I32)
    if (zero := node.get(2)) is not None:
        x = build.add(Sub(x, as_type(build, reshaped(build, zero, ()), DType.I32)))
    if (zero := node.get(3)) is not None:
        shape = (*zero.type.shape, *(1,) * (w.type.rank - 1)) if zero.type.rank else ()
        w = build.add(Sub(w, as_type(build, reshaped(build, zero, shape), DType.I32)))
    return convolved(node, build, x, w, None)


def convolved(node: Node, build: Builder, x: Value, w: Value, b: Value | None) -> Value:
    """Add a convolution with the window attributes of the node."""
    kernel = w.type.static_shape()[2:]
    if tuple(node.attr("kernel_shape", kernel)) != kernel:
        raise node.fault("NT0611", f"`kernel_shape` differs from the weights' {list(kernel)}")
    found = geometry(node, x.type.shape[2:], kernel)
    return build.add(
        Conv(
            x,
            w,
            b,
            strides=found.strides,
            pads=found.pads,
            dilations=found.dilations,
            groups=node.attr("group", 1),
        )
    )


@handles("ConvTranspose")
def conv_transpose(node: Node, build: Builder) -> Value:
    x, w = node[0], node[1]
    kernel = w.type.static_shape()[2:]
    rank = len(kernel)
    strides = numbers(node, "strides", rank, default=1)
    dilations = numbers(node, "dilations", rank, default=1)
    pads = numbers(node, "pads", 2 * rank, default=0, low=0)
    extra = numbers(node, "output_padding", rank, default=0, low=0)
    auto = choice(node, "auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    if "output_shape" in node.attrs or auto.startswith("SAME"):
        known = [whole(node, d) for d in x.type.shape[2:]]
        wanted = node.attr("output_shape", [d * s for d, s in zip(known, strides, strict=True)])
        full = [
            (d - 1) * s + (k - 1) * e + 1 + o
            for d, s, k, e, o in zip(known, strides, kernel, dilations, extra, strict=True)
        ]
        pads, extra = _fitted(full, wanted, extra, upper=auto == "SAME_UPPER")
    elif auto == "VALID":
        pads = (0,) * (2 * rank)
    return build.add(
        ConvTranspose(
            x,
            w,
            node.get(2),
            strides=strides,
            pads=pads,
            dilations=dilations,
            output_pads=extra,
            groups=node.attr("group", 1),
        )
    )


def _fitted(
    full: Sequence[int], wanted: Sequence[int], extra: tuple[int, ...], *, upper: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return pads and output pads that turn the full sizes into the wanted ones."""
    begins, ends, outs = [], [], []
    for have, want, out in zip(full, wanted, extra, strict=True):
        total = max(have - want, 0)
        small, large = total // 2, total - total // 2
        begins.append(small if upper else large)
        ends.append(large if upper else small)
        outs.append(out + max(want - have, 0))
    return (*begins, *ends), tuple(outs)
