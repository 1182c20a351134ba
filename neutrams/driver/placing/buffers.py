"""What tiles must keep in their buffers while an inference streams through them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from neutrams.driver.placing.traffic import Homes, needs
from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.time import within, working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.ir.windows import filled
from neutrams.simulator.batching import batching
from neutrams.simulator.digital import Sizes, elements, streams


def buffered(ops: Iterable[Op], homes: Homes, sizes: Sizes, *, tiles: int) -> NDArray[np.int64]:
    """Return the bytes that each tile must hold at least: what its ops need of their operands.

    An op on windows needs as many rows as a window has (ISAAC, section VI), a matrix one place, an
    op that mixes everything all of it. What waits for a slower branch comes on top.
    """
    found = np.zeros(tiles)
    for op, _ in within(ops):
        at = needs(op, homes.units[op]) if isinstance(op, Mvm) else homes.spreads[op]
        for value in _kept(op):
            np.add.at(found, at.tiles, at.share * _bytes(op, value, sizes))
    return np.ceil(found).astype(np.int64)


def check_buffers(graph: Graph, target: Target) -> None:
    """Refuse a network that streams through no mapping: all buffers together lack the room.

    Raises:
        NeutramsError: NT0405.
    """
    sizes = batching(graph).one()
    least: dict[Value, float] = {}
    for op, _ in working_ops(graph):
        for value in _kept(op):
            least[value] = max(least.get(value, 0.0), _bytes(op, value, sizes))
    needed, machine = int(sum(least.values())), target.machine
    available = machine.tiles * machine.tile.buffer_bytes
    if needed <= available:
        return
    largest = max(least, key=lambda value: least[value])
    fault = error("NT0405", f"the chip's buffers are too small: {needed} bytes, not {available}")
    fault = fault.note(f"{machine.tiles} tiles × {machine.tile.buffer_bytes} bytes = {available}")
    fault = fault.note(f"most is for `%{largest.name}`: {int(least[largest])} bytes at once")
    size = -(-needed // machine.tiles)
    raise NeutramsError(fault.help(f"larger buffers: --set tile.buffer_bytes={size}"))


def _kept(op: Op) -> Iterator[Value]:
    """Yield the operands that lie in buffers."""
    for value in dict.fromkeys(op.present):
        if not isinstance(value, Weight) and not streams(value):
            yield value


def _bytes(op: Op, value: Value, sizes: Sizes) -> float:
    whole = elements(value, sizes) * value.type.dtype.numpy.itemsize
    return whole * _part(op, value, sizes)


def _part(op: Op, value: Value, sizes: Sizes) -> float:
    """Return which part of an operand an op needs at once."""
    kernel: tuple[int, ...] = getattr(op, "kernel", ())
    shape = value.type.shape
    if kernel and value.type.rank == len(kernel) + 2:
        _, _, dilations = filled(len(kernel), (), (), getattr(op, "dilations", ()))
        height = shape[2] if isinstance(shape[2], int) else 1
        return min(1.0, ((kernel[0] - 1) * dilations[0] + 1) / height)
    if isinstance(op, Mvm):
        return 1 / max(elements(value, sizes) // (op.groups * op.fan_in), 1)
    mixed = op.mixes()
    streamed = mixed is not None and not any(mixed)
    return 0.0 if streamed or op.name in ("tensor.reshape", "unit.lut") else 1.0
