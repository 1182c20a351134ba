"""``spell-tables``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neutrams.ir.functions import has
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit import Lut, Reduce, Rescale, saturation
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.ranges import proved_range
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes.affine import narrowest
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.lowering.crossbar import Encoding
from neutrams.passes.match import constant, located
from neutrams.passes.piecewise import Ramps, fit


@dataclass(frozen=True)
class SpellTables(Pass):
    """Spell look-up tables in what a chip has: shorter tables, or two units of ramps.

    A chip with tables of fewer entries looks up its inputs in coarser steps. One without tables
    gets a small network of one hidden layer: neurons that saturate make ramps, and a neuron
    behind them adds these up to a curve of straight lines. Either is compared with the whole
    table, and a remark states the largest error. Nothing is done where tables fit.
    """

    name: ClassVar[str] = "spell-tables"
    takes: ClassVar = ("unit",)
    descends: ClassVar[bool] = True
    rms_bound: ClassVar[float] = 1.0

    ramps: int = 64
    """Most ramps of one function, within what one crossbar makes and reads."""
    tolerance: int = 2
    """Largest error, in steps of the result, at which a shorter table is taken without a look at
    ramps."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if ctx.target is None:
            return False
        changed = False
        for op in list(graph.ops):
            if isinstance(op, Lut) and constant(op.table) is not None:
                changed |= self._spell(graph, op, ctx.target, ctx)
        if changed:
            graph.prune()
        return changed

    def _spell(self, graph: Graph, op: Lut, target: Target, ctx: PassContext) -> bool:
        table = constant(op.table)
        assert table is not None
        held = has(target, "lut")
        entries = target.limits.lut_entries or len(table)
        if held and len(table) <= entries:
            return False
        coarse = _coarse(op, table, entries) if held else None
        if coarse is not None and coarse.error <= self.tolerance:
            _look_up(graph, op, coarse)
            ctx.remark(op, f"looked up in {entries} steps, off by {coarse.error} at most")
            return True
        pair = self._pair(op, table, target)
        if pair is not None and (coarse is None or pair.error < coarse.error):
            _add_up(graph, op, pair, target)
            count = len(pair.ramps.starts)
            ctx.remark(op, f"two units, {count} ramps, off by {pair.error} steps at most")
        elif coarse is not None:
            _look_up(graph, op, coarse)
            ctx.remark(op, f"looked up in {entries} steps, off by {coarse.error} at most")
        else:
            ctx.remark(op, "no unit reads it or makes it", kind="missed")
        return pair is not None or coarse is not None

    def _pair(self, op: Lut, table: Array, target: Target) -> _Pair | None:
        """Return the ramps that make a table, where units read its inputs and make its results."""
        limits, least = target.limits, target.activation_codes[0]
        most = min(self.ramps, limits.fan_in, target.neurons_at(limits.weight_bits))
        low, high = proved_range(op.x)
        ends = saturation(target, op.result.type.dtype)
        fits = (high - min(low, 0)).bit_length() <= limits.input_bits
        fits &= ends[0] <= int(table.min()) and int(table.max()) <= ends[1]
        weights = target.chosen_weights
        if not fits or weights[1] < 1:
            return None
        full = target.activation_codes[1] - least
        ramps = fit(table, op.low, most=most, full=full, weights=weights)
        made = np.clip(ramps.evaluate(np.arange(op.low, op.low + len(table))), *ends)
        return _Pair(ramps, int(np.abs(made - table.astype(np.int64)).max(initial=0)))


@dataclass(frozen=True, slots=True, eq=False)
class _Coarse:
    """A shorter table, of inputs in coarser steps."""

    scale: Array
    zero: int
    table: Array
    error: int


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    ramps: Ramps
    error: int


def _coarse(op: Lut, table: Array, entries: int) -> _Coarse:
    """Return a table of so many entries, each half way between the results it stands for."""
    scale = np.array((entries - 1) / max(len(table) - 1, 1), np.float32)
    x = np.arange(op.low, op.low + len(table)).astype(np.float32)
    place = np.rint(x * scale).astype(np.int64)
    zero = -int(place.min())
    place = np.clip(place + zero, 0, entries - 1)
    numbers = table.astype(np.int64)
    least, most = np.full(entries, numbers.max()), np.full(entries, numbers.min())
    np.minimum.at(least, place, numbers)
    np.maximum.at(most, place, numbers)
    short = np.where(most >= least, (least + most) // 2, numbers.min())
    error = int(np.abs(short[place] - numbers).max(initial=0))
    return _Coarse(scale, zero, short.astype(table.dtype), error)


def _look_up(graph: Graph, op: Lut, coarse: _Coarse) -> None:
    name, last = op.result.name, len(coarse.table) - 1
    scale = graph.weight(f"{name}.steps", coarse.scale)
    table = graph.weight(f"{name}.short", coarse.table)
    dtype = narrowest(0, last)
    steps = Rescale(op.x, scale, zero=coarse.zero, low=0, high=last, dtype=dtype)
    value = graph.add(located(steps, op), before=op, name=f"{name}.coarse")
    value.type = value.type.with_range(0, last)
    graph.replace(op, located(Lut(value, table, low=0), op))


def _add_up(graph: Graph, op: Lut, pair: _Pair, target: Target) -> None:
    """Replace a table by two units that read its operand element by element."""
    ramps, name = pair.ramps, op.result.name
    least, most = target.activation_codes
    shape = op.x.type.shape
    held = op.x.type.range or proved_range(op.x)

    def put(new: Op, word: str, low: int, high: int) -> Value:
        value = graph.add(located(new, op), before=op, name=f"{name}.{word}")
        value.type = value.type.with_range(low, high)
        value.origin = op.result.origin
        return value

    def unit(x: Value, word: str, weights: Array, bias: Array, **after: Any) -> Value:
        offset = -min(proved_range(x)[0], 0)
        bits = max(1, (proved_range(x)[1] + offset).bit_length())
        w = graph.weight(f"{name}.{word}.weights", weights)
        b = graph.weight(f"{name}.{word}.bias", bias)
        scale = graph.weight(f"{name}.{word}.scale", after.pop("scale"))
        widest = max(2, int(np.abs(weights).max(initial=0)).bit_length() + 1)
        product = Mvm(
            x,
            w,
            input_offset=offset,
            input_bits=bits,
            weight_bits=min(widest, target.limits.weight_bits),
            **Encoding.of(target).crossbar,
        )
        partials = graph.add(located(product, op), before=op, name=f"{name}.{word}.mvm")
        sums = graph.add(located(Reduce(partials, b), op), before=op, name=f"{name}.{word}.sum")
        return put(Rescale(sums, scale, **after), word, after["low"], after["high"])

    x = put(Reshape(op.x, shape=(*shape, 1)), "each", int(held[0]), int(held[1]))
    offset = -min(proved_range(x)[0], 0)
    hidden = unit(
        x,
        "ramps",
        np.ones((len(ramps.starts), 1), np.int8),
        (-ramps.starts - offset).astype(np.int32),
        scale=ramps.slopes,
        zero=least,
        low=least,
        high=most,
        dtype=narrowest(least, most),
    )
    low, high = saturation(target, op.result.type.dtype)
    total = unit(
        hidden,
        "curve",
        ramps.weights[None].astype(narrowest(-1, int(np.abs(ramps.weights).max())).numpy),
        np.zeros(1, np.int32),
        scale=np.array(ramps.scale, np.float32),
        zero=ramps.first,
        low=low,
        high=high,
        dtype=op.result.type.dtype,
    )
    graph.replace(op, located(Reshape(total, shape=shape), op))
