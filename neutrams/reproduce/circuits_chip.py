"""The ground of NeuroSim V1.4's SRAM chip: elements of arrays, tiles of elements, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2, sqrt

from neutrams.mapper.floorplan import FloorPlan
from neutrams.reproduce.circuits import (
    ARRAY,
    CHIP,
    FULL_ADDER,
    INVERTER,
    NAND,
    PROCESS,
    REGISTER,
    ROW,
    Area,
    Block,
    array,
    gate,
    registers_across,
    registers_along,
    sum_bits,
)
from neutrams.reproduce.networks import Shape
from neutrams.reproduce.process import Gate


def chip_area(layers: Sequence[Shape], plan: FloorPlan, rows: int) -> Area:
    """Return the area of a chip for a network, with so many rows of an array read at a time."""
    _, spread, plain = blocks(plan, rows)
    kinds = {True: spread, False: plain}
    found = Area()
    for layer, count in zip(layers, plan.tiles, strict=True):
        found += kinds[spreads(layer, plan)].area * count
    tall = max(spread.height, plain.height)
    bus = Area(wires=_bus(sum(plan.tiles), bus_lines(layers, plan), tall))
    return found + bus + _shared(layers, plan, rows)


def blocks(plan: FloorPlan, rows: int) -> tuple[Block, Block, Block]:
    """Return an element, a tile whose elements hold a tap of a kernel each, and a plain tile."""
    element = _element(plan.element_side // ARRAY["rows"], rows)
    spread = _tile(element, plan.element_side, rows, elements=plan.taps, added=plan.taps)
    across = plan.tile_side // plan.element_side
    plain = _tile(element, plan.element_side, rows, elements=across**2, added=across)
    return element, spread, plain


def spreads(layer: Shape, plan: FloorPlan) -> bool:
    """Tell whether taps of this layer lie on elements of their own."""
    return layer.taps == plan.taps and layer.inputs * layer.taps >= ARRAY["rows"]


def _element(side: int, rows: int) -> Block:
    """Return ``side`` × ``side`` arrays with adders over them and registers of a vector."""
    one = array(rows)
    trees = side * ARRAY["columns"] // ARRAY["shared"]
    bits = _bits(rows)
    high, wide = side * one.height, side * one.width
    into = registers_along(ARRAY["input_bits"] * ARRAY["rows"], high) * high
    results = ARRAY["columns"] // ARRAY["shared"] * (bits + ceil(log2(side)))
    out = registers_across(results, wide) * wide
    return _square(one.area * side**2 + Area(sums=_trees(side, bits, trees), other=into + out))


def _tile(element: Block, side: int, rows: int, *, elements: int, added: int) -> Block:
    """Return a tile.

    Plain ones have adders and buffers for one row of their elements alone.
    """
    bits = result_bits(rows, side)
    spread = elements == added
    trees = side * (1 if spread else added) // ARRAY["shared"]
    into = ARRAY["input_bits"] * ARRAY["rows"] * added
    line = (bits + ceil(log2(added))) * added
    out = line * ARRAY["columns"] // ARRAY["shared"]
    buffers = _buffers(into, 0) + _buffers(out, line)
    levels = ceil(log2(ceil(sqrt(added)))) if spread else ceil(log2(added))
    wires = _tree(added * side, levels, element.height)
    rest = Area(sums=_trees(added, bits, trees), other=buffers, wires=wires)
    return _square(element.area * elements + rest)


def _square(area: Area) -> Block:
    return Block(area, sqrt(area.whole), sqrt(area.whole))


def _bits(rows: int) -> int:
    """Return the bits of a result of an array."""
    return sum_bits(rows) + ARRAY["input_bits"] + ARRAY["weight_bits"]


def result_bits(rows: int, side: int) -> int:
    """Return the bits of a result of an element: one more for each array that it adds."""
    return _bits(rows) + side // ARRAY["rows"]


def _trees(inputs: int, bits: int, trees: int) -> float:
    """Return the ground of adders in trees, one bit wider each level."""
    found = 0
    for level in range(ceil(log2(inputs))):
        inputs //= 2
        found += (bits + level) * inputs
    return FULL_ADDER * found * trees


def _buffers(bits: int, line: int) -> float:
    """Return the ground of the buffers of a tile: as many of the usual size as needed, or one."""
    usual = CHIP["tile_buffer_bits"]
    if bits < usual:
        return _buffer(bits, line)
    return ceil(bits / usual) * _buffer(usual, CHIP["tile_buffer_line"])


def _buffer(bits: int, line: int) -> float:
    """Return the ground of registers and of the decoder of their lines."""
    lines = ceil(bits / line)
    address = ceil(log2(lines))
    wires = 4 * (address // 2) + address % 2 * 2
    wide = PROCESS.width(NAND) + (ceil(address / 2) + 1) * PROCESS.pitch
    wide += 2 * PROCESS.width(INVERTER) + PROCESS.wire_pitch * wires
    return REGISTER * ROW * bits + wide * ROW * lines


def _tree(lines: int, levels: int, side: float) -> float:
    """Return the ground of wires that branch to elements; the last branch is over them."""
    folded, repeater = lines / CHIP["tree_folds"], PROCESS.width(repeater_gate())
    found = folded * ROW * (1 << (levels - 1)) * side
    for level in range(1, levels):
        found += level * folded * (repeater + ROW) * side * (1 << (levels - 1 - level)) / 2
    return found


def _bus(tiles: int, lines: float, tall: float) -> float:
    """Return the ground of a bus along the rows of tiles and one along the columns."""
    down = ceil(sqrt(tiles))
    across = ceil(tiles / down)
    repeater = PROCESS.width(repeater_gate())
    return lines / CHIP["bus_folds"] * (repeater * down + ROW * across) * tall


def bus_lines(layers: Sequence[Shape], plan: FloorPlan) -> float:
    """Return what all tiles could take and give at once, halved until a chip may have it."""
    spread = plan.element_side * ceil(sqrt(plan.taps))
    taken = sum(
        count * (spread if spreads(layer, plan) else plan.tile_side)
        for layer, count in zip(layers, plan.tiles, strict=True)
    )
    lines = taken * (1 + 1 / ARRAY["shared"])
    while lines > CHIP["bus_most"]:
        lines /= 2
    return lines


def repeater_gate(*, fastest: bool = False) -> Gate:
    """Return the inverter of long wires, half as wide as the fastest.

    The fastest balances its own input with the wire that it drives. It is halved until that costs
    a tenth of the delay, which the first time does.
    """
    ohm = PROCESS.switching * PROCESS.resistance(INVERTER.n)
    ideal = ohm * PROCESS.wire_ff_um / (PROCESS.input_ff(INVERTER) * PROCESS.wire_ohm_um)
    times = int(sqrt(ideal))
    return INVERTER.sized(times if fastest else times // 2)


def chip_buffers(layers: Sequence[Shape]) -> int:
    """Return how many hold half of what all layers read."""
    held = ARRAY["input_bits"] * sum(s.inputs * s.side_in**2 for s in layers) // 2
    return ceil(held / CHIP["buffer_bits"])


def results(layers: Sequence[Shape], plan: FloorPlan) -> int:
    """Return how many results the chip adds up, or activates, at once."""
    return plan.tile_side * (len(layers) + 1) // ARRAY["shared"]


def _shared(layers: Sequence[Shape], plan: FloorPlan, rows: int) -> Area:
    """Return what there is once: buffer, adders over tiles, pooling and activation."""
    buffers = chip_buffers(layers) * _buffer(CHIP["buffer_bits"], CHIP["buffer_line"])
    at_once = results(layers, plan)
    arrays = plan.element_side // ARRAY["rows"] * ceil(sqrt(plan.taps)) * (len(layers) + 1)
    most = max(ceil(s.inputs * s.taps / plan.tile_side) for s in layers if not spreads(s, plan))
    sums = _trees(most, _bits(rows) + ceil(log2(arrays)), at_once)
    active = at_once * ARRAY["input_bits"] * REGISTER * ROW
    return Area(sums=sums, other=buffers + active + _pool(plan.tile_side // ARRAY["shared"]))


def _pool(units: int) -> float:
    """Return the ground of units that take the largest of four."""
    inverter, nand, pitch = PROCESS.ground(INVERTER), PROCESS.ground(NAND), PROCESS.pitch * ROW
    bit = 9 * inverter + 4 * nand + 3 * 4 * pitch
    once = 7 * inverter + nand + 3 * pitch + PROCESS.ground(gate("pool_nor8"))
    return units * 3 * (ARRAY["input_bits"] * bit + once)
