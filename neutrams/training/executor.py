"""Run the ops of a graph in torch: integers exactly, gradients straight through the rounding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.types import Array
from neutrams.training import nn_rules, unit_rules
from neutrams.training.rules import CLOSE, RULES
from neutrams.training.run import Run, to_array, to_tensor

Live = MutableMapping[Value, Tensor]

_RULES = (nn_rules, unit_rules)
"""The modules that fill the table of rules."""


def in_numpy(ops: Iterable[Op], run: Run) -> list[Op]:
    """Return the ops that a run leaves to NumPy: those without a rule, or whose rule is close."""
    exact = not run.close and not torch.is_grad_enabled()
    return [op for op in ops if type(op) not in RULES or (type(op) in CLOSE and exact)]


def execute(ops: Iterable[Op], live: Live, run: Run) -> None:
    """Run ops in order and add their results to ``live``, which holds what they read.

    An op without a rule runs in NumPy, and lets no gradient pass. So do float ops whose last bit
    is not settled, unless the run is close or gradients are on.
    """
    for op in ops:
        operands = [None if v is None else _operand(v, live, run) for v in op.operands]
        if in_numpy([op], run):
            results = _in_numpy(op, operands, run)
        else:
            results = RULES[type(op)](op, run, *operands)
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
