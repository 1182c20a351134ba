"""Energies of the wires of NeuroSim V1.4's chip: between tiles, elements and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2, sqrt

from neutrams.mapper.floorplan import FloorPlan
from neutrams.reproduce.circuits import ACTIVITY, ARRAY, INVERTER, PROCESS, array
from neutrams.reproduce.circuits_chip import blocks, repeater_gate, result_bits, spreads
from neutrams.reproduce.networks import Shape
from neutrams.reproduce.process import Gate

_NEARER = 0.9
"""Distance of repeaters half as wide as the fastest, by that of the fastest."""


def wires_pj(layers: Sequence[Shape], plan: FloorPlan, rows: int, *, layer: int) -> float:
    """Return the energy that all wires take for a layer of an image."""
    shape = layers[layer]
    long = _between_tiles(shape, plan, rows) + _between_elements(shape, plan, rows)
    return PROCESS.um * (
        long * _per_um(repeater_gate(), _NEARER)
        + _between_arrays(shape, plan, rows) * _per_um(repeater_gate(fastest=True), 1.0)
    )


def _between_tiles(shape: Shape, plan: FloorPlan, rows: int) -> float:
    """Vectors go half across the columns of tiles, results half up the rows."""
    _, spread, plain = blocks(plan, rows)
    there = spreads(shape, plan)
    down = ceil(sqrt(sum(plan.tiles)))
    across = ceil(sum(plan.tiles) / down)
    pooled = (shape.side_in // shape.side_out) ** 2
    out = shape.outputs * ARRAY["input_bits"] * _windows(shape) / pooled
    tall = (spread if there else plain).height
    up = down - ceil(down / 2) - 1
    return tall * _switched(_vectors(shape, plan) * ceil(across / 2), out * up)


def _between_elements(shape: Shape, plan: FloorPlan, rows: int) -> float:
    """Both go through the tree of each tile that has part of the layer, to its last branch."""
    element, *_ = blocks(plan, rows)
    there = spreads(shape, plan)
    added = plan.taps if there else plan.tile_side // plan.element_side
    levels = ceil(log2(ceil(sqrt(added)))) if there else ceil(log2(added))
    side = plan.element_side if there else plan.tile_side
    beside = ceil(_columns(shape) / side)
    above = ceil(shape.inputs * (1 if there else shape.taps) / side)
    bits = result_bits(rows, plan.element_side) + ceil(log2(added))
    sums = _columns(shape) / ARRAY["shared"] * bits * _windows(shape)
    path = (3 * (1 << (levels - 1)) - 1) * element.height
    return path * _switched(_vectors(shape, plan) * beside, sums * above)


def _between_arrays(shape: Shape, plan: FloorPlan, rows: int) -> float:
    """Within an element, vectors go along a row of arrays, and results along a column."""
    one, side = array(rows), plan.element_side // ARRAY["rows"]
    there = spreads(shape, plan)
    beside = ceil(_columns(shape) / plan.element_side)
    above = ceil(shape.inputs * (1 if there else shape.taps) / plan.element_side)
    above *= plan.taps if there else 1
    read = shape.inputs * shape.taps * ARRAY["input_bits"] * _windows(shape)
    bits = result_bits(rows, 0) + ceil(log2(side))
    sums = _columns(shape) / ARRAY["shared"] * bits * _windows(shape)
    return (side - 1) * _switched(read * beside * one.width, sums * above * one.height)


def _windows(shape: Shape) -> int:
    return (shape.side_in - 2) ** 2 if shape.taps > 1 else 1


def _columns(shape: Shape) -> int:
    return shape.outputs * ARRAY["weight_bits"]


def _vectors(shape: Shape, plan: FloorPlan) -> float:
    """Return the bits that a layer reads; where taps are apart, a row of them is read once."""
    bits = shape.inputs * shape.taps * ARRAY["input_bits"] * _windows(shape)
    return bits / (sqrt(plan.taps) if spreads(shape, plan) else 1)


def _switched(vectors: float, results: float) -> float:
    return vectors * ACTIVITY["inputs"] + results * ACTIVITY["results"]


def _per_um(repeater: Gate, nearer: float) -> float:
    """Return the energy of a bit that switches and a micrometre of wire with its repeaters."""
    ohm = PROCESS.switching * PROCESS.resistance(INVERTER.n)
    own = PROCESS.output_ff(INVERTER) + PROCESS.input_ff(INVERTER)
    apart = nearer * sqrt(2 * ohm * own / (PROCESS.wire_ohm_um * PROCESS.wire_ff_um))
    driven = (PROCESS.output_ff(repeater) + PROCESS.input_ff(repeater)) / apart
    return (driven + PROCESS.wire_ff_um) * PROCESS.supply_v**2 / 2 * 1e-3
