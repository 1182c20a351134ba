"""Clocks that buffers and wires of NeuroSim V1.4's chip take for a layer on plain tiles."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2, sqrt

from neutrams.mapper.floorplan import FloorPlan
from neutrams.reproduce.circuits import ARRAY, CHIP
from neutrams.reproduce.circuits_chip import bus_lines, chip_buffers, result_bits, results
from neutrams.reproduce.networks import Shape


def moved_clocks(layers: Sequence[Shape], plan: FloorPlan, rows: int, *, layer: int) -> float:
    """Return the clocks of an image: every buffer, bus and tree is passed one after the other.

    A line of a buffer, what a bus is wide, and a sum over tiles or its activation take a clock;
    copies of a matrix share what elements do.
    """
    shape, tiles = layers[layer], plan.tiles[layer]
    windows, outputs = (shape.side_in - 2) ** 2, shape.outputs
    into = shape.inputs * shape.taps * ARRAY["input_bits"] * windows
    out = outputs * ARRAY["input_bits"] * windows
    added = plan.tile_side // plan.element_side
    line = result_bits(rows, plan.element_side) + ceil(log2(added))
    sums = outputs * line * windows
    lines = bus_lines(layers, plan)
    down = ceil(sqrt(sum(plan.tiles)))
    across = ceil(sum(plan.tiles) / down)
    wide = ceil(outputs * ARRAY["weight_bits"] / plan.tile_side)
    at_once = min(chip_buffers(layers), ceil(lines / CHIP["buffer_line"]))
    clocks = (
        sums / (line * added),
        into / CHIP["tile_buffer_line"] / added,
        (into + out) / CHIP["buffer_line"] / at_once,
        ceil(into / lines * down / (tiles / wide)) + ceil(out / lines * across / wide),
        (into + sums) / (added * plan.element_side),
        2 * ceil(windows * outputs / results(layers, plan)),
        (_element_clocks(into, outputs, windows, plan, rows) + windows) / plan.copies[layer],
    )
    return sum(clocks)


def _element_clocks(into: int, outputs: int, windows: int, plan: FloorPlan, rows: int) -> int:
    """Return the clocks of the registers of an element, which hold a vector in and results out."""
    side, shared = plan.element_side, ARRAY["shared"]
    bits = result_bits(rows, 0)
    held = ARRAY["columns"] // shared * (bits + ceil(log2(side // ARRAY["rows"])))
    out = min(outputs * ARRAY["weight_bits"], side) // shared * bits * windows
    return into // (ARRAY["input_bits"] * ARRAY["rows"]) + out // held
