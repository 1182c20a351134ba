"""``split-digits``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neutrams.ir.blocks import row_splits
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.digits import Digits, Join
from neutrams.ir.ops.tensors import Pad
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.ir.windows import filled
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.counterparts import carry
from neutrams.passes.digits import WeightDigits
from neutrams.passes.match import constant, located

Made = dict[tuple[Value, tuple[int, ...], int, int, int], Value]
"""Digits of a value: by its pads and what they hold, its offset and its axis."""


@dataclass(frozen=True)
class SplitDigits(Pass):
    """Take numbers apart that are wider than what crossbars read or hold, into digits.

    Inputs: ``Σ x·w = Σ_d 2^(bits·d) Σ digit_d(x)·w``, digits in rows of their own, over the same
    weights. Weights: likewise, digits in neurons of their own, over the same inputs. Sums are
    shifted and added digitally. Exact, but for what lossy converters make of other weights. This is
    data re-encoding (NEUTRAMS, ASPLOS 2018): precision is bought with crossbars. What is to be
    finer is chosen by `quantize{digits=}` and by bits of layers.
    """

    name: ClassVar[str] = "split-digits"
    takes: ClassVar = ("unit",)
    obeys_limits: ClassVar[bool] = True
    rms_bound: ClassVar[float] = 0.05

    bits: int = 0
    """Of a digit of inputs; 0 for those that the target's rows are driven with."""
    weight_bits: int = 0
    """Of a digit of weights; 0 for those of the target, without one for any."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        bits = self.bits or ctx.need_target().limits.input_bits
        ctx.reads = ctx.holds = 0
        changed = False
        for each in (*graph.cells(), graph):
            made: Made = {}
            for op in [op for op in each.ops if isinstance(op, Mvm)]:
                before, count = len(op.table()), 1
                held = self._weights(op, ctx)
                if not (held or op.input_bits > bits) or not _summed(each, op, ctx):
                    continue
                new = op if held is None else _split_weights(each, op, *held, ctx.target)
                if op.input_bits > bits:
                    count = -(-op.input_bits // bits)
                    new = _split_inputs(each, new, count, bits, made)
                carry(ctx.counterparts, op.w, new.w)
                _tell(op, new, count, held[1] if held else 1, before, ctx)
                changed = True
            if changed:
                each.prune()
        return changed

    def _weights(self, op: Mvm, ctx: PassContext) -> tuple[WeightDigits, int] | None:
        """Return how the weights of a product are taken apart, and into how many; if they are."""
        bits = self.weight_bits or (ctx.target.limits.weight_bits if ctx.target else 0)
        w = constant(op.w)
        if not bits or w is None or op.weight_bits <= bits:
            return None
        kind = WeightDigits.of(bits, coding=op.coding)
        return kind, kind.needed(int(np.abs(w.astype(np.int64)).max(initial=0)))


def _summed(graph: Graph, op: Mvm, ctx: PassContext) -> bool:
    """Say whether nothing but sums reads the partial sums of a product."""
    alone = not any(op.result is out for out in graph.outputs)
    if alone and all(isinstance(user, Reduce) for user in op.result.users):
        return True
    ctx.remark(op, "not in digits: more than a sum reads its partial sums", kind="missed")
    return False


def _tell(op: Mvm, new: Mvm, inputs: int, weights: int, before: int, ctx: PassContext) -> None:
    parts = [f"inputs of {op.input_bits} bits in {inputs} digits"] if inputs > 1 else []
    parts += [f"weights of {op.weight_bits} bits in {weights} digits"] if weights > 1 else []
    blocks = f"{before} to {len(new.table())} blocks of crossbars"
    ctx.remark(new, f"{' and '.join(parts) or 'narrow weights'}: {blocks}")


def _split_weights(
    graph: Graph, op: Mvm, kind: WeightDigits, count: int, target: Target | None
) -> Mvm:
    """Hold each digit of the weights in neurons of its own, next to each other in each group."""
    held = constant(op.w)
    assert held is not None, "checked before"
    parts = [part.reshape(op.groups, -1, op.fan_in) for part in kind.split(held, count)]
    apart = np.stack(parts, axis=1).reshape(-1, op.fan_in)
    w = graph.weight(f"{op.w.name}.digits", apart.astype(np.int8 if kind.bits <= 8 else np.int16))
    neurons, each = op.neurons * count, len(held) // op.groups * count
    if target is not None and neurons > (most := target.neurons_at(kind.bits)):
        neurons = -(-each // row_splits(each, most))
    new = replace(op, w=w, neurons=neurons, weight_bits=kind.bits)
    return _joined(graph, op, new, count, kind.shift, op.groups)


def _split_inputs(graph: Graph, op: Mvm, count: int, bits: int, made: Made) -> Mvm:
    """Read each digit of the input in groups of rows of its own."""
    x, pads = _digits(graph, op, count, bits, made)
    held = constant(op.w)
    assert held is not None, "units hold numbers"
    w = graph.weight(f"{op.w.name}.digits", np.tile(held, (count, 1)))
    w.type = w.type if op.w.type.range is None else w.type.with_range(*op.w.type.range)
    new = replace(
        op,
        x=x,
        w=w,
        groups=op.groups * count,
        pads=pads,
        pad_value=0,
        input_offset=0,
        input_bits=bits,
    )
    return _joined(graph, op, new, count, bits, 1)


def _joined(graph: Graph, op: Mvm, new: Mvm, count: int, bits: int, groups: int) -> Mvm:
    """Put a product of digits in a product's place; its sums are shifted and added."""
    partials = graph.add(located(new, op), before=op, name=f"{op.result.name}.digits")
    partials.origin = op.result.origin
    for reduce in [user for user in op.result.users if isinstance(user, Reduce)]:
        name, bias = reduce.result.name, constant(reduce.bias)
        total: Weight | None = None
        if bias is not None:
            total = graph.weight(f"{name}.bias.digits", _last(bias, count, groups))
        added = located(replace(reduce, partials=partials, bias=total), reduce)
        sums = graph.add(added, before=reduce, name=f"{name}.digits")
        kind = {"axis": reduce.axis, "dtype": reduce.result.type.dtype}
        join = Join(sums, count=count, bits=bits, groups=groups, **kind)  # type: ignore[arg-type]
        graph.replace(reduce, located(join, reduce))
    graph.erase(op)
    return new


