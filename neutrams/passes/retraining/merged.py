"""What the original network says of units that read parts of a product, and of those that merge.

The original has the whole product only. A part should make its share of it, in its own steps; the
last unit of a merge should make the whole. Units in between are left as they are.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.base import PassContext
from neutrams.passes.linear import Linear, linear
from neutrams.passes.match import constant
from neutrams.passes.retraining.teacher import Lesson, Teacher, lesson, whole_matrix
from neutrams.training.units import Unit, find_unit

Floats = NDArray[np.float64]


def merged_lessons(graph: Graph, teacher: Teacher, ctx: PassContext) -> dict[Mvm, Lesson]:
    """Return the lessons of all merged products; what parts should make joins the teacher."""
    found: dict[Mvm, Lesson] = {}
    for op in graph.ops:
        chain = _chain(op, ctx) if isinstance(op, Mvm) and op.result.origin else []
        if len(chain) > 1:
            found.update(_lessons(chain, graph, teacher, ctx))
    return found


def _chain(op: Mvm, ctx: PassContext) -> list[Mvm]:
    """Return a merging unit and those below it, down to the parts; empty where it merges none."""
    chain = [op]
    while chain[-1].result.name not in ctx.parts:
        below = _below(chain[-1].x)
        if below is None or below.result.origin:
            return []
        chain.append(below)
    return chain


def _below(value: Value) -> Mvm | None:
    """Return the product whose rounded sums a unit reads, moves apart."""
    op = value.op
    for kind in (Gather, Rescale, Reduce):
        if isinstance(op, kind):
            op = next(op.present).op
        elif kind is not Gather:
            return None
    return op if isinstance(op, Mvm) else None


def _lessons(
    chain: list[Mvm], graph: Graph, teacher: Teacher, ctx: PassContext
) -> dict[Mvm, Lesson]:
    root, part = chain[0], chain[-1]
    made = teacher.value(root.result)
    item = linear(made.op) if made is not None else None
    end, inner = find_unit(root, graph), _rescale_of(part, graph)
    if item is None or isinstance(end, str) or inner is None:
        return {}
    post = end[1]
    step = 1.0 if isinstance(post, Dequantize) else ctx.grids[post.result.name][0]
    slope = _vector(post.scale, root.outputs) * step
    whole = lesson(root, graph, teacher, _numbers(root.w) * slope[:, None])
    if isinstance(whole, str):
        return {}
    for above, below in pairwise(chain):
        slope = _slopes(above, slope, below.outputs)
        between = _rescale_of(below, graph)
        if below is not part and between is not None:
            slope = slope * _vector(between[1].scale, below.outputs)
    reduce, rescale = inner
    share = _share(item, part, slope, ctx)
    unit = Unit(part, reduce, rescale, _tensor(share), _tensor(np.zeros(part.outputs)))
    zero = ctx.grids[part.x.name][1]
    bias = unit.bias_of(zero).double().numpy() * _vector(rescale.scale, part.outputs)
    sums = _teach(teacher, item, part, share, bias, ctx)
    return {part: Lesson(unit, sums, bias), root: whole}


def _rescale_of(op: Mvm, graph: Graph) -> tuple[Reduce, Rescale] | None:
    """Return the sum and the rounding behind a product that other units read."""
    found = find_unit(op, graph)
    if isinstance(found, str) or isinstance(found[1], Dequantize):
        return None
    return found[0], found[1]


def _slopes(op: Mvm, slope: Floats, count: int) -> Floats:
    """Return what a step of each of ``count`` channels adds to the whole, in real numbers.

    ``slope`` says it of a step of each sum of ``op``. Of outputs for either sign one counts.
    """
    weights = _numbers(op.w) * slope[:, None]
    by_group = weights.reshape(op.groups, -1, op.fan_in)
    largest = np.abs(by_group).argmax(axis=1, keepdims=True)
    each = np.take_along_axis(by_group, largest, axis=1).reshape(-1)
    index = _numbers(op.x.op.indices).astype(np.int64) if isinstance(op.x.op, Gather) else None
    order = np.argsort(np.abs(each), kind="stable")
    found = np.zeros(count)
    found[(np.arange(count) if index is None else index)[order]] = each[order]
    return found


def _share(item: Linear, part: Mvm, slope: Floats, ctx: PassContext) -> Floats:
    """Return the weights of a part's outputs, ``[outputs, rows]``, in real inputs and own steps."""
    cut = ctx.parts[part.result.name]
    whole = whole_matrix(item, cut.fan_in)
    picked = np.where(cut.source >= 0, whole.reshape(-1)[cut.source], 0.0)
    safe = np.where(slope == 0, 1.0, slope)[:, None]
    return np.where(slope[:, None] == 0, 0.0, picked / safe)


def _teach(
    teacher: Teacher, item: Linear, part: Mvm, share: Floats, bias: Floats, ctx: PassContext
) -> Value:
    """Add what the outputs of a part should be to the teacher, and return it."""
    cut = ctx.parts[part.result.name]
    own = item.w.size // item.neurons
    column = cut.source % cut.fan_in % own
    matrix = np.zeros((part.outputs, own))
    rows = np.broadcast_to(np.arange(part.outputs)[:, None], cut.source.shape)
    held = cut.source >= 0
    np.add.at(matrix, (rows[held], column[held]), share[held])
    name, dtype = part.result.name, item.w.dtype
    constants = Weight(f"{name}.bias", bias.astype(dtype))
    if isinstance(item.op, Matmul):
        product = Matmul(item.x, Weight(f"{name}.w", matrix.T.astype(dtype)))
        ops: list[Op] = [product, Add(product.result, constants)]
    else:
        assert isinstance(item.op, Conv)
        kernel = Weight(f"{name}.w", matrix.reshape(-1, *item.w.shape[1:]).astype(dtype))
        op = item.op
        geometry = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
        ops = [Conv(item.x, kernel, constants, groups=op.groups, **geometry)]
    teacher.extra += ops
    return ops[-1].results[0]


def _vector(value: Value, size: int) -> Floats:
    return np.broadcast_to(_numbers(value), (size,))


def _numbers(value: Value) -> Floats:
    data = constant(value)
    assert data is not None
    return data.astype(np.float64)


def _tensor(a: Floats) -> torch.Tensor:
    return torch.from_numpy(np.array(a, np.float32, order="C"))
