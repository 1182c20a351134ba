"""Values as integers: quantise and dequantise pairs where what crossbars read is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.time import State
from neutrams.passes.affine import Affine
from neutrams.passes.base import PassContext
from neutrams.passes.bits import Bits
from neutrams.passes.grids import Grids
from neutrams.passes.match import located
from neutrams.passes.observers import Observer, choose
from neutrams.passes.quantize_plan import Plan, Range
from neutrams.passes.watching import watch


class Ranges:
    """What a graph's values are on the calibration data, for ranges that suit any width."""

    def __init__(self, graph: Graph, ctx: PassContext, observer: Observer, usual: int) -> None:
        known = ctx.calibration and {v.name for v in graph.inputs} == set(ctx.calibration)
        if known and not ctx.seen:
            found = watch(graph, ctx)
            ctx.seen.update((v.name, found[v]) for v in graph.values() if v in found)
        self._seen = ctx.seen if known else {}
        self._observer, self._usual = observer, usual

    def of(self, value: Value, bits: int) -> Range:
        """Return the range to cover with so many bits; for the usual ones, the one known."""
        assert value.type.range is not None, "checked before"
        if bits == self._usual or value.name not in self._seen or isinstance(value.op, State):
            return value.type.range
        return choose(self._seen[value.name], self._observer, bits=bits, percentile=99.99)


def insert_pairs(
    graph: Graph,
    found: Plan,
    bits: Mapping[Op, Bits],
    digital: int,
    ranges: Ranges | None,
    grids: Grids,
) -> dict[Op, Affine]:
    """Round values where they are made, once more where a layer reads fewer bits than others.

    ``digital`` is the width of what digital units read.

    Returns:
        The map by which each product reads its input.
    """

    def range_of(value: Value, width: int) -> Range:
        known = value.type.range
        assert known is not None
        return known if ranges is None else ranges.of(value, width)

    widths = found.widths({op: each.inputs for op, each in bits.items()}, usual=digital)
    covered = found.ranges(widths, range_of)
    maps: dict[Op, Affine] = {}
    for value in found.values:
        to = grids.activations(*covered[value], bits=widths[value])
        readers = [op for op, source in found.source_of.items() if source is value]
        back = insert_pair(graph, value, to, readers if isinstance(value.op, State) else ())
        narrow = sorted({bits[op].inputs for op in readers} - {widths[value]}, reverse=True)
        maps |= dict.fromkeys(readers, to)
        for width in narrow:
            few = [op for op in readers if bits[op].inputs == width]
            to = grids.activations(*range_of(value, width), bits=width)
            insert_pair(graph, back, to, few)
            maps |= dict.fromkeys(few, to)
    return maps


def insert_pair(graph: Graph, value: Value, to: Affine, readers: Sequence[Op] = ()) -> Value:
    """Make every reader of a value, or those named, read what its integers stand for."""
    scale, zero = (
        graph.weight(f"{value.name}.{part}", array)
        for part, array in zip(("scale", "zero"), to.constants, strict=True)
    )
    to_ints = Quantize(value, scale, zero, low=to.low, high=to.high, dtype=to.dtype)
    following = _after(graph, value)
    for_op = value.op if value.op is not None else value.users[0]
    ints = graph.add(located(to_ints, for_op), before=following, name=f"{value.name}.q")
    ints.type = ints.type.with_range(to.low, to.high)
    ints.origin = value.origin or value.name
    back = graph.add(
        located(Dequantize(ints, scale, zero), for_op), before=following, name=f"{value.name}.dq"
    )
    back.origin = value.origin or value.name
    if value.type.range is not None:
        back.type = back.type.with_range(*value.type.range)
    graph.redirect(value, back, readers or [user for user in value.users if user is not to_ints])
    if not readers:
        graph.outputs = [back if out is value else out for out in graph.outputs]
    return back


def _after(graph: Graph, value: Value) -> Op | None:
    position = 0 if value.op is None else graph.ops.index(value.op) + 1
    return graph.ops[position] if position < len(graph.ops) else None
