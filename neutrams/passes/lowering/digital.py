"""Integer work of a tile's vector unit: sums, averages and look-up tables."""

from __future__ import annotations

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops import unit
from neutrams.ir.ops.elementwise import Add, Mul, Sub
from neutrams.ir.ops.pooling import AveragePool
from neutrams.ir.ops.quantization import Quantize
from neutrams.ir.ops.reductions import ReduceMean
from neutrams.ir.ops.tensors import Concat, Reshape
from neutrams.ir.types import Array
from neutrams.passes.affine import Affine, Real, insert, integer_range, real, target_affine
from neutrams.passes.cones import cone
from neutrams.passes.match import located
from neutrams.passes.pooled import pools_all

TABLE_LIMIT = 4096
"""Most entries of a look-up table."""


def added(op: Op | None, to: Affine) -> Op | None:
    """Return a sum or difference of two quantised tensors as one unit."""
    if not isinstance(op, Add | Sub):
        return None
    a, b = real(op.a), real(op.b)
    if a is None or b is None or not (a.per_tensor and b.per_tensor):
        return None
    sign = -1.0 if isinstance(op, Sub) else 1.0
    return unit.Add(
        a.ints,
        b.ints,
        a_scale=_ratio(a, to),
        b_scale=sign * _ratio(b, to),
        a_zero=a.affine.zero,
        b_zero=b.affine.zero,
        zero=to.zero,
        low=to.low,
        high=to.high,
        dtype=to.dtype,
    )


def multiplied(graph: Graph, op: Op | None, to: Affine, before: Op) -> Op | None:
    """Return a product of two quantised tensors by squares: ``a·b = ((a + b)² - (a - b)²) / 4``.

    With ``|a|`` and ``|b|`` brought to 1 at most by their ranges; tables square. For chips that
    multiply no two activations.
    """
    if not isinstance(op, Mul) or op.a is op.b:
        return None
    a, b = real(op.a), real(op.b)
    if a is None or b is None or not (a.per_tensor and b.per_tensor):
        return None
    most = [max(abs(end - x.affine.zero) for end in integer_range(x.ints)) for x in (a, b)]
    size = float(a.affine.scale * b.affine.scale * most[0] * most[1])
    codes = integer_range(a.ints)
    sums, square = Affine.onto(-2.0, 2.0, codes=codes), Affine.onto(0.0, 1.0, codes=codes)
    name, parts = op.result.name, list[Value]()
    for sign, word in ((1.0, "sum"), (-1.0, "difference")):
        added = unit.Add(
            a.ints,
            b.ints,
            a_scale=1 / most[0] / sums.scale,
            b_scale=sign / most[1] / sums.scale,
            a_zero=a.affine.zero,
            b_zero=b.affine.zero,
            zero=sums.zero,
            low=sums.low,
            high=sums.high,
            dtype=sums.dtype,
        )
        value = insert(graph, added, like=before, name=f"{name}.{word}", held=sums)
        numbers = (np.arange(sums.low, sums.high + 1) - sums.zero) * sums.scale
        held = graph.weight(f"{name}.{word}.table", _rounded(numbers**2 / 4, square))
        squared = unit.Lut(value, held, low=sums.low)
        parts.append(insert(graph, squared, like=before, name=f"{name}.{word}.square", held=square))
    ratio = float(np.float32(square.scale * size / to.scale))
    return unit.Add(
        parts[0],
        parts[1],
        a_scale=ratio,
        b_scale=-ratio,
        a_zero=square.zero,
        b_zero=square.zero,
        zero=to.zero,
        low=to.low,
        high=to.high,
        dtype=to.dtype,
    )


