"""Operators that give elements another place: shapes are worked out while compiling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.geometry import whole
from neutrams.frontends.onnx.handlers.symbolic import expanded
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops import tensors as ops
from neutrams.ir.types import Array, Dim, Symbol, product, quotient

FAR = 2**63 - 1
"""ONNX's end of a slice that goes on to the end."""


@handles("Reshape")
def reshape(node: Node, build: Builder) -> Value:
    """``0`` copies a size (not with ``allowzero``), ``-1`` takes what is left."""
    shape = node[0].type.shape
    dims = list(node.dims(1))
    if not node.attr("allowzero", 0):
        if any(d == 0 for d in dims[len(shape) :]):
            raise node.fault("NT0610", f"the target {_shown(dims)} copies a size that is not there")
        dims = [shape[i] if d == 0 else d for i, d in enumerate(dims)]
    return reshaped(node[0], _filled(node, dims), build)


@handles("Flatten")
def flatten(node: Node, build: Builder) -> Value:
    shape = node[0].type.shape
    axis = int(node.attr("axis", 1))
    if not -len(shape) <= axis <= len(shape):
        raise node.fault("NT0610", f"`axis` = {axis} is out of range for `{node[0].type}`")
    axis = axis + len(shape) if axis < 0 else axis
    return reshaped(node[0], (product(shape[:axis]), product(shape[axis:])), build)


@handles("Squeeze")
def squeeze(node: Node, build: Builder) -> Value:
    shape = node[0].type.shape
    ones = tuple(i for i, d in enumerate(shape) if d == 1)
    chosen = given_axes(node, 1, since=13)
    axes = ones if chosen is None else front(node, chosen, len(shape))
    if not set(axes) <= set(ones):
        raise node.fault("NT0610", f"axes {list(axes)} of `{node[0].type}` are not all of size 1")
    return reshaped(node[0], [d for i, d in enumerate(shape) if i not in axes], build)


@handles("Unsqueeze")
def unsqueeze(node: Node, build: Builder) -> Value:
    axes = given_axes(node, 1, since=13)
    if axes is None:
        raise node.fault("NT0611", "`Unsqueeze` needs axes")
    dims: list[Dim] = list(node[0].type.shape)
    for axis in sorted(front(node, axes, len(dims) + len(axes))):
        dims.insert(axis, 1)
    return reshaped(node[0], dims, build)


@handles("Transpose")
def transpose(node: Node, build: Builder) -> Value:
    rank = node[0].type.rank
    permutation = tuple(node.attr("perm", tuple(reversed(range(rank)))))
    if permutation == tuple(range(rank)):
        return node[0]
    return build.add(ops.Transpose(node[0], permutation=permutation))


@handles("Concat")
def concat(node: Node, build: Builder) -> Value:
    parts = [node[i] for i in range(max(len(node), 1))]
    axis = front(node, [int(node.required("axis"))], parts[0].type.rank)[0]
    return parts[0] if len(parts) == 1 else build.add(ops.Concat(tuple(parts), axis=axis))


@handles("Split")
def split(node: Node, build: Builder) -> tuple[Value, ...]:
    """Pieces of stated sizes, or of equal ones, the last smaller where they do not come out."""
    axis = front(node, [int(node.attr("axis", 0))], node[0].type.rank)[0]
    if node.version < 13:
        sizes = tuple(node.attr("split", ()))
    else:
        sizes = tuple(int(size) for size in node.const_or(1, ()))
    if not sizes:
        sizes = _equal(node, whole(node, node[0].type.shape[axis]))
    return build.add_all(ops.Split(node[0], axis=axis, sizes=sizes))


@handles("Slice")
def slice_by_attributes(node: Node, build: Builder) -> Value:
    starts, ends = tuple(node.required("starts")), tuple(node.required("ends"))
    axes = tuple(node.attr("axes", range(len(starts))))
    return _sliced(node, starts, ends, axes, (1,) * len(starts), build)


@handles("Slice", since=10)
def slice_by_inputs(node: Node, build: Builder) -> Value:
    starts, ends = node.dims(1), node.dims(2)
    axes = tuple(int(a) for a in node.const_or(3, range(len(starts))))
    steps = tuple(int(s) for s in node.const_or(4, (1,) * len(starts)))
    return _sliced(node, starts, ends, axes, steps, build)


@handles("Pad")
def pad_by_attributes(node: Node, build: Builder) -> Value:
    value = float(node.attr("value", 0.0))
    filler = build.constant(np.array(value, node[0].type.dtype.numpy)) if value else None
    return _padded(node, tuple(node.required("pads")), filler, build)


@handles("Pad", since=11)
def pad_by_inputs(node: Node, build: Builder) -> Value:
    rank = node[0].type.rank
    given = [int(p) for p in node.const(1)]
    axes = front(node, [int(a) for a in node.const_or(3, range(rank))], rank)
    if len(given) != 2 * len(axes):
        raise node.fault("NT0611", f"{len(given)} pads are given for {len(axes)} axes")
    pads = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        pads[axis], pads[rank + axis] = given[i], given[len(axes) + i]
    return _padded(node, tuple(pads), node.get(2), build)


