"""Every weight on a crossbar against the float weight it stands for."""

from __future__ import annotations

from collections import Counter

import numpy as np

from neutrams.driver.digits import digits_of, whole_weights
from neutrams.driver.parity.links import BROKEN, NOT_RUN, PASSED, Link
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes.counterparts import Counterpart
from neutrams.passes.digits import WeightDigits

NAME = "float weights → unit weights"

STEPS = 1.25
"""Steps between a weight and its float counterpart: half of one by rounding, one where rounding
is learnt, and the error of a scale that is estimated from the weights themselves."""
SAME = 0.01
"""The same where the network came with integer weights, which must be kept."""


def check_weights(program: Program) -> Link:
    """Compare what crossbars hold with the weights of the float network, in steps.

    The scale of each neuron is the one of least squared error. Weights at the end of their range
    may stand for larger ones. Pruned products are compared with those of the pruned float network.
    Units that the network has nothing like (which merge, hand on, or make a function) are counted;
    one that nothing is known of breaks the link. Where weights were retrained there is nothing to
    compare with.
    """
    graphs = program.module.graphs
    network = graphs.get("pruned", graphs.get("float"))
    if network is None:
        return Link(NAME, NOT_RUN, note="the program holds no float network (--no-float)")
    if "retrain" in str(program.manifest.get("pipeline", "")):
        return Link(NAME, NOT_RUN, note="the weights were retrained")
    units = [op for op, _ in working_ops(program.module["main"]) if isinstance(op, Mvm)]
    if not units:
        return Link(NAME, NOT_RUN, note="no unit holds weights")
    makers, known = _makers(network), program.manifest.get("counterparts", {})
    compared, largest, first = 0, 0.0, ""
    others: Counter[str] = Counter()
    for unit in units:
        held = known.get(unit.result.name)
        if isinstance(held, str):
            others[held] += 1
            continue
        whole = Counterpart.of(unit, digits_of(unit))
        places = whole if held is None else Counterpart.from_manifest(held)
        maker = makers.get(places.product)
        moved = _moved(unit, maker, places, program.target)
        compared += moved.size
        worst = float(moved.max(initial=0.0))
        largest = max(largest, worst)
        if first:
            continue
        if not moved.size:
            first = f"{unit.result.name}, of which no counterpart is known"
        elif worst > _bound(maker):
            neuron, place = map(int, np.unravel_index(int(moved.argmax()), moved.shape))
            first = f"{unit.result.name}, neuron {neuron}, weight {place}"
    own = [f"{count} of units that {why}" for why, count in others.items()]
    if not compared and not first:
        return Link(NAME, NOT_RUN, note="; ".join(["no unit holds weights of the network", *own]))
    note = "; ".join(["in steps of the weights", *own])
    state = BROKEN if first else PASSED
    return Link(NAME, state, compared=compared, difference=largest, first=first, note=note)


def _bound(maker: Op | None) -> float:
    """Return how far, in steps, weights may be from those of a product of the float network."""
    return STEPS if isinstance(_weights_of(maker), Weight) else SAME


def _weights_of(maker: Op | None) -> Value | None:
    match maker:
        case Conv():
            return maker.w
        case Matmul():
            return maker.b
    return None


def _makers(graph: Graph) -> dict[str, Op]:
    """Return the products of the float network by the name of what they make."""
    found: dict[str, Op] = {}
    for op, _ in working_ops(graph):
        if isinstance(op, Conv | Matmul):
            found.setdefault(op.result.origin, op)
            found[op.result.name] = op
    return found


def _moved(unit: Mvm, maker: Op | None, places: Counterpart, target: Target) -> Array:
    """Return distances in steps, a row for each neuron; empty where there is no counterpart."""
    nothing, made = np.zeros((0, 0)), _weights_of(maker)
    if made is None or not isinstance(unit.w, Weight):
        return nothing
    weights, held = _constant(made), unit.w.data
    if weights is None or held is None:
        return nothing
    flat = weights.reshape(len(weights), -1) if isinstance(maker, Conv) else weights.T
    copies = whole_weights(unit, held).astype(np.float64)
    reads, neurons = flat.shape[1], places.neurons
    if not reads or copies.shape[1] != len(neurons) or neurons.max(initial=0) >= len(flat):
        return nothing
    if places.rows.shape[1] != copies.shape[2]:
        return nothing
    wanted = _part(flat.astype(np.float64), places)
    if places.turned:
        other = _part(-flat.astype(np.float64), places)
        fits = [(copies * each).sum(axis=(0, 2)) for each in (wanted, other)]
        wanted = np.where((fits[0] >= fits[1])[:, None], wanted, other)
    return _distance(np.broadcast_to(wanted, copies.shape), copies, neurons, _ends(unit, target))


def _part(flat: Array, places: Counterpart) -> Array:
    """Return the weights at some places of a matrix; 0 where a unit holds none.

    Widened inputs read the same weights once more for each copy.
    """
    groups = len(places.rows)
    neurons, rows = places.neurons.reshape(groups, -1, 1), places.rows[:, None, :]
    inside = (neurons >= 0) & (rows >= 0)
    found = np.where(inside, flat[neurons, rows % flat.shape[1]], 0.0)
    sides = places.sides.reshape(groups, -1, 1)
    found = np.where(sides, np.maximum(found * sides, 0.0), found)
    return found.reshape(len(places.neurons), -1)


def _distance(weights: Array, held: Array, neurons: Array, ends: tuple[int, int]) -> Array:
    """Return how far weights ``[copies, outputs, inputs]`` are apart, in steps of their neuron."""
    low, high = ends
    own = np.unique(neurons, return_inverse=True)[1]
    power: Array = np.bincount(own, (held**2).sum(axis=(0, 2)))[own][:, None]
    fits: Array = np.bincount(own, (weights * held).sum(axis=(0, 2)))[own][:, None]
    scale: Array = fits / np.where(power, power, 1)
    steps = weights / np.where(scale, scale, 1)
    beyond = ((held >= high) & (steps > high)) | ((held <= low) & (steps < low))
    moved: Array = np.where(beyond | (power == 0), 0.0, np.abs(steps - held))
    found: Array = np.where((scale <= 0) & (power > 0), np.abs(held), moved)
    return found.reshape(-1, held.shape[2])


def _ends(unit: Mvm, target: Target) -> tuple[int, int]:
    """Return the ends of the weights that rounding chose from."""
    if (count := digits_of(unit)[1]) > 1:
        most = WeightDigits.of(unit.weight_bits, coding=unit.coding).most(count)
        return -most, most
    top = 2 ** (unit.weight_bits - 1) - 1
    low, high = target.chosen_weights
    return max(low, -top), min(high, top)


def _constant(value: Value) -> Array | None:
    """Return the numbers of a weight, or of what follows from weights alone."""
    if isinstance(value, Weight):
        return value.data
    if value.op is None:
        return None
    operands = [None if each is None else _constant(each) for each in value.op.operands]
    if any(array is None for array in operands):
        return None
    made = value.op.evaluate(*operands)
    found: Array = made[value.index] if isinstance(made, tuple) else made
    return found
