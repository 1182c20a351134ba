"""What goes on and off the chip: over one link, which all inputs and outputs share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neutrams.ir.op import Op, Value
from neutrams.ir.ops.quantization import Quantize
from neutrams.simulator.digital import elements
from neutrams.simulator.traffic.channels import count, first_axis
from neutrams.simulator.traffic.divided import Divided, reads_of
from neutrams.simulator.traffic.division import Division, Need
from neutrams.simulator.traffic.parts import Part
from neutrams.simulator.traffic.windows import block, places, rectangles


@dataclass(frozen=True, slots=True, eq=False)
class Border:
    """An input or output of a network on its way over the link."""

    value: Value
    bits: float
    """Of one of its windows."""
    divided: Divided
    way: str

    @property
    def name(self) -> str:
        return f"{self.value.name}, {self.way}"


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
        axis = first_axis(value)
        channels = count(value, axis)
        whole = Part(tile, 0, 1.0, 1.0, makes=((0, channels),))
        owners = np.zeros(windows, np.int64)
        made = Divided([whole], windows, 1, owners, None, axis if channels else 0, channels)
        needs = [(op, each, _need(division, made, op, each, value)) for op, each in readers]
        found[Border(value, bits, made, "from outside")] = needs
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
        yield Border(value, bits, made, "to outside"), maker, Need(table, reads, delayed=False)


def sent_form(value: Value) -> Value:
    """Return what stands for an input on its way in: its rounded form, if only that is read."""
    op = value.users[0] if len(value.users) == 1 else None
    return op.result if isinstance(op, Quantize) else value


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
