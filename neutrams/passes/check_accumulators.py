"""``check-accumulators``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op
from neutrams.ir.ops.digits import Join
from neutrams.ir.ops.unit import AveragePool, Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.intervals import Interval, Intervals, bias_of, joined

EXACT = 2**24
"""Integers up to this magnitude are exact in float32, in which sums are rescaled."""


@dataclass(frozen=True)
class CheckAccumulators(Pass):
    """Prove by interval arithmetic that no integer sum overflows the chip's accumulators.

    Each neuron's sum is bounded with its own weights and with what its own inputs can be, however
    the converters round, and in whatever order partial sums and the bias are added. Bounds follow
    from how values are made, not from calibration data; states of recurrent layers are bounded to a
    fixed point. The tight bounds are remarked.
    """

    name: ClassVar[str] = "check-accumulators"
    takes: ClassVar = ("unit",)

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        bits = ctx.need_target().limits.accumulator_bits
        known = Intervals(graph)
        faults = []
        for op in (op for each in (graph, *graph.cells()) for op in each.ops):
            most = _largest(op, known)
            if most is None:
                continue
            width = min(bits, op.result.type.dtype.bits if isinstance(op, Reduce | Join) else bits)
            if most >= 2 ** (width - 1):
                faults.append(_overflow(op, most, width))
            elif isinstance(op, Reduce | Join):
                _tell(op, most, known, ctx, bits)
        if ctx.need_target().limits.rescale == "power-of-two":
            faults += [fault for op in _sums(graph) for fault in _inexact(op, known)]
        if faults:
            raise NeutramsError(*faults)
        return False


def _sums(graph: Graph) -> Iterator[Reduce | Join]:
    for each in (graph, *graph.cells()):
        yield from (op for op in each.ops if isinstance(op, Reduce | Join))


def _inexact(op: Reduce | Join, known: Intervals) -> list[Diagnostic]:
    """Return the fault of sums that a chip which shifts would round otherwise than float32."""
    low, high = known.of[op.result].whole
    if max(-low, high) <= EXACT:
        return []
    fault = error("NT0243", f"the sums of `{op.name}` are too large to be shifted exactly")
    fault = fault.at(op.where, f"reach {max(-low, high):,}")
    return [
        fault.note(f"they are rescaled in float32, which is exact up to {EXACT:,}").help(
            "use fewer weight or input bits"
        )
    ]


def _largest(op: Op, known: Intervals) -> int | None:
    """Return the largest magnitude on the way to a sum of any order; ``None`` of other ops."""
    match op:
        case Reduce(partials=partials) if isinstance(partials.op, Mvm):
            sums, bias = known.sums[partials.op], bias_of(op)
            up = np.maximum(sums.high, 0).sum(axis=0) + np.maximum(bias, 0)
            down = np.minimum(sums.low, 0).sum(axis=0) + np.minimum(bias, 0)
            return int(max(up.max(initial=0), -down.min(initial=0)))
        case Join():
            x = known.of[op.x]
            ends = Interval(np.minimum(x.low, 0), np.maximum(x.high, 0), x.axis)
            low, high = joined(op, ends).whole
            return max(-low, high)
        case AveragePool(x=x) if not x.type.dtype.is_float and x in known.of:
            low, high = known.of[x].whole
            return prod(op.kernel) * max(abs(low - op.input_zero), abs(high - op.input_zero))
    return None


def _tell(op: Reduce | Join, most: int, known: Intervals, ctx: PassContext, bits: int) -> None:
    low, high = known.of[op.result].whole
    text = f"sums lie in [{low:,}, {high:,}], within {most.bit_length() + 1} of {bits} bits"
    product = op.operands[0].op if isinstance(op, Reduce) and op.operands[0] is not None else None
    if isinstance(product, Mvm) and not known.sums[product].exact:
        text += ", whatever the converters lose"
    if max(-low, high) > EXACT:
        text += "; those beyond 2^24 are rounded to float32 before they are rescaled"
    ctx.remark(op, text)


def _overflow(op: Op, largest: int, bits: int) -> Diagnostic:
    maker = op.operands[0].op if isinstance(op, Reduce) and op.operands[0] is not None else op
    assert maker is not None
    inputs = f" with {maker.fan_in} inputs" if isinstance(maker, Mvm) else ""
    return (
        error("NT0210", f"the sums of `{maker.name}` do not fit {bits}-bit accumulators")
        .at(maker.where or op.where, f"reaches {largest:,}{inputs}")
        .note(f"{bits} bits hold up to {2 ** (bits - 1) - 1:,}")
        .help("use fewer weight or input bits, or a wider `limits.accumulator_bits`")
    )
