"""``spell-sums``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neutrams.ir.functions import has
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.tensors import Concat, Expand, Reshape
from neutrams.ir.ops.unit import Add, Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.ranges import proved_range
from neutrams.ir.target import Target
from neutrams.passes.affine import narrowest
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.lowering.crossbar import Encoding
from neutrams.passes.match import located


@dataclass(frozen=True)
class SpellSums(Pass):
    """Spell sums of two tensors, of maps of their own, as products of both side by side.

    The two scales become two weights, so that the smaller is rounded; a remark states by how much
    a result may be off. Done only where the chip has no `add`.
    """

    name: ClassVar[str] = "spell-sums"
    takes: ClassVar = ("unit",)
    descends: ClassVar[bool] = True
    rms_bound: ClassVar[float] = 0.5

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if ctx.target is None or has(ctx.target, "add"):
            return False
        sums = [op for op in graph.ops if isinstance(op, Add)]
        changed = [_spell(graph, op, ctx.target, ctx) for op in sums]
        return any(changed)


def _spell(graph: Graph, op: Add, target: Target, ctx: PassContext) -> bool:
    ranges = [proved_range(op.a), proved_range(op.b)]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    offset, most = -min(low, 0), min(target.chosen_weights[1], -target.chosen_weights[0])
    bits = max(1, (high + offset).bit_length())
    if op.a.type.dtype is not op.b.type.dtype or bits > target.limits.input_bits or most < 1:
        ctx.remark(op, "stays: no unit reads both of its operands", kind="missed")
        return False
    scales, zeros = np.array([op.a_scale, op.b_scale]), np.array([op.a_zero, op.b_zero])
    step = np.float32(np.abs(scales).max() / most)
    weights = np.rint(scales / step).astype(np.int64)
    reach = [max(abs(end - zero) for end in r) for r, zero in zip(ranges, zeros, strict=True)]
    error = float((np.abs(weights * step - scales) * reach).sum())
    name, shape = op.result.name, op.result.type.shape

    def put(new: Op, word: str) -> Value:
        return graph.add(located(new, op), before=op, name=f"{name}.{word}")

    wide = [
        v if v.type.shape == shape else put(Expand(v, shape=shape), "wide") for v in (op.a, op.b)
    ]
    apart = tuple(put(Reshape(v, shape=(*shape, 1)), "each") for v in wide)
    both = put(Concat(apart, axis=len(shape)), "both")
    both.type = both.type.with_range(low, high)
    kind = narrowest(-1, int(np.abs(weights).max())).numpy
    w = graph.weight(f"{name}.weights", weights[None].astype(kind))
    bias = -int((zeros * weights).sum()) - offset * int(weights.sum())
    ctx.counterparts[w] = "add two tensors"
    b = graph.weight(f"{name}.bias", np.array([bias], np.int32))
    scale = graph.weight(f"{name}.scale", np.array(step, np.float32))
    widest = max(2, int(np.abs(weights).max()).bit_length() + 1)
    product = Mvm(
        both,
        w,
        input_offset=offset,
        input_bits=bits,
        weight_bits=min(widest, target.limits.weight_bits),
        **Encoding.of(target).crossbar,
    )
    sums = put(Reduce(put(product, "mvm"), b), "sum")
    last = Rescale(sums, scale, zero=op.zero, low=op.low, high=op.high, dtype=op.dtype)
    total = put(last, "total")
    total.type = total.type.with_range(op.low, op.high)
    graph.replace(op, located(Reshape(total, shape=shape), op))
    ctx.remark(op, f"one unit of both side by side, off by {error:.2g} steps at most")
    return True
