"""Run the ops of a graph in torch: integers exactly, gradients straight through the rounding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.types import Array
from neutrams.training import nn_rules, runs, unit_rules
from neutrams.training.execute import Live, execute, in_numpy, operand_of
from neutrams.training.run import Run, to_array, to_tensor

__all__ = ["Live", "execute", "in_numpy", "run_graph"]

_RULES = (nn_rules, runs, unit_rules)
"""The modules that fill the table of rules."""


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
        name: to_array(operand_of(value, live, run), value.type.dtype)
        for name, value in zip(graph.output_names, graph.outputs, strict=True)
    }
