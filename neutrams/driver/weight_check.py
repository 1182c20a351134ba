"""Every weight on a crossbar against the float weight it stands for."""

from __future__ import annotations

from collections import Counter

import numpy as np

from neutrams.driver.digits import digits_of, whole_weights
from neutrams.driver.links import BROKEN, NOT_RUN, PASSED, Link
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
        places = None if held is None else Counterpart.from_manifest(held)
        maker = makers.get(unit.result.origin if places is None else places.product)
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


def _moved(unit: Mvm, maker: Op | None, places: Counterpart | None, target: Target) -> Array:
    """Return distances in steps, a row for each neuron; empty where there is no counterpart."""
    nothing, made = np.zeros((0, 0)), _weights_of(maker)
    if made is None or not isinstance(unit.w, Weight):
        return nothing
    weights, held = _constant(made), unit.w.data
    if weights is None or held is None:
        return nothing
    flat = weights.reshape(len(weights), -1) if isinstance(maker, Conv) else weights.T
    flat = flat.astype(np.float64)
    if places is not None:
        flat = _part(flat, places)
    if target.weight_codes[0] == 0 and held.size % (2 * flat.size) == 0:  # of `split-signs`
        signs = held.reshape(unit.groups, 2, -1, held.shape[1]).astype(np.int64)
        held = (signs[:, 0] - signs[:, 1]).reshape(-1, held.shape[1])
    copies = whole_weights(unit, held).astype(np.float64)
    if copies.shape[1] != len(flat) or copies.shape[2] % max(flat.shape[1], 1):
        return nothing
    # of `widen-inputs`: the same weights once more for each copy of the inputs
    apart = np.split(copies, copies.shape[2] // max(flat.shape[1], 1), axis=2)
    copies, ends = np.concatenate(apart), _ends(unit, target)
    wanted = np.broadcast_to(flat, copies.shape)
    if places is not None:  # parts may leave a unit with their sign turned
        turned = np.sign((copies * flat).sum(axis=2, keepdims=True))
        wanted = wanted * np.where(turned, turned, 1)
    pairs = zip(wanted, copies, strict=True)
    return np.concatenate([_distance(weights, each, ends) for weights, each in pairs])


def _part(flat: Array, places: Counterpart) -> Array:
    """Return the weights at some places of a matrix; 0 where a unit holds none."""
    neurons = places.neurons.reshape(len(places.rows), -1, 1)
    rows = places.rows[:, None, :]
    inside = (neurons >= 0) & (rows >= 0)
    found = np.where(inside, flat[neurons, rows % flat.shape[1]], 0.0)
    return found.reshape(len(places.neurons), -1)


def _distance(weights: Array, held: Array, ends: tuple[int, int]) -> Array:
    low, high = ends
    power = (held**2).sum(axis=1, keepdims=True)
    scale = (weights * held).sum(axis=1, keepdims=True) / np.where(power, power, 1)
    steps = weights / np.where(scale, scale, 1)
    beyond = ((held >= high) & (steps > high)) | ((held <= low) & (steps < low))
    moved: Array = np.where(beyond | (power == 0), 0.0, np.abs(steps - held))
    return np.where((scale <= 0) & (power > 0), np.abs(held), moved)


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
