"""Quantisers of QONNX models: ``Quant``, ``BipolarQuant`` and ``Trunc`` of Brevitas and FINN.

They become integers and a dequantisation, so that quantised weights are stored as integers and
quantised activations stay integers. Meanings: the operator definitions in the QONNX repository,
https://github.com/fastmachinelearning/qonnx/tree/main/docs/qonnx-custom-ops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import Handler, handles
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Clip
from neutrams.ir.ops.elementwise import Add, Div, GreaterEqual, Mul, Where
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.tensors import Cast
from neutrams.ir.ops.unary import Abs, Ceil, Floor, Round, Sign
from neutrams.ir.types import Array, DType

DOMAINS = ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general")

Rounding = Callable[[Value, Builder], Value]

_ROUNDINGS: dict[str, Rounding] = {
    "ROUND": lambda x, build: build.add(Round(x)),
    "HALF_EVEN": lambda x, build: build.add(Round(x)),
    "CEIL": lambda x, build: build.add(Ceil(x)),
    "FLOOR": lambda x, build: build.add(Floor(x)),
    "UP": lambda x, build: _on_magnitude(x, Ceil, build),
    "DOWN": lambda x, build: _on_magnitude(x, Floor, build),
    "ROUND_TO_ZERO": lambda x, build: _on_magnitude(x, Floor, build),
}


@dataclass(frozen=True, slots=True)
class Grid:
    """The integers a quantiser makes, and what real number each stands for."""

    scale: Array
    """f32, a scalar, or one for each index of ``axis``."""
    zero: Array
    """Of type ``dtype``, shaped as ``scale``."""
    axis: int
    low: int
    high: int
    dtype: DType


def _handles(op_type: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for domain in DOMAINS:
            handles(op_type, domain=domain)(handler)
        return handler

    return register


@_handles("Quant")
def quant(node: Node, build: Builder) -> Value:
    """Quantise and dequantise with a width, scale and zero point."""
    return _quant(node, build)


def _quant(node: Node, build: Builder) -> Value:
    """``(clip(round(x / scale + zero), low, high) - zero) * scale``."""
    grid = _grid(node)
    mode = _mode(node, "ROUND")
    if mode in ("ROUND", "HALF_EVEN"):
        integers = _quantized(node[0], grid, build)
    else:
        integers = _stored(_ROUNDINGS[mode](_scaled(node[0], grid, build), build), grid, build)
    return _dequantized(integers, grid, build)


@_handles("IntQuant")
def int_quant(node: Node, build: Builder) -> Value:
    """The newer name of ``Quant``."""
    return _quant(node, build)


@_handles("BipolarQuant")
def bipolar_quant(node: Node, build: Builder) -> Value:
    """``+scale`` where ``x >= 0``, else ``-scale``."""
    scale, axis = _per_axis(node, node.const(1), node[0].type.rank)
    zero = np.zeros(scale.shape, np.int8)
    grid = Grid(scale, zero, axis, -1, 1, DType.I8)
    bound = build.constant(np.zeros((), node[0].type.dtype.numpy))
    above = build.add(GreaterEqual(node[0], bound))
    one, minus_one = (build.constant(np.array(v, np.int8)) for v in (1, -1))
    return _dequantized(build.add(Where(above, one, minus_one)), grid, build)


@_handles("Trunc")
def trunc(node: Node, build: Builder) -> Value:
    """Drop the lowest ``in - out`` bits of integers: ``(round(q / 2**bits) - zero) * scale``."""
    if node.version > 1:
        raise node.fault("NT0610", f"`Trunc` of version {node.version} is not supported")
    scale, axis = _per_axis(node, node.const(1), node[0].type.rank)
    bits = int(node.const(3).item()) - int(node.const(4).item())
    zero = _zero(node, node.const(2), scale, DType.I32)
    grid = Grid(scale, zero, axis, -(2**31), 2**31 - 1, DType.I32)
    whole = build.add(Round(_scaled(node[0], grid, build)))
    step = build.constant(np.array(2.0**bits, whole.type.dtype.numpy))
    kept = _ROUNDINGS[_mode(node, "FLOOR")](build.add(Div(whole, step)), build)
    return _dequantized(_stored(kept, grid, build), grid, build)


def _grid(node: Node) -> Grid:
    scale, axis = _per_axis(node, node.const(1), node[0].type.rank)
    widths = node.const(3)
    bits = float(widths.flat[0])
    if widths.size != 1 or not bits.is_integer() or not 1 <= bits <= 31:
        raise node.fault("NT0610", f"a width of {bits:g} bits is not supported")
    signed, narrow = bool(node.attr("signed", 1)), bool(node.attr("narrow", 0))
    low, high = _limits(int(bits), signed=signed, narrow=narrow)
    dtype = _dtype(low, high)
    return Grid(scale, _zero(node, node.const(2), scale, dtype), axis, low, high, dtype)


def _limits(bits: int, *, signed: bool, narrow: bool) -> tuple[int, int]:
    if signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def _dtype(low: int, high: int) -> DType:
    for dtype in (DType.I8, DType.U8, DType.I16, DType.U16):
        info = np.iinfo(dtype.numpy)
        if info.min <= low and high <= info.max:
            return dtype
    return DType.I32


def _per_axis(node: Node, scale: Array, rank: int) -> tuple[Array, int]:
    """Return the scale as a scalar or a vector along one axis of the quantised value."""
    if not np.isfinite(scale).all() or (scale <= 0).any():
        raise node.fault("NT0610", "a scale that is not positive is not supported")
    if scale.size == 1:
        return scale.reshape(()).astype(np.float32), 0
    axes = [i for i, size in enumerate(scale.shape) if size != 1]
    if len(axes) > 1:
        message = f"a scale of shape {list(scale.shape)} varies along more than one axis"
        raise node.fault("NT0610", message)
    return scale.ravel().astype(np.float32), rank - scale.ndim + axes[0]


def _zero(node: Node, zero: Array, scale: Array, dtype: DType) -> Array:
    info = np.iinfo(dtype.numpy)
    if (zero != np.rint(zero)).any() or (zero < info.min).any() or (zero > info.max).any():
        raise node.fault("NT0610", f"a zero point that is no {dtype.value} is not supported")
    if zero.size not in (1, scale.size):
        raise node.fault("NT0610", "zero point and scale have different shapes")
    return np.broadcast_to(zero.reshape(-1 if zero.size > 1 else ()), scale.shape).astype(
        dtype.numpy
    )


def _mode(node: Node, default: str) -> str:
    mode = str(node.attr("rounding_mode", default)).upper()
    if mode not in _ROUNDINGS:
        known = ", ".join(_ROUNDINGS)
        raise node.fault("NT0610", f"rounding mode `{mode}` is not supported; known: {known}")
    return mode


def _quantized(x: Value, grid: Grid, build: Builder) -> Value:
    scale, zero = build.constant(grid.scale), build.constant(grid.zero)
    return build.add(
        Quantize(x, scale, zero, axis=grid.axis, low=grid.low, high=grid.high, dtype=grid.dtype)
    )


def _dequantized(integers: Value, grid: Grid, build: Builder) -> Value:
    scale, zero = build.constant(grid.scale), build.constant(grid.zero)
    return build.add(Dequantize(integers, scale, zero, axis=grid.axis))


def _scaled(x: Value, grid: Grid, build: Builder) -> Value:
    """``x / scale + zero``, not rounded."""
    shape = [1] * x.type.rank
    if grid.scale.ndim:
        shape[grid.axis] = grid.scale.size
    number = x.type.dtype.numpy
    scale = build.constant(grid.scale.reshape(shape if grid.scale.ndim else ()).astype(number))
    zero = build.constant(grid.zero.reshape(shape if grid.zero.ndim else ()).astype(number))
    return build.add(Add(build.add(Div(x, scale)), zero))


def _stored(x: Value, grid: Grid, build: Builder) -> Value:
    """Hold whole numbers within the grid and store them as integers."""
    held = build.add(Clip(x, low=float(grid.low), high=float(grid.high)))
    return build.add(Cast(held, dtype=grid.dtype))


def _on_magnitude(x: Value, rounding: type[Ceil] | type[Floor], build: Builder) -> Value:
    magnitude = build.add(rounding(build.add(Abs(x))))
    return build.add(Mul(build.add(Sign(x)), magnitude))
