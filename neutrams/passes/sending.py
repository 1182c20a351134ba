"""Rewrites that send a result to fewer crossbars each: copies, relays, units cut by neurons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neutrams.ir.crossbar import Encoding, lossless
from neutrams.ir.fan_out import is_move
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.digits import Digits, Join
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.tensors import Concat
from neutrams.ir.ops.unit import Lut, Reduce, Rescale, saturation
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.ranges import proved_range
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes.counterparts import Counterpart, Known
from neutrams.passes.match import constant, located

Span = tuple[int, int]
"""First column block of a unit, and the one after the last."""


def producer(value: Value) -> list[Op]:
    """Return the ops that make a value and are copied with it, in order: a whole unit, or one."""
    ops = list[Op]()
    op = value.op
    if isinstance(op, Lut) and isinstance(op.x.op, Rescale):
        ops, op = [op], op.x.op
    if isinstance(op, Rescale) and isinstance(op.x.op, Reduce):
        made, sums = op, op.x.op
        if isinstance(sums.partials.op, Mvm):
            return [sums.partials.op, sums, made, *ops]
    assert value.op is not None
    return [value.op]


def copy_of(graph: Graph, value: Value, serial: int) -> Value:
    """Make a value a second time, by a copy of its unit, which holds the same weights."""
    twins: dict[Value, Value] = {}
    assert value.op is not None
    following = _after(graph, value.op)
    for op in producer(value):
        new = located(twin_of(op), op)
        for old, twin in twins.items():
            new.swap(old, twin)
        graph.insert(new, before=following, name=[f"{v.name}.copy{serial}" for v in op.results])
        for old, made in zip(op.results, new.results, strict=True):
            made.type, made.origin = old.type, old.origin
            twins[old] = made
    return twins[value]


def relay_size(value: Value, target: Target) -> int:
    """Return how many results a relay crossbar can hand on exactly; 0 where it cannot."""
    most = min(target.limits.fan_in, target.neurons_at(_relay_bits(target)))
    bits = _drive_bits(value)
    if (
        target.weight_codes[1] < 1
        or bits > target.limits.input_bits
        or _held(value, target) is None
    ):
        return 0
    return next((n for n in range(most, 0, -1) if _lossless(n, bits, target)), 0)


def relay(
    graph: Graph, source: Value, target: Target, value: Value, serial: int, *, channels_first: bool
) -> Value:
    """Hand ``source``, which shows ``value``, on through crossbars that multiply by 1; exact."""
    op, kind = source.op, source.type
    assert op is not None
    held = _held(source, target)
    assert held is not None
    axis = 1 if channels_first else kind.rank - 1
    count, size = kind.shape[axis], relay_size(source, target)
    assert isinstance(count, int)
    core, offset = target.machine.core, -min(proved_range(source)[0], 0)
    name = f"{value.name}.relay{serial}"
    spatial = kind.rank - 2 if channels_first else 0
    ones = graph.weight(f"{name}.weights", np.ones((count, 1), np.int8))
    back = graph.weight(f"{name}.bias", np.full(count, -offset, np.int32))
    scale = graph.weight(f"{name}.scale", np.array(1.0, np.float32))
    product = Mvm(
        source,
        ones,
        kernel=(1,) * spatial,
        strides=(1,) * spatial,
        pads=(0,) * (2 * spatial),
        dilations=(1,) * spatial,
        groups=count,
        input_offset=offset,
        rows=size,
        neurons=size,
        input_bits=_drive_bits(source),
        weight_bits=_relay_bits(target),
        cell_bits=core.cell_bits,
        dac_bits=core.dac_bits,
        adc_bits=core.adc_bits,
        coding=core.coding,
        column_flip=core.column_flip,
        adc_mode=core.adc_mode,
    )
    following = _after(graph, op)
    partials = graph.add(located(product, op), before=following, name=f"{name}.mvm")
    reduce = Reduce(partials, back, axis=axis)
    sums = graph.add(located(reduce, op), before=following, name=f"{name}.sum")
    last = Rescale(sums, scale, axis=axis, low=held[0], high=held[1], dtype=kind.dtype)
    made = graph.add(located(last, op), before=following, name=name)
    made.type, made.origin = kind, source.origin
    return made


def read_from(graph: Graph, user: Op, old: Value, new: Value) -> None:
    """Let an op see ``new`` where it saw ``old``, through copies of the moves between."""
    for operand in dict.fromkeys(user.present):
        if (shown := _moved(graph, operand, old, new, user)) is not operand:
            graph.redirect(operand, shown, [user])


def _moved(graph: Graph, value: Value, old: Value, new: Value, before: Op) -> Value:
    if value is old:
        return new
    op = value.op
    if op is None or not is_move(op):
        return value
    swapped = {v: _moved(graph, v, old, new, before) for v in op.present}
    if all(a is b for a, b in swapped.items()):
        return value
    twin = located(twin_of(op), op)
    for before_it, after_it in swapped.items():
        twin.swap(before_it, after_it)
    graph.insert(twin, before=before, name=[f"{v.name}.of.{new.name}" for v in op.results])
    for made, result in zip(twin.results, op.results, strict=True):
        made.type, made.origin = result.type, result.origin
    return twin.results[value.index]


def cut_by_neurons(graph: Graph, op: Mvm, spans: Sequence[Span], known: Known) -> list[Mvm]:
    """Cut a unit into several, each with some of its column blocks, and join what they make."""
    tail = _tail(graph, op)
    groups, neurons = op.groups, op.outputs // op.groups
    step = op.neurons or neurons
    each = np.arange(op.outputs).reshape(groups, neurons)
    held = [each[:, lo * step : min(hi * step, neurons)].ravel() for lo, hi in spans]
    whole = known.get(op.w, "hold digits, cut apart" if _in_digits(op) else Counterpart.of(op))
    parts = [_part(graph, tail, rows, index) for index, rows in enumerate(held)]
    for (first, *_), chosen in zip(parts, held, strict=True):
        if isinstance(first, Mvm):
            known[first.w] = whole if isinstance(whole, str) else whole.some(chosen)
    last = tail[-1]
    axis = 1 if op.kernel else last.result.type.rank - 1
    axis += isinstance(last, Mvm) and bool(op.kernel)
    joined: Op = Concat(tuple(part[-1].result for part in parts), axis=axis)
    order = np.argsort(np.concatenate(held), kind="stable")
    if (order != np.arange(len(order))).any():
        between = graph.add(located(joined, last), before=last, name=f"{last.result.name}.joined")
        places = graph.weight(f"{last.result.name}.order", order.astype(np.int64))
        joined = Gather(between, places, axis=axis)
    graph.replace(last, located(joined, last))
    for old in reversed(tail[:-1]):
        graph.erase(old)
    return [part[0] for part in parts if isinstance(part[0], Mvm)]


def _in_digits(op: Mvm) -> bool:
    sums = (user.results[0].users for user in op.result.users if user.results)
    return isinstance(op.x.op, Digits) or any(isinstance(u, Join) for users in sums for u in users)


def _part(graph: Graph, tail: Sequence[Op], rows: Array, index: int) -> list[Op]:
    """Make some of a unit's neurons, before its product."""
    made = list[Op]()
    for old in tail:
        source = made[-1].result if made else None
        new = located(_of_neurons(graph, old, source, rows, index), old)
        value = graph.add(new, before=tail[0], name=f"{old.result.name}.part{index}")
        if old.result.type.range is not None:
            value.type = value.type.with_range(*old.result.type.range)
        value.origin = old.result.origin or old.result.name
        made.append(new)
    return made


