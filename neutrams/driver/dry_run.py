"""Does a network fit its chip? Known before anything is calibrated, quantised or trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from neutrams.driver.placing.buffers import check_buffers
from neutrams.driver.placing.packing import kinds_of_units, pack_blocks
from neutrams.driver.placing.rounds import check_rounds, plan_rounds
from neutrams.ir.blocks import blocks
from neutrams.ir.cores import crossbars_by_kind
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.passes import Pass, PassContext
from neutrams.passes.bits import REST, parse_bits
from neutrams.passes.quantize import Quantize
from neutrams.passes.quantize_plan import stays_float
from neutrams.passes.split_fan_in import Shape, SplitFanIn

TRAINING = ("equalise-channels", "retrain-units")
"""Passes that take long, and change no shape."""
NAMED = 3
"""Layers that a refusal names, the largest first."""


def check_fit(
    graph: Graph, target: Target, passes: Sequence[Pass], *, rounds: int | None = 1
) -> None:
    """Cut and pack the products of a float network as ``passes`` will, every matrix held once.

    Only what crossbars are sure to hold is counted, so that nothing is refused which would fit.

    Raises:
        NeutramsError: NT0401, the chip has too few crossbars; NT0403, and in so many rounds too.
    """
    splits = any(isinstance(made, SplitFanIn) for made in passes)
    if not splits or graph.level != "nn" or any(op.name == "nn.quantize" for op in graph.ops):
        return
    counted = block_counts(graph, passes, target)
    sizes = {name: count for name, (_, count) in counted.items()}
    kinds = np.array([kind for kind, _ in counted.values()], np.int64)
    blocks_of = np.array(list(sizes.values()), np.int64)
    if rounds != 1:
        have = crossbars_by_kind(target.machine)
        needed = np.bincount(kinds, weights=blocks_of, minlength=len(have)).astype(np.int64)
        check_rounds(needed, have, rounds)
        return
    try:
        pack_blocks(blocks_of, target, kinds)
    except NeutramsError as fault:
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:NAMED]
        named = ", ".join(f"`{name}` takes {count}" for name, count in largest)
        raise NeutramsError(
            *(d.note(f"largest first: {named}") for d in fault.diagnostics)
        ) from None


def check_units(graph: Graph, target: Target, *, rounds: int | None = 1) -> None:
    """Refuse a network of units that does not fit, before it is trained or placed.

    Raises:
        NeutramsError: NT0401, NT0403 to NT0405, for want of crossbars or buffers.
    """
    if plan_rounds(graph, target, most=rounds) is None:
        units = [op for op, _ in working_ops(graph) if isinstance(op, Mvm)]
        sizes = np.array([len(unit.table()) for unit in units], np.int64)
        pack_blocks(sizes, target, kinds_of_units(units, target))
    check_buffers(graph, target)


def weight_bits(passes: Sequence[Pass], target: Target) -> Callable[[str], int]:
    """Return the weight bits that passes will give to a product, by the name of its result."""
    rounding = next((made for made in passes if isinstance(made, Quantize)), Quantize())
    usual = rounding.weight_bits or target.limits.weight_bits
    wanted = parse_bits(rounding.bits)
    rest = wanted[REST].weights if REST in wanted else usual
    return lambda name: wanted[name].weights if name in wanted else rest


def block_counts(
    graph: Graph, passes: Sequence[Pass], target: Target
) -> dict[str, tuple[int, int]]:
    """Return kind of core and crossbars that each product will take, by the name of its result."""
    split = next(made for made in passes if isinstance(made, SplitFanIn))
    ctx, bits = PassContext(target=target), weight_bits(passes, target)
    shapes = {
        op.result.name: Shape(*_shape(op), bits(op.result.name))
        for each in (graph, *graph.cells())
        for op in each.ops
        if isinstance(op, Conv | Matmul) and not stays_float(op) and each.is_read(op.result)
    }
    sizes = split.choose(list(shapes.values()), ctx)
    return {
        name: (kind, len(blocks(*shape[:3], rows, neurons)))
        for (name, shape), (kind, rows, neurons) in zip(shapes.items(), sizes, strict=True)
    }


def _shape(op: Conv | Matmul) -> tuple[int, int, int]:
    """Return groups, and inputs and neurons of one group."""
    if isinstance(op, Conv):
        shape = op.w.type.static_shape()
        return op.groups, prod(shape[1:]), shape[0] // op.groups
    inputs, neurons = op.b.type.static_shape()
    return 1, inputs, neurons
