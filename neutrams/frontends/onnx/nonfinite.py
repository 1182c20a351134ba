"""Finds weights with NaN or infinite numbers, which make every result meaningless."""

from __future__ import annotations

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Weight
from neutrams.ir.types import Array

_TAKES_INF = frozenset(
    {
        "nn.equal",
        "nn.greater",
        "nn.greater_equal",
        "nn.less",
        "nn.less_equal",
        "nn.maximum",
        "nn.minimum",
        "tensor.pad",
        "tensor.where",
    }
)
"""Ops where an infinite constant is a bound or a mask."""


def check_finite(graph: Graph, where: Place) -> None:
    """Refuse weights that are not finite; masks and bounds of minus infinity may stay.

    Raises:
        NeutramsError: NT0607, one diagnostic for each such weight.
    """
    faults = [fault for w in graph.weights.values() if (fault := _judge(w, where.file))]
    if faults:
        raise NeutramsError(*faults)


def _judge(weight: Weight, file: str) -> Diagnostic | None:
    data = weight.data
    if data is None or data.dtype.kind != "f":
        return None
    finite = int(np.isfinite(data).sum())
    if finite == data.size:
        return None
    nans, infinite = int(np.isnan(data).sum()), int(np.isinf(data).sum())
    if not nans and _may_be_infinite(weight, data):
        return None
    counts = [f"{n} {name}" for n, name in ((nans, "NaN"), (infinite, "infinite")) if n]
    name = weight.origin or weight.name
    message = f"weight `{name}` holds {' and '.join(counts)} of {data.size} numbers"
    diagnostic = error("NT0607", message).at(Place(file, f"tensor {name}"))
    return diagnostic.help("train or export the model again; a diverged training does this")


def _may_be_infinite(weight: Weight, data: Array) -> bool:
    """A bound of a choice, or an additive mask of zeros and minus infinities."""
    readers = {op.name for op in weight.users}
    is_mask = bool(np.isin(data, (0.0, -np.inf)).all())
    return readers <= _TAKES_INF or (is_mask and readers <= _TAKES_INF | {"nn.add"})
