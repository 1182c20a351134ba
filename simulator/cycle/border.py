"""What goes on and off the chip: over one link, which all inputs and outputs share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neutrams.ir.op import Op, Value
from neutrams.simulator.digital import elements
from neutrams.simulator.division import Divided, Division, Need, reads_of
from neutrams.simulator.events import sent_form
from neutrams.simulator.parts import Part
from neutrams.simulator.windows import block, places, rectangles


@dataclass(frozen=True, slots=True, eq=False)
class Border:
    """An input or output of a network on its way over the link."""

    value: Value
    bits: float
    """Of one of its windows."""
    divided: Divided


def inputs_of(division: Division) -> dict[Border, list[tuple[Op, Value, Need]]]:
    """Return the inputs of a network, and which ops wait for what of each.

    An image comes place by place, anything else at once. The link ends where the first of its
    readers is.
    """
    found: dict[Border, list[tuple[Op, Value, Need]]] = {}
    for value in division.graph.inputs:
        readers = [
            (op, each)
            for op in division.ops
            for each in dict.fromkeys(op.present)
            if _root(division, each) is value
        ]
        if not readers:
            continue
        form = sent_form(value)
        windows = places(form, division.sizes)
        bits = elements(form, division.sizes) * form.type.dtype.bits / windows
        tile = division.ops[readers[0][0]].parts[0].tile
        made = Divided([Part(tile, 0, 1.0, 1.0)], windows, 1, np.zeros(windows, np.int64), None)
        needs = [(op, each, _need(division, made, op, each, value)) for op, each in readers]
        found[Border(value, bits, made)] = needs
    return found


def outputs_of(division: Division, tile: int) -> Iterator[tuple[Border, Op, Need]]:
    """Yield the outputs of a network, what makes each, and that it waits for all of it, in order.

    The link begins in a tile.
    """
    for value in dict.fromkeys(division.graph.outputs):
        maker = division.links.maker(value)
        if maker is None:
            continue
        count = division.ops[maker].whole
        made = Divided([Part(tile, 0, 1.0, 1.0)], count, 1, np.zeros(count, np.int64), None)
        bits = elements(value, division.sizes) * value.type.dtype.bits / count
        nth = np.arange(count)
        table = np.stack([nth + 1, nth], axis=1)
        reads = reads_of(division.ops[maker], made, table, None)
        yield Border(value, bits, made), maker, Need(table, reads, delayed=False)


def _root(division: Division, value: Value) -> Value:
    """Return the value that another stands for, outside of all runs."""
    seen = {value}
    while (source := division.links.sources.get(value)) is not None and source not in seen:
        seen.add(source)
        value = source
    return value


def _need(division: Division, made: Divided, op: Op, value: Value, root: Value) -> Need:
    b = division.ops[op]
    if value is not root or b.times > 1:
        table = np.tile(np.array([[made.windows, 0]], np.int64), (b.whole, 1))
        return Need(table, reads_of(made, b, table, None), delayed=False)
    table = block(op, value, made.windows, b.windows, division.sizes)
    seen = rectangles(op, value, made.windows, division.sizes)
    return Need(table, reads_of(made, b, table, seen), delayed=False)