def _tail(graph: Graph, op: Mvm) -> list[Op]:
    """Return a product and what follows it neuron by neuron, as far as only that reads it."""
    tail: list[Op] = [op]
    for kind in (Reduce, Rescale | Dequantize):
        value = tail[-1].result
        read = len(value.users) == 1 and not any(value is out for out in graph.outputs)
        if not read or not isinstance(value.users[0], kind):
            break
        tail.append(value.users[0])
    return tail


def _of_neurons(graph: Graph, op: Op, source: Value | None, rows: Array, index: int) -> Op:
    """Return an op of a unit for some of its neurons, of which ``source`` holds the sums."""

    def some(value: Value) -> Value:
        data = constant(value)
        if data is None or not data.ndim:
            return value
        part = graph.weight(f"{value.name}.part{index}", np.ascontiguousarray(data[rows]))
        if value.type.range is not None:
            part.type = part.type.with_range(*value.type.range)
        return part

    match op:
        case Mvm():
            return replace(op, w=some(op.w))
        case Reduce() if source is not None:
            return replace(op, partials=source, bias=None if op.bias is None else some(op.bias))
        case Rescale() if source is not None:
            return replace(op, x=source, scale=some(op.scale))
    assert isinstance(op, Dequantize)
    assert source is not None
    return replace(op, x=source, scale=some(op.scale), zero=some(op.zero))


def _held(value: Value, target: Target) -> tuple[int, int] | None:
    """Return bounds within which a relay gives a value out: those of a unit, if it is within."""
    low, high = proved_range(value)
    least, most = saturation(target, value.type.dtype)
    return (least, most) if least <= low and high <= most else None


def _drive_bits(value: Value) -> int:
    low, high = proved_range(value)
    return max(1, (high - min(low, 0)).bit_length())


def _relay_bits(target: Target) -> int:
    return min(2, target.limits.weight_bits)


def _lossless(rows: int, bits: int, target: Target) -> bool:
    """Say whether a relay of so many rows gives exact sums, whatever drives it."""
    core = target.machine.core
    code = Encoding(
        bits,
        _relay_bits(target),
        core.cell_bits,
        core.dac_bits,
        core.adc_bits,
        core.coding,
        core.column_flip,
        core.adc_mode,
        rows,
    )
    return bool(lossless(np.eye(rows, dtype=np.int64), code).all())


def twin_of(op: Op) -> Op:
    """Return an equal op, with results of its own."""
    made: Op = replace(op)  # type: ignore[type-var]
    return made


def _after(graph: Graph, op: Op) -> Op | None:
    place = graph.ops.index(op) + 1
    return graph.ops[place] if place < len(graph.ops) else None
