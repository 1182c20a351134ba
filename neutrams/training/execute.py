"""Run ops in torch, one after another, by their rules or in NumPy.

:mod:`neutrams.training.executor` fills the table of rules; take :func:`execute` from there.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.op import Op, Value, Weight
from neutrams.training.rules import CLOSE, RULES, Rule
from neutrams.training.run import Run, to_array, to_tensor

Live = MutableMapping[Value, Tensor]


def in_numpy(ops: Iterable[Op], run: Run) -> list[Op]:
    """Return the ops that a run leaves to NumPy: those without a rule, or whose rule is close."""
    exact = not run.close and not torch.is_grad_enabled()
    return [op for op in ops if type(op) not in RULES or (type(op) in CLOSE and exact)]


def execute(ops: Iterable[Op], live: Live, run: Run) -> None:
    """Run ops in order and add their results to ``live``, which holds what they read.

    An op without a rule runs in NumPy, and lets no gradient pass. So do float ops whose last bit
    is not settled, unless the run is close or gradients are on.
    """
    perform(planned(ops, run), live, run)


Planned = tuple[Op, Rule | None, tuple[Value | None, ...]]
"""An op, its rule unless it runs in NumPy, and what it reads."""


def planned(ops: Iterable[Op], run: Run) -> list[Planned]:
    """Return ops as :func:`perform` runs them, again and again where they are steps of a cell."""
    ops = list(ops)
    apart = set(in_numpy(ops, run))
    return [(op, None if op in apart else RULES[type(op)], op.operands) for op in ops]


def perform(ops: Iterable[Planned], live: Live, run: Run) -> None:
    """Run ops as :func:`execute` does."""
    for op, rule, values in ops:
        operands = [None if v is None else operand_of(v, live, run) for v in values]
        results = _in_numpy(op, operands, run) if rule is None else rule(op, run, *operands)
        if isinstance(results, tuple):
            live.update(zip(op.results, results, strict=True))
        else:
            live[op.results[0]] = results


def operand_of(value: Value, live: Live, run: Run) -> Tensor:
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