@handles("Expand")
def expand(node: Node, build: Builder) -> Value:
    return expanded(node, node[0], node.dims(1), build)


@handles("Tile")
def tile(node: Node, build: Builder) -> Value:
    """A symbol may repeat an axis of size 1, as when a token is repeated for each sample."""
    shape, repeats = node[0].type.shape, node.dims(1)
    if len(repeats) != len(shape):
        raise node.fault("NT0611", f"{len(repeats)} repeats are given for {len(shape)} axes")
    pairs = list(zip(shape, repeats, strict=True))
    wide = [r if isinstance(r, Symbol) and d == 1 else d for d, r in pairs]
    rest = [1 if w != d else whole(node, r) for (d, r), w in zip(pairs, wide, strict=True)]
    x = expanded(node, node[0], wide, build)
    return x if set(rest) <= {1} else build.add(ops.Tile(x, repeats=tuple(rest)))


def reshaped(x: Value, dims: Sequence[Dim], build: Builder) -> Value:
    """Return ``x`` in another shape, or as it is where it has that shape."""
    return x if x.type.shape == tuple(dims) else build.add(ops.Reshape(x, shape=tuple(dims)))


def given_axes(node: Node, index: int, *, since: int) -> tuple[int, ...] | None:
    """Return axes, an attribute before opset ``since`` and an input from then on."""
    if node.version < since:
        found = node.attr("axes", None)
        return None if found is None else tuple(found)
    return None if node.get(index) is None else tuple(int(a) for a in node.const(index).flat)


def front(node: Node, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Return axes counted from the front.

    Raises:
        NeutramsError: NT0610, one is out of range or named twice.
    """
    found = tuple(axis + rank if axis < 0 else axis for axis in axes)
    if len(set(found)) != len(found) or any(not 0 <= axis < rank for axis in found):
        raise node.fault("NT0610", f"axes {list(axes)} do not fit {rank} dimensions")
    return found


def _filled(node: Node, dims: Sequence[Dim]) -> tuple[Dim, ...]:
    """Return a target shape with its one ``-1`` worked out."""
    if any(isinstance(d, int) and d < -1 for d in dims) or list(dims).count(-1) > 1:
        raise node.fault("NT0610", f"the target {_shown(dims)} is not a shape")
    if -1 not in dims:
        return tuple(dims)
    left = quotient(node[0].type.elements, product(d for d in dims if d != -1))
    if left is None:
        raise node.fault("NT0109", f"`{node[0].type}` does not fill the target {_shown(dims)}")
    return tuple(left if d == -1 else d for d in dims)


def _equal(node: Node, size: int) -> tuple[int, ...]:
    count = int(node.attr("num_outputs", node.outputs))
    if count < 1 or (size % count and node.version < 18):
        raise node.fault("NT0610", f"a size of {size} does not split into {count} equal pieces")
    piece = -(-size // count)
    sizes = (*(piece,) * (count - 1), size - piece * (count - 1))
    if sizes[-1] < 0:
        raise node.fault("NT0610", f"a size of {size} does not split into {count} pieces")
    return sizes


def pieces(size: int, given: Array) -> tuple[int, ...]:
    """Return the sizes that one number, the last smaller, or several state."""
    if given.ndim:
        return tuple(int(each) for each in given)
    piece = int(given)
    return tuple(min(piece, size - begin) for begin in range(0, size, piece))


def _sliced(
    node: Node, starts: Sequence[Dim], ends: Sequence[Dim], axes: Sequence[int],
    steps: Sequence[int], build: Builder,
) -> Value:  # fmt: skip
    """Cut along axes; an end that is the symbol of its axis means all of it."""
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise node.fault("NT0611", "starts, ends, axes and steps differ in number")
    shape = node[0].type.shape
    found = front(node, axes, len(shape))
    far = [FAR if e == shape[axis] else e for e, axis in zip(ends, found, strict=True)]
    unknown = [d for d in (*starts, *far) if isinstance(d, Symbol)]
    if unknown:
        raise node.fault("NT0605", f"a slice begins or ends at `{unknown[0]}`, which is no number")
    cut = ops.Slice(
        node[0],
        starts=cast("tuple[int, ...]", tuple(starts)),
        ends=cast("tuple[int, ...]", tuple(far)),
        axes=found,
        steps=() if set(steps) <= {1} else tuple(steps),
    )
    return node[0] if cut.result.type.shape == shape and set(steps) <= {1} else build.add(cut)


def _padded(node: Node, pads: tuple[int, ...], value: Value | None, build: Builder) -> Value:
    mode = node.attr("mode", "constant") or "constant"
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise node.fault("NT0610", f"`mode` = `{mode}` is not supported")
    if not any(pads):
        return node[0]
    filler = value if mode == "constant" else None
    return build.add(ops.Pad(node[0], filler, pads=pads, mode=mode))


def _shown(dims: Sequence[Dim]) -> str:
    return "[" + ", ".join(map(str, dims)) + "]"