def averaged(graph: Graph, op: Op | None, to: Affine, before: Op) -> Op | None:
    """Return an average over windows, or over all places, of a quantised image as a unit."""
    if not isinstance(op, AveragePool | ReduceMean):
        return None
    x = real(op.x)
    if x is None or not x.per_tensor:
        return None
    if isinstance(op, AveragePool):
        return _pool(x, to, op)
    if not pools_all(op):
        return None
    pooled = _whole(x, to)
    if op.keepdims:
        return pooled
    value = insert(graph, pooled, like=before, name=f"{op.result.name}.pooled", held=to)
    return Reshape(value, shape=op.result.type.shape)


def _pool(x: Real, to: Affine, op: AveragePool) -> Op:
    return unit.AveragePool(
        x.ints,
        kernel=op.kernel,
        strides=op.strides,
        pads=op.pads,
        dilations=op.dilations,
        ceil_mode=op.ceil_mode,
        count_include_pad=op.count_include_pad,
        input_zero=x.affine.zero,
        scale=_ratio(x, to),
        zero=to.zero,
        low=to.low,
        high=to.high,
        dtype=to.dtype,
    )


def _whole(x: Real, to: Affine) -> Op:
    kernel = tuple(dim for dim in x.ints.type.shape[2:] if isinstance(dim, int))
    return unit.AveragePool(
        x.ints,
        kernel=kernel,
        input_zero=x.affine.zero,
        scale=_ratio(x, to),
        zero=to.zero,
        low=to.low,
        high=to.high,
        dtype=to.dtype,
    )


def narrowed(graph: Graph, op: Quantize) -> Op | None:
    """Return a quantised tensor whose integer 0 is a real 0, rounded once more."""
    to, x = target_affine(op), real(op.x)
    if to is None or x is None or not x.per_tensor or x.affine.zero:
        return None
    scale = graph.weight(f"{op.result.name}.rescale", np.array(_ratio(x, to), np.float32))
    return unit.Rescale(x.ints, scale, zero=to.zero, low=to.low, high=to.high, dtype=to.dtype)


def looked_up(graph: Graph, op: Quantize) -> Op | None:
    """Return an element-wise function of one quantised tensor as a table of all its results."""
    to = target_affine(op)
    source = real(op.x)
    function = None if source is not None else cone(op.x, lambda value: real(value) is not None)
    if function is not None:
        source = real(function.source)
    if to is None or source is None or not source.per_tensor:
        return None
    low, high = integer_range(source.ints)
    if high - low >= TABLE_LIMIT:
        return None
    ints = np.arange(low, high + 1)
    numbers = ((ints - source.zero.item()).astype(np.float32) * source.scale.item()).astype(
        np.float32
    )
    results = numbers if function is None else function.evaluate(numbers)
    table = graph.weight(f"{op.result.name}.table", _rounded(results, to))
    return unit.Lut(source.ints, table, low=low)


def requantized(graph: Graph, op: Quantize) -> Op | None:
    """Return joined tensors of different maps as a join of tensors looked up in the target's."""
    to, parts = target_affine(op), op.x.op
    if to is None or not isinstance(parts, Concat):
        return None
    if not all(s is not None and s.per_tensor for s in map(real, parts.parts)):
        return None
    moved: list[Value] = []
    for part in parts.parts:
        each = Quantize(part, op.scale, op.zero, low=op.low, high=op.high, dtype=op.dtype)
        value = insert(graph, each, like=op, name=f"{part.name}.q", held=to)
        table = looked_up(graph, each)
        if table is not None:
            graph.replace(each, located(table, op))
            value = table.results[0]
        moved.append(value)
    return Concat(tuple(moved), axis=parts.axis)


def _rounded(numbers: Array, to: Affine) -> Array:
    steps = np.rint(numbers.astype(np.float32) / np.float32(to.scale)) + to.zero
    held: Array = np.clip(np.nan_to_num(steps), to.low, to.high).astype(to.dtype.numpy)
    return held


def _ratio(x: Real, to: Affine) -> float:
    return float(np.float32(float(x.scale.reshape(-1)[0]) / to.scale))
