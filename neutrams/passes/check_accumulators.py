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
    """Prove by interval arithmetic that no sum of products overflows the chip's accumulators.

    Sums are bounded with the actual weights and the known ranges of inputs. Converters that lose
    something could exceed that bound, up to what full columns give; where the accumulators do not
    hold that, a remark says so.
    """

    name: ClassVar[str] = "check-accumulators"
    takes: ClassVar = ("unit",)
    descends: ClassVar[bool] = True

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        bits = ctx.need_target().limits.accumulator_bits
        faults = []
        for op in graph.ops:
            if isinstance(op, Reduce) and isinstance(op.partials.op, Mvm):
                mvm, top = op.partials.op, 2 ** (bits - 1)
                if (largest := largest_sum(mvm, op)) >= top:
                    faults.append(_overflow(mvm, largest, bits))
                elif mvm.adc_bits and full_columns(mvm) >= top:
                    ctx.remark(mvm, "proved for exact conversions only", kind="missed")
        if faults:
            raise NeutramsError(*faults)
        return False


def largest_sum(op: Mvm, reduce: Reduce) -> int:
    """Return a bound on the magnitude of each exact partial sum and of their sum with the bias."""
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


def full_columns(op: Mvm) -> int:
    """Return a bound on what conversions of full columns add up to, whatever they lose.

    No slice of a neuron gives more than its rows at the highest level, nor the unit column more
    than its rows; see :mod:`neutrams.ir.crossbar`.
    """
    code = op.encoding
    cells = 2 ** (code.slices * code.cell_bits) - 1 + code.bias
    return int(op.fan_in * (2 ** (code.phases * code.dac_bits) - 1) * cells)


def _overflow(op: Mvm, largest: int, bits: int) -> Diagnostic:
    return (
        error("NT0210", f"the sums of `{op.name}` do not fit {bits}-bit accumulators")
        .at(op.where, f"reaches {largest:,} with {op.fan_in} inputs")
        .note(f"{bits} bits hold up to {2 ** (bits - 1) - 1:,}")
        .help("use fewer weight or input bits, or a wider `limits.accumulator_bits`")
    )
