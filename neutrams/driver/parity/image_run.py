"""Run the network of an image, its products read off the cells that the image holds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from neutrams.driver.image import Unit
from neutrams.ir.graph import Graph
from neutrams.ir.op import Weight
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.ir.windows import filled


class Programmed(Mvm):
    """A matrix unit that computes with the cells of an image, by the geometry the image states."""

    unit: Unit

    def evaluate(self, x: Array, w: Array) -> Array:
        facts = self.unit.facts
        kernel: tuple[int, ...] = tuple(facts["kernel"])
        seen = _windows(x, kernel, facts) if kernel else x
        places = seen.shape[: 1 + len(kernel)] if kernel else seen.shape[:-1]
        drive = seen.reshape(-1, facts["groups"], self.fan_in).astype(np.int64)
        found = self.unit.sums(drive + facts["input_offset"], self.outputs)
        apart = found.reshape(len(found), *places, self.outputs)
        return np.moveaxis(apart, -1, 2) if kernel else apart


def programmed(graph: Graph, units: Mapping[str, Unit]) -> Graph:
    """Let the matrix units of an image's network compute with its cells; changes the graph.

    Every unit of the network must be one of ``units``.
    """
    for each in (*graph.cells(), graph):
        for op in [op for op in each.ops if isinstance(op, Mvm)]:
            assert isinstance(op.w, Weight)
            made = Programmed(op.x, op.w, **op.attributes())
            made.unit = units[op.result.name]
            op.w.data = np.zeros(op.w.type.static_shape(), op.w.type.dtype.numpy)
            each.replace(op, made)
    return graph


def matrix(unit: Unit, op: Mvm) -> tuple[Array, Array]:
    """Return ``[neurons, inputs]`` as the cells of a unit hold it, and how often each is held."""
    held = np.zeros((op.outputs, op.fan_in), np.int64)
    times = np.zeros_like(held)
    each = op.outputs // op.groups
    for block in unit.blocks:
        group, end, low, high, first, last = block.table
        found, count = block.integers(unit.encoding), end - group
        apart = found.reshape(count, high - low, count, last - first)
        for place in range(count):
            rows = slice((group + place) * each + first, (group + place) * each + last)
            held[rows, low:high] += apart[place, :, place].T
            times[rows, low:high] += 1
    return held, times


def _windows(x: Array, kernel: tuple[int, ...], facts: Mapping[str, list[int]]) -> Array:
    """Return ``[N, *out, C, *kernel]``: every window of ``[N, C, *sizes]``."""
    rank = len(kernel)
    strides, pads, dilations = filled(
        rank, *(tuple(facts[name]) for name in ("strides", "pads", "dilations"))
    )
    around = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    x = np.pad(x, around, constant_values=facts["pad_value"])
    reach = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True))
    axes = tuple(range(2, 2 + rank))
    seen = sliding_window_view(x, reach, axis=axes)
    every = (slice(None), slice(None), *(slice(None, None, step) for step in strides))
    seen = seen[(*every, *(slice(None, None, step) for step in dilations))]
    return np.moveaxis(seen, 1, 1 + rank)
