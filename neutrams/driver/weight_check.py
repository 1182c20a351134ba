"""Every weight on a crossbar against the float weight it stands for."""

from __future__ import annotations

import numpy as np

from neutrams.driver.digits import digits_of, whole_weights
from neutrams.driver.links import BROKEN, NOT_RUN, PASSED, Link
from neutrams.driver.sources import clone
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes import PassManager
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
    may stand for larger ones. Where weights were retrained there is nothing to compare with, nor
    where they were pruned.
    """
    network = program.module.graphs.get("float")
    if network is None:
        return Link(NAME, NOT_RUN, note="the program holds no float network (--no-float)")
    if "retrain" in str(program.manifest.get("pipeline", "")):
        return Link(NAME, NOT_RUN, note="the weights were retrained")
    units = [op for op, _ in working_ops(program.module["main"]) if isinstance(op, Mvm)]
    if not units:
        return Link(NAME, NOT_RUN, note="no unit holds weights")
    pruned = "prune-to-blocks" in str(program.manifest.get("pipeline", ""))
    makers = _makers(_canonical(network) if pruned else network)
    compared, largest, first = 0, 0.0, ""
    alone: list[str] = []
    for unit in units:
        maker = makers.get(unit.result.origin)
        moved = _moved(unit, maker, program.target)
        compared += moved.size
        worst = float(moved.max(initial=0.0))
        largest = max(largest, worst)
        if not moved.size:
            alone.append(unit.result.name)
        elif worst > _bound(maker) and not first:
            neuron, place = map(int, np.unravel_index(int(moved.argmax()), moved.shape))
            first = f"{unit.result.name}, neuron {neuron}, weight {place}"
    note = "in steps of the weights" if compared else "no weight was compared"
    if pruned and not compared:
        return Link(NAME, NOT_RUN, note="the weights of all units were pruned")
    if alone:
        note += "; no counterpart of " + ", ".join(alone)
    state = PASSED if compared and not first else BROKEN
    return Link(NAME, state, compared=compared, difference=largest, first=first, note=note)


def _canonical(network: Graph) -> Graph:
    """Return a network as it was before it was pruned; a program keeps it as it was given."""
    copy = clone(network, name=network.name)
    PassManager("canonicalise").run(copy)
    return copy


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


def _moved(unit: Mvm, maker: Op | None, target: Target) -> Array:
    """Return ``[neurons, inputs]`` distances in steps; empty where there is no counterpart."""
    nothing, made = np.zeros((0, 0)), _weights_of(maker)
    if made is None or not isinstance(unit.w, Weight):
        return nothing
    weights, held = _constant(made), unit.w.data
    if weights is None or held is None:
        return nothing
    flat = weights.reshape(len(weights), -1) if isinstance(maker, Conv) else weights.T
    if target.weight_codes[0] == 0 and held.size == 2 * flat.size:  # of `split-signs`
        signs = held.reshape(unit.groups, 2, -1, held.shape[1]).astype(np.int64)
        held = (signs[:, 0] - signs[:, 1]).reshape(flat.shape)
    copies = whole_weights(unit, held)
    if flat.shape != copies.shape[1:]:
        return nothing
    whole, ends = flat.astype(np.float64), _ends(unit, target)
    return np.concatenate([_distance(whole, each.astype(np.float64), ends) for each in copies])


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
