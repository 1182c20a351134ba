"""Convolutions, transposed ones and those of integers with zero points."""

from __future__ import annotations

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.geometry import geometry, halves, numbers, whole
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.elementwise import Sub
from neutrams.ir.ops.tensors import Cast, Reshape
from neutrams.ir.types import DType


@handles("Conv")
def conv(node: Node, build: Builder) -> Value:
    return convolve(node, node[0], node[1], node.get(2), build)


@handles("ConvInteger")
def conv_integer(node: Node, build: Builder) -> Value:
    """Zero points are taken off first, so pads stand for the zero point of ``x``."""
    x = shifted(node[0], node.get(2), build)
    zero = node.get(3)
    if zero is not None and zero.type.rank == 1 and zero.type.elements != 1:
        rank = node[1].type.rank
        zero = build.add(Reshape(zero, shape=(*zero.type.shape, *(1,) * (rank - 1))))
    return convolve(node, x, shifted(node[1], zero, build), None, build)


def convolve(node: Node, x: Value, w: Value, b: Value | None, build: Builder) -> Value:
    """Add the convolution whose attributes a node holds."""
    kernel = kernel_of(node, x, w)
    shape = geometry(node, x.type.shape[2:], kernel)
    return build.add(
        Conv(
            x,
            w,
            b,
            strides=shape.strides,
            pads=shape.pads,
            dilations=shape.dilations,
            groups=_groups(node),
        )
    )


@handles("ConvTranspose")
def conv_transpose(node: Node, build: Builder) -> Value:
    x, w = node[0], node[1]
    kernel = kernel_of(node, x, w)
    rank = len(kernel)
    strides = numbers(node, "strides", rank, default=1)
    dilations = numbers(node, "dilations", rank, default=1)
    extra = numbers(node, "output_padding", rank, default=0, low=0)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    return build.add(
        ConvTranspose(
            x,
            w,
            node.get(2),
            strides=strides,
            pads=_transposed_pads(node, x, strides=strides, spans=spans, extra=extra),
            dilations=dilations,
            output_pads=extra,
            groups=_groups(node),
        )
    )


def kernel_of(node: Node, x: Value, w: Value) -> tuple[int, ...]:
    """Return the spatial sizes of filters.

    Raises:
        NeutramsError: NT0610, fewer than one spatial dimension; NT0611, ``kernel_shape`` or the
            rank of ``x`` contradicts the filters; NT0102, a size is a symbol.
    """
    if x.type.rank < 3 or w.type.rank != x.type.rank:
        raise node.fault("NT0610", f"filters `{w.type}` do not slide over `{x.type}`")
    kernel = tuple(whole(node, size) for size in w.type.shape[2:])
    stated = tuple(node.attr("kernel_shape", kernel))
    if stated != kernel:
        raise node.fault("NT0611", f"`kernel_shape` is {list(stated)}, the filters' {list(kernel)}")
    return kernel


def shifted(x: Value, zero: Value | None, build: Builder) -> Value:
    """Return integers less their zero point, as i32."""
    wide = build.add(Cast(x, dtype=DType.I32))
    if zero is None:
        return wide
    known = build.const_of(zero)
    if known is not None and not np.any(known):
        return wide
    return build.add(Sub(wide, build.add(Cast(zero, dtype=DType.I32))))


def _groups(node: Node) -> int:
    groups = int(node.attr("group", 1))
    if groups < 1:
        raise node.fault("NT0610", f"`group` = {groups} is not positive")
    return groups


def _transposed_pads(
    node: Node, x: Value, *, strides: tuple[int, ...], spans: list[int], extra: tuple[int, ...]
) -> tuple[int, ...]:
    """Return what is cut off the result; ``output_shape`` and ``auto_pad`` ask for a size."""
    rank = len(spans)
    mode = node.attr("auto_pad", "NOTSET") or "NOTSET"
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise node.fault("NT0610", f"`auto_pad` = `{mode}` is not supported")
    wanted = tuple(node.attr("output_shape", ()))[-rank:]
    if not wanted and mode in ("NOTSET", "VALID"):
        given = mode == "NOTSET"
        return numbers(node, "pads", 2 * rank, default=0, low=0) if given else (0,) * (2 * rank)
    sizes = [whole(node, size) for size in x.type.shape[2:]]
    if not wanted:
        wanted = tuple(size * step for size, step in zip(sizes, strides, strict=True))
    full = [
        (size - 1) * step + span + more
        for size, step, span, more in zip(sizes, strides, spans, extra, strict=True)
    ]
    totals = [have - want for have, want in zip(full, wanted, strict=True)]
    if len(wanted) != rank or min(totals) < 0:
        raise node.fault("NT0610", f"an output of sizes {list(wanted)} is not supported")
    return halves(totals, upper=mode != "SAME_LOWER")
