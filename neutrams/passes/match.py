"""Questions that several passes ask of values and ops."""

from __future__ import annotations

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.types import Array


def constant(value: Value | None) -> Array | None:
    """Return the numbers of a constant; ``None`` for other values and abstract weights."""
    return value.data if isinstance(value, Weight) else None


def scalar(value: Value | None) -> float | None:
    """Return the one number that a constant consists of, else ``None``."""
    data = constant(value)
    return None if data is None or data.size != 1 else float(data.reshape(())[()])


def channel_vector(value: Value, rank: int, axis: int, size: int) -> Array | None:
    """Return ``[size]`` numbers of a constant that, broadcast to ``rank``, varies along ``axis``.

    ``None`` where the value is not constant or varies along another axis.
    """
    data = constant(value)
    if data is None or data.ndim > rank:
        return None
    shape = (1,) * (rank - data.ndim) + data.shape
    if any(dim != 1 for place, dim in enumerate(shape) if place != axis):
        return None
    if shape[axis] not in (1, size):
        return None
    return np.broadcast_to(data.reshape(-1), (size,))


def read_once(graph: Graph, value: Value) -> bool:
    """Whether exactly one operand reads the value, and no graph output does."""
    return len(value.users) == 1 and not any(value is out for out in graph.outputs)


def floats(value: Value) -> bool:
    return value.type.dtype.is_float


def name_of(graph: Graph, old: Value, reader: Op) -> str:
    """Return the name of a value for the one that replaces it; ``reader`` is replaced as well.

    Where nothing else reads the old value, and so it goes, the name is free at once.
    """
    name = old.name
    if old.op is None and any(old is value for value in graph.inputs):
        return name
    if all(user is reader for user in old.users):
        graph.rename(old, f"{name}.old")
    return name


def located(op: Op, like: Op) -> Op:
    """Give a new op the location of the op it stands for."""
    op.where = like.where
    return op
