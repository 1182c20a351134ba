"""Layers that read or hold numbers in digits: what that costs, and which weights those are."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from neutrams.ir.blocks import blocks
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.digits import Digits, Join
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.ir.types import Array


@dataclass(frozen=True, slots=True)
class InDigits:
    """Products with inputs or weights in digits."""

    layers: int
    crossbars: int
    """That they take, every matrix held once."""
    crossbars_without: int
    """That they would take with numbers of the chip's own bits."""


def in_digits(graph: Graph, target: Target) -> InDigits | None:
    """Return what digits cost a unit graph; ``None`` where there are none."""
    units = [op for op, _ in working_ops(graph) if isinstance(op, Mvm)]
    split = {op: counts for op in units if prod(counts := digits_of(op)) > 1}
    if not split:
        return None
    without = 0
    for op, (inputs, weights) in split.items():
        neurons, most = op.outputs // op.groups // weights, target.neurons_at(op.weight_bits)
        without += len(blocks(op.groups // inputs, op.fan_in, neurons, op.rows, most))
    return InDigits(len(split), sum(len(op.table()) for op in split), without)


def digits_of(op: Mvm) -> tuple[int, int]:
    """Return the digits in which a product reads its input, and of its weights."""
    inputs = op.x.op.count if isinstance(op.x.op, Digits) else 1
    return inputs, prod(join.count for join in _joins(op.result)) // inputs


def whole_weights(op: Mvm, held: Array) -> Array:
    """Return ``[digits of the input, neurons, inputs]``: the weights that stand for each digit."""
    inputs, weights = digits_of(op)
    parts = held.astype(np.int64).reshape(inputs, op.groups // inputs, weights, -1, held.shape[1])
    shifts = [join.shifts for join in _joins(op.result)][-1] if weights > 1 else (0,)
    total: Array = (parts << np.array(shifts)[:, None, None]).sum(axis=2)
    return total.reshape(inputs, -1, held.shape[1])


def _joins(value: Value) -> list[Join]:
    """Return what joins the sums of digits: those of the input, then those of weights."""
    for user in value.users:
        if isinstance(user, Reduce | Join):
            return [*([user] if isinstance(user, Join) else []), *_joins(user.result)]
    return []
