"""``check-accumulators``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.affine import integer_range
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import constant


@dataclass(frozen=True)
class CheckAccumulators(Pass):
    """Prove by interval arithmetic that no sum of products overflows the chip's accumulators."""

    name: ClassVar[str] = "check-accumulators"
    takes: ClassVar = ("unit",)

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        bits = ctx.need_target().limits.accumulator_bits
        faults = []
        for op in graph.ops:
            if isinstance(op, Reduce) and isinstance(op.partials.op, Mvm):
                largest = largest_sum(op.partials.op, op)
                if largest >= 2 ** (bits - 1):
                    faults.append(_overflow(op.partials.op, largest, bits))
        if faults:
            raise NeutramsError(*faults)
        return False


def largest_sum(op: Mvm, reduce: Reduce) -> int:
    """Return a bound on the magnitude of each partial sum and of their sum with the bias.

    Inputs lie within the known range of ``x``. Converters that clip or scale only shrink or
    round a column's sum; what they may add is at most a step for each column and phase.
    """
    w = constant(op.w)
    assert w is not None, "weights are known once lowered"
    low, high = integer_range(op.x)
    least, most = low + op.input_offset, high + op.input_offset
    wide = w.astype(np.int64)
    up = np.maximum(wide * most, wide * least)
    down = np.minimum(wide * most, wide * least)
    bias = constant(reduce.bias)
    shift = np.zeros(len(w), np.int64) if bias is None else bias.astype(np.int64)
    ends = [up.sum(axis=1) + shift, down.sum(axis=1) + shift, up.sum(axis=1), down.sum(axis=1)]
    return max(int(np.abs(end).max(initial=0)) for end in ends)


def _overflow(op: Mvm, largest: int, bits: int) -> Diagnostic:
    return (
        error("NT0210", f"the sums of `{op.name}` do not fit {bits}-bit accumulators")
        .at(op.where, f"reaches {largest:,} with {op.fan_in} inputs")
        .note(f"{bits} bits hold up to {2 ** (bits - 1) - 1:,}")
        .help("use fewer weight or input bits, or a wider `limits.accumulator_bits`")
    )
