"""Run the ops of a graph in torch: integers exactly, gradients straight through the rounding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType
from neutrams.training.rules import CLOSE, EXACT, RULES

Live = MutableMapping[Value, Tensor]


class Run:
    """How ops are run: what stands in for weights and attributes, and what may be hurried.

    ``fast`` allows float32 sums beyond 2^24, for training only. ``merging`` adds the partial sums
    of all splits at once where only a ``unit.reduce`` reads them, and no converter is lossy.
    """

    def __init__(
        self,
        *,
        device: str = "cpu",
        weights: Mapping[Value, Tensor] | None = None,
        attributes: Mapping[tuple[Op, str], Tensor] | None = None,
        fast: bool = False,
        merging: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.fast = fast
        self._merging = merging
        self._weights = weights or {}
        self._attributes = attributes or {}
        self._known: dict[Value, Tensor] = {}

    def merges(self, op: Mvm) -> bool:
        return self._merging and all(isinstance(user, Reduce) for user in op.result.users)

    def attribute(self, op: Op, name: str) -> Tensor:
        """Return a number of an op as a float32 tensor, or what stands in for it."""
        given = self._attributes.get((op, name))
        if given is not None:
            return given
        return torch.tensor(getattr(op, name), dtype=torch.float32, device=self.device)

    def weight(self, weight: Weight) -> Tensor:
        """Return a constant, or what stands in for it."""
        given = self._weights.get(weight)
        if given is not None:
            return given
        if weight not in self._known:
            assert weight.data is not None, f"`@{weight.name}` is abstract"
            self._known[weight] = to_tensor(weight.data, self.device)
        return self._known[weight]


def to_tensor(array: Array, device: torch.device | str = "cpu") -> Tensor:
    """Return an array as floats that hold its numbers exactly."""
    if array.dtype.kind == "f":
        wide = torch.float64 if array.dtype.itemsize == 8 else torch.float32
    else:
        largest = np.abs(array.astype(np.float64)).max(initial=0)
        wide = torch.float32 if largest < EXACT else torch.float64
    return torch.from_numpy(np.array(array)).to(device, wide)


def to_array(tensor: Tensor, dtype: DType) -> Array:
    """Return a tensor in the element type it stands for."""
    return np.asarray(tensor.detach().cpu().numpy().astype(dtype.numpy))


def execute(ops: Iterable[Op], live: Live, run: Run) -> None:
    """Run ops in order and add their results to ``live``, which holds what they read.

    An op without a rule runs in NumPy, and lets no gradient pass. So do float ops whose last bit
    is not settled, unless the run is fast or gradients are on.
    """
    for op in ops:
        operands = [None if v is None else _operand(v, live, run) for v in op.operands]
        found = RULES.get(type(op))
        if found is None or (type(op) in CLOSE and not run.fast and not torch.is_grad_enabled()):
            results = _in_numpy(op, operands, run)
        else:
            results = found(op, run, *operands)
        results = results if isinstance(results, tuple) else (results,)
        live.update(zip(op.results, results, strict=True))


def run_graph(
    graph: Graph, inputs: Mapping[str, Array], run: Run | None = None
) -> dict[str, Array]:
    """Return the outputs of a graph by name, as :func:`neutrams.ir.interpreter.interpret` does."""
    run = run or Run()
    live: dict[Value, Tensor] = {
        value: to_tensor(np.asarray(inputs[value.name], value.type.dtype.numpy), run.device)
        for value in graph.inputs
    }
    reads = Counter(value for op in graph.ops for value in op.present)
    reads.update(graph.outputs)
    with torch.no_grad():
        for op in graph.ops:
            execute([op], live, run)
            for value in dict.fromkeys((*op.present, *op.results)):
                reads[value] -= op.operands.count(value)
                if not reads[value]:
                    live.pop(value, None)
    return {
        name: to_array(_operand(value, live, run), value.type.dtype)
        for name, value in zip(graph.output_names, graph.outputs, strict=True)
    }


def _operand(value: Value, live: Live, run: Run) -> Tensor:
    if isinstance(value, Weight):
        return run.weight(value)
    return live[value]


def _in_numpy(op: Op, operands: list[Tensor | None], run: Run) -> tuple[Tensor, ...]:
    arrays = [
        None if tensor is None or value is None else to_array(tensor, value.type.dtype)
        for value, tensor in zip(op.operands, operands, strict=True)
    ]
    found = op.evaluate(*arrays)
    results = found if isinstance(found, tuple) else (found,)
    return tuple(
        to_tensor(np.asarray(array, value.type.dtype.numpy), run.device)
        for array, value in zip(results, op.results, strict=True)
    )


from neutrams.training import nn_rules, unit_rules  # noqa: E402, F401  fill the table of rules
