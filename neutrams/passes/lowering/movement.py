"""Do to integers what was done to the numbers they stand for, where that is a mere move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.tensors import Concat, Pad, Reshape, Slice, Transpose
from neutrams.ir.ops.time import Next, State
from neutrams.passes.affine import Real, real
from neutrams.passes.match import constant, located, read_once
from neutrams.passes.movement import moved_operands


def sink_dequantize(graph: Graph, op: Op) -> bool:
    """Turn ``move(dequantize(x))`` into ``dequantize(move(x))``; say whether that was possible."""
    operands = moved_operands(op)
    sources = [found for value in operands if (found := real(value)) is not None]
    if not operands or len(sources) < len(operands) or not _alike(sources):
        return False
    first = sources[0]
    moved = _on_integers(graph, op, sources)
    graph.insert(located(moved, op), before=op, name=[f"{v.name}.q" for v in op.results])
    for old, ints in zip(op.results, moved.results, strict=True):
        if first.ints.type.range is not None:
            ints.type = ints.type.with_range(*first.ints.type.range)
        _dequantize_instead(graph, op, old, ints, first)
    return True


def _alike(sources: list[Real]) -> bool:
    first = sources[0]
    return all(
        s.op.scale.type.rank == 0
        and s.scale.item() == first.scale.item()
        and s.zero.item() == first.zero.item()
        and s.ints.type.dtype is first.ints.type.dtype
        for s in sources
    )


def _on_integers(graph: Graph, op: Op, sources: list[Real]) -> Op:
    match op:
        case Concat():
            return replace(op, parts=tuple(source.ints for source in sources))
        case Pad(mode="constant"):
            ints, zero = sources[0].ints, sources[0].zero.item()
            filler = graph.weight(f"{op.result.name}.zero", np.array(zero, ints.type.dtype.numpy))
            return replace(op, x=ints, value=filler)
    moved: Op = replace(op, x=sources[0].ints)  # type: ignore[type-var]
    return moved


def _dequantize_instead(graph: Graph, op: Op, old: Value, ints: Value, source: Real) -> None:
    back = Dequantize(ints, source.op.scale, source.op.zero, axis=source.op.axis)
    value = graph.add(located(back, op), before=op, name=f"{old.name}.dq")
    value.origin = old.origin
    graph.replace_value(old, value)


def hoist_quantize(graph: Graph, op: Quantize) -> bool:
    """Turn ``quantize(move(x))`` into ``move(quantize(x))``, next to what makes ``x``."""
    move = op.x.op
    if isinstance(move, State):
        return _hold_integers(graph, op, move)
    if not isinstance(move, Reshape | Transpose | Slice) or not read_once(graph, op.x):
        return False
    if op.scale.type.rank or isinstance(move.x.op, Dequantize):
        return False
    inner = graph.add(located(replace(op, x=move.x), op), before=move, name=f"{op.result.name}.q")
    if op.result.type.range is not None:
        inner.type = inner.type.with_range(*op.result.type.range)
    graph.replace(op, located(replace(move, x=inner), move))
    return True


def _hold_integers(graph: Graph, op: Quantize, state: State) -> bool:
    """Let a state hold the integers that are all its readers want of it."""
    reads = [o for o in graph.ops if isinstance(o, State) and o.slot == state.slot]
    if len(reads) > 1 or not read_once(graph, state.result):
        return False
    write = next(o for o in graph.ops if isinstance(o, Next) and o.slot == state.slot)
    first = _quantized(graph, op, state.initial, state)
    written = _quantized(graph, op, write.value, write)
    held = located(replace(state, initial=first), state)
    value, name = graph.add(held, before=state), state.result.name
    value.type = value.type.with_range(op.low, op.high)
    graph.replace_value(op.result, value)
    graph.erase(op)
    graph.erase(state)
    graph.rename(value, name)
    graph.replace(write, located(replace(write, value=written), write))
    return True


def _quantized(graph: Graph, op: Quantize, value: Value, before: Op) -> Value:
    numbers, scale, zero = constant(value), constant(op.scale), constant(op.zero)
    if numbers is not None and scale is not None and zero is not None:
        ints = op.evaluate(numbers, scale, zero)
        return graph.weight(f"{value.name}.q", np.asarray(ints))
    made = graph.add(located(replace(op, x=value), op), before=before, name=f"{value.name}.q")
    made.type = made.type.with_range(op.low, op.high)
    return made
