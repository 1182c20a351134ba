"""``lower-units``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neutrams.ir.functions import lacks
from neutrams.ir.graph import Graph, Level
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.quantization import Quantize as QuantizeOp
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.time import Next
from neutrams.ir.ops.unit import AveragePool
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.passes.affine import Affine, real, target_affine
from neutrams.passes.base import MOST_MOVED, Pass, PassContext
from neutrams.passes.fuse_clips import bounds
from neutrams.passes.grids import fewest
from neutrams.passes.lowering import crossbar, digital
from neutrams.passes.lowering.movement import hoist_quantize, sink_dequantize
from neutrams.passes.lowering.reasons import digital_reason, obstacle
from neutrams.passes.match import located, read_once


@dataclass(frozen=True)
class LowerUnits(Pass):
    """Turn quantised ops into units; what has no integer form stays float on the vector unit.

    Products by constant matrices go to crossbars. Sums, averages and element-wise functions of
    quantised tensors become integer work of the vector unit, moves are done on integers. Each
    remaining float op reads dequantised values. Every decision is remarked, with its reason.
    """

    name: ClassVar[str] = "lower-units"
    takes: ClassVar = ("nn",)
    gives: ClassVar[Level | None] = "unit"
    descends: ClassVar[bool] = True

    digits: bool = False
    """Let crossbars read and hold more bits than the target's do; `split-digits` has to follow."""

    def bound(self, target: Target | None) -> float:
        """What is rounded once more moves by a step."""
        return min(MOST_MOVED, 12.8 / fewest(target))

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        graph.level = "unit"
        while any(hoist_quantize(graph, op) for op in _quantizes(graph)):
            pass
        for op in list(graph.ops):
            sink_dequantize(graph, op)
        graph.prune()
        encoding = crossbar.Encoding.of(ctx.target)
        if self.digits:
            encoding = encoding.in_digits(ctx.target)
        for op in list(graph.ops):
            _lower_product(graph, op, encoding, ctx)
        graph.prune()
        for made in _quantizes(graph):
            _lower_quantize(graph, made, ctx)
        graph.prune()
        if self.digits:
            units = [op for op in graph.ops if isinstance(op, Mvm)]
            ctx.reads = max([ctx.reads, *(op.input_bits for op in units)])
            ctx.holds = max([ctx.holds, *(op.weight_bits for op in units)])
        for op in graph.ops:
            if reason := digital_reason(op):
                ctx.remark(op, reason, kind="digital")
        return True


def _quantizes(graph: Graph) -> list[QuantizeOp]:
    return [op for op in graph.ops if isinstance(op, QuantizeOp)]


def _lower_product(graph: Graph, op: Op, encoding: crossbar.Encoding, ctx: PassContext) -> None:
    """Replace a product and its bias by integer sums on crossbars, dequantised."""
    if not isinstance(op, Conv | ConvTranspose | Matmul) or not op.result.type.dtype.is_float:
        return
    blocked = obstacle(op)
    found = (
        blocked if isinstance(op, ConvTranspose) or blocked else crossbar.match(graph, op, encoding)
    )
    if isinstance(found, str):
        ctx.remark(op, f"stays float: {found}", kind="missed")
        return
    sums = crossbar.multiply(graph, found, encoding, found.last)
    neurons, inputs = found.weights.shape
    ctx.remark(op, f"on crossbars, as {neurons} neurons of {inputs} inputs", kind="crossbar")
    graph.replace(found.last, located(crossbar.dequantized(graph, found, sums), op))


def _lower_quantize(graph: Graph, op: QuantizeOp, ctx: PassContext) -> None:
    """Replace a quantise op, and all that makes its operand, by one unit where there is one."""
    to = target_affine(op)
    if to is None:
        return
    ctx.grids[op.result.name] = (to.scale, to.zero)
    if (source := real(op.x)) is not None and source.per_tensor and _same_map(source.affine, to):
        _take_over(graph, op.result, source.ints)
        return
    if _is_wide_state(op, to, ctx):
        return
    value, held = _activation(graph, op.x, to)
    sums = real(value)
    new = (
        (None if sums is None else crossbar.rescaled(graph, sums, held))
        or digital.added(value.op, held)
        or (digital.multiplied(graph, value.op, held, op) if _lacking(value.op, ctx) else None)
        or _possible(digital.averaged(graph, value.op, held, op), op, ctx)
        or digital.narrowed(graph, op)
        or digital.looked_up(graph, op)
        or digital.requantized(graph, op)
    )
    if new is not None:
        graph.replace(op, located(new, op))
        new.results[0].type = new.results[0].type.with_range(held.low, held.high)


def _lacking(op: Op | None, ctx: PassContext) -> bool:
    return op is not None and lacks(ctx.target, op)


def _possible(new: Op | None, op: QuantizeOp, ctx: PassContext) -> Op | None:
    """Return a unit that a pool became, if the target has the factors that it multiplies by."""
    pool = new.x.op if isinstance(new, Reshape) else new
    if not isinstance(pool, AveragePool) or ctx.target is None or not pool.violations(ctx.target):
        return new
    ctx.remark(
        op, "its average stays float: of a number of terms that is no power of 2", kind="missed"
    )
    return None


def _is_wide_state(op: QuantizeOp, to: Affine, ctx: PassContext) -> bool:
    """Whether integers go to a state that keeps more bits than a unit gives out."""
    kept = any(isinstance(user, Next) for user in op.result.users)
    bits = (to.high - to.low).bit_length()
    return kept and ctx.target is not None and bits > ctx.target.limits.output_bits


def _take_over(graph: Graph, old: Value, new: Value) -> None:
    """Read ``new`` for ``old``; a name that had to differ from that of ``old`` becomes it."""
    name = old.name
    graph.replace_value(old, new)
    if new.name.startswith(f"{name}_"):
        graph.rename(old, f"{name}.old")
        graph.rename(new, name)


def _activation(graph: Graph, value: Value, to: Affine) -> tuple[Value, Affine]:
    """Return the value before the activations that end in ``value``, and the map held to them."""
    while (found := bounds(value.op)) is not None and read_once(graph, value):
        value, low, high = found
        to = to.held_within(low, high)
    return value, to


def _same_map(a: Affine, b: Affine) -> bool:
    """Whether quantising what was dequantised gives back the very integers."""
    within = b.low <= a.low and a.high <= b.high
    return within and (a.scale, a.zero, a.dtype) == (b.scale, b.zero, b.dtype)
