"""``spell-tables``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, TypeGuard

import numpy as np

from neutrams.ir.functions import has
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit import Lut, Rescale, saturation
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.ranges import proved_range
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes.affine import narrowest
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import constant, located
from neutrams.passes.piecewise import Ramps, fit
from neutrams.passes.ramp_units import Curve, Ints, add_up
from neutrams.passes.samples import batches
from neutrams.passes.unit_runs import affordable, run_units

SAMPLES, INTEGERS = 64, 2048
"""Calibration samples that show what tables are given, and integers of a batch that are kept."""


@dataclass(frozen=True)
class SpellTables(Pass):
    """Spell look-up tables in what a chip has: shorter tables, or two units of ramps.

    A chip with tables of fewer entries looks up its inputs in coarser steps. One without tables
    gets a small network of one hidden layer: neurons that saturate make ramps, and a neuron
    behind them adds these up to a curve of straight lines. Either is compared with the whole
    table, and a remark states the largest error. With calibration data (and torch) the neurons then
    learn from the integers that occur, and keep what they learn where it errs less on others.
    Nothing is done where tables fit.
    """

    name: ClassVar[str] = "spell-tables"
    takes: ClassVar = ("unit",)
    rms_bound: ClassVar[float] = 1.0

    ramps: int = 64
    """Most ramps of one function, within what one crossbar makes and reads."""
    tolerance: int = 2
    """Largest error, in steps of the result, at which a shorter table is taken without a look at
    ramps."""
    train_steps: int = 100
    """Steps of gradient descent that refine ramps on what the calibration data show; 0 for none."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if ctx.target is None:
            return False
        target, homes = ctx.target, (*graph.cells(), graph)
        tables = [(home, op) for home in homes for op in home.ops if _lacking(op, target)]
        found = [(home, op, self._way(op, target)) for home, op in tables]
        ramps = [op for _, op, way in found if isinstance(way, _Pair)]
        seen = self._seen(graph, ramps, ctx)
        for home, op, way in found:
            match way:
                case _Coarse():
                    _look_up(home, op, way)
                    text = f"looked up in {len(way.table)} steps, off by {way.error} at most"
                    ctx.remark(op, text)
                case _Pair():
                    self._add_up(home, op, way, seen.get(op), ctx)
                case None:
                    ctx.remark(op, "no unit reads it or makes it", kind="missed")
        for home in homes:
            home.prune()
        return any(way is not None for _, _, way in found)

    def _way(self, op: Lut, target: Target) -> _Coarse | _Pair | None:
        """Return the shorter table, or the ramps, that stand for a table with less error."""
        table = constant(op.table)
        assert table is not None
        coarse, shifts = None, target.limits.rescale != "float"
        if has(target, "lut"):
            coarse = _coarse(op, table, target.limits.lut_entries, shifts=shifts)
            if coarse.error <= self.tolerance:
                return coarse
        pair = self._pair(op, table, target)
        if pair is not None and (coarse is None or (pair.error < coarse.error and not shifts)):
            return pair
        return coarse

    def _seen(self, graph: Graph, tables: Collection[Lut], ctx: PassContext) -> dict[Lut, Ints]:
        """Return the integers that tables are given on calibration data; nothing untrained."""
        limits = ctx.need_target().limits
        fixed = limits.rescale != "float" or limits.bias_range is not None
        trains = self.train_steps and tables and not fixed
        if not trains or ctx.calibration is None or not find_spec("torch"):
            return {}
        return _given_to(graph, tables, ctx.calibration)

    def _add_up(
        self, graph: Graph, op: Lut, pair: _Pair, seen: Ints | None, ctx: PassContext
    ) -> None:
        table, target = constant(op.table), ctx.need_target()
        assert table is not None
        made = add_up(graph, op, pair.ramps, target)
        units = (made_by for made_by in made.ops if isinstance(made_by, Mvm))
        ctx.counterparts.update((unit.w, "make a function of ramps") for unit in units)
        text = f"two units, {len(pair.ramps.starts)} ramps, off by {pair.error} steps at most"
        if seen is not None:
            text += self._refined(graph, op, made, table.astype(np.int64), seen, ctx)
        ctx.remark(op, text)
        graph.replace(op, located(Reshape(made.result, shape=op.x.type.shape), op))

    def _refined(
        self, graph: Graph, op: Lut, made: Curve, table: Ints, seen: Ints, ctx: PassContext
    ) -> str:
        """Train units and say what that brought."""
        from neutrams.passes.retraining.approximators import refine

        wanted = table[np.clip(seen - op.low, 0, len(table) - 1)]
        if np.array_equal(made.evaluate(seen), wanted):
            return "; exact on calibration data"
        before, after = refine(graph, made, seen, wanted, steps=self.train_steps, seed=ctx.seed)
        if after >= before:
            return f"; RMS error {before:.3g} steps on calibration data, training found no better"
        most = int(np.abs(made.evaluate(np.arange(op.low, op.low + len(table))) - table).max())
        return f"; trained, RMS error {before:.3g} -> {after:.3g} steps, off by {most} at most"

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


def _lacking(op: Op, target: Target) -> TypeGuard[Lut]:
    """Whether an op is a table that a chip lacks, or has no room for."""
    if not isinstance(op, Lut) or (table := constant(op.table)) is None:
        return False
    entries = target.limits.lut_entries or len(table)
    return not has(target, "lut") or len(table) > entries


def _given_to(graph: Graph, tables: Collection[Lut], data: Mapping[str, Array]) -> dict[Lut, Ints]:
    """Return integers that tables are given on calibration data."""
    readers: dict[Value, list[Lut]] = {}
    for op in tables:
        readers.setdefault(op.x, []).append(op)
    found: dict[Lut, list[Ints]] = {}
    random = np.random.default_rng(0)

    def watch(value: Value, array: Array) -> None:
        if value in readers and array.size:
            some = random.choice(array.reshape(-1), min(INTEGERS, array.size), replace=False)
            for op in readers[value]:
                found.setdefault(op, []).append(some.astype(np.int64))

    limit, size = affordable(graph)
    for batch in batches(graph, data, limit=min(limit, SAMPLES), size=size):
        run_units(graph, batch, watch)
    return {op: np.concatenate(parts) for op, parts in found.items()}


def _coarse(op: Lut, table: Array, entries: int, *, shifts: bool) -> _Coarse:
    """Return a table of so many entries, each half way between the results it stands for.

    Of fewer, where inputs are brought to their steps by shifting.
    """
    ratio = (entries - 1) / max(len(table) - 1, 1)
    scale = np.array(2.0 ** np.floor(np.log2(ratio)) if shifts and ratio else ratio, np.float32)
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