def _digits(
    graph: Graph, op: Mvm, count: int, bits: int, made: Made
) -> tuple[Value, tuple[int, ...]]:
    """Return the digits of a product's input, and the pads that are still to be put around it.

    Pads hold 0 in every digit, or the number's digits are taken with its pads around it.
    """
    whole = any(op.pads) and op.pad_value + op.input_offset != 0
    around = op.pads if whole else ()
    axis = 1 if op.kernel else op.x.type.rank - 1
    key = (op.x, around, op.pad_value if whole else 0, op.input_offset, axis)
    if key not in made:
        source = _padded(graph, op) if whole else op.x
        taken = Digits(source, count=count, bits=bits, offset=op.input_offset, axis=axis)
        found = graph.add(located(taken, op), before=op, name=f"{op.x.name}.digits")
        found.type = found.type.with_range(0, 2**bits - 1)
        made[key] = found
    return made[key], () if whole else op.pads


def _padded(graph: Graph, op: Mvm) -> Value:
    """Put what a product reads beyond its input around it."""
    rank = len(op.kernel)
    _, pads, _ = filled(rank, op.strides, op.pads, op.dilations)
    filler = graph.weight("pad", np.array(op.pad_value, op.x.type.dtype.numpy))
    each = (0, 0, *pads[:rank], 0, 0, *pads[rank:])
    pad = located(Pad(op.x, value=filler, pads=each), op)
    found = graph.add(pad, before=op, name=f"{op.x.name}.padded")
    if op.x.type.range is not None:
        low, high = op.x.type.range
        found.type = found.type.with_range(min(low, op.pad_value), max(high, op.pad_value))
    return found


def _last(bias: Array, count: int, groups: int) -> Array:
    """Return biases of the sums of all digits: those of the lowest have them."""
    spread = np.zeros((groups, count, len(bias) // groups), bias.dtype)
    spread[:, -1] = bias.reshape(groups, -1)
    return spread.reshape(-1)
