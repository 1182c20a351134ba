"""Strides, pads and dilations of windows, as convolutions and pools of ONNX state them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from neutrams.frontends.onnx.node import Node
from neutrams.ir.types import Dim


@dataclass(frozen=True, slots=True)
class Geometry:
    """One number for each spatial dimension; ``pads`` holds all begins, then all ends."""

    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]


def geometry(node: Node, sizes: Sequence[Dim], kernel: Sequence[int]) -> Geometry:
    """Return the geometry of windows over ``sizes``, automatic pads written out.

    Raises:
        NeutramsError: NT0611, an attribute does not fit the number of dimensions; NT0610, a
            negative pad or an unknown ``auto_pad``; NT0102, automatic pads depend on a symbol.
    """
    rank = len(kernel)
    strides = numbers(node, "strides", rank, default=1)
    dilations = numbers(node, "dilations", rank, default=1)
    mode = node.attr("auto_pad", "NOTSET") or "NOTSET"
    match mode:
        case "NOTSET":
            pads = numbers(node, "pads", 2 * rank, default=0, low=0)
        case "VALID":
            pads = (0,) * (2 * rank)
        case "SAME_UPPER" | "SAME_LOWER":
            totals = [
                _missing(whole(node, size), k, s, d)
                for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
            ]
            pads = halves(totals, upper=mode == "SAME_UPPER")
        case _:
            raise node.fault("NT0610", f"`auto_pad` = `{mode}` is not supported")
    return Geometry(strides, pads, dilations)


def numbers(node: Node, name: str, count: int, *, default: int, low: int = 1) -> tuple[int, ...]:
    """Return a list attribute of ``count`` integers that are at least ``low``.

    Raises:
        NeutramsError: NT0611, it has another length; NT0610, a number is too small.
    """
    found = tuple(node.attr(name, ())) or (default,) * count
    if len(found) != count:
        raise node.fault("NT0611", f"`{name}` needs {count} numbers, but has {len(found)}")
    if any(number < low for number in found):
        raise node.fault("NT0610", f"`{name}` = {list(found)} holds numbers below {low}")
    return found


def halves(totals: Sequence[int], *, upper: bool) -> tuple[int, ...]:
    """Split pads in two; an odd one is larger at the end (``upper``) or at the begin."""
    small = tuple(total // 2 for total in totals)
    large = tuple(total - half for total, half in zip(totals, small, strict=True))
    return small + large if upper else large + small


def whole(node: Node, size: Dim) -> int:
    """Return a size as a number.

    Raises:
        NeutramsError: NT0102, it is a symbol.
    """
    if isinstance(size, int):
        return size
    raise node.fault("NT0102", f"`{node.op_type}` needs a size in numbers, but it is `{size}`")


def _missing(size: int, kernel: int, stride: int, dilation: int) -> int:
    """Return the pads for which there are ``ceil(size / stride)`` windows."""
    count = -(-size // stride)
    return max((count - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
