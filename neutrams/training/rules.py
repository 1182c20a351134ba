"""The torch meaning of ops: one rule for each op class that can be trained through.

A tensor carries integers as floats, exactly, so that gradients can pass. Rounding passes a
gradient straight through, and clipping one within its bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

import neutrams.ir.ops  # noqa: F401  fills the op table
from neutrams.ir.op import OPS, Op

Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)

RULES: dict[type[Op], Rule] = {}
"""Called with the op, the :class:`~neutrams.training.run.Run`, and a tensor an operand."""
CLOSE: set[type[Op]] = set()
"""Ops whose rule may round floats another way than NumPy does."""
EXACT = 2**24
"""Whole numbers up to here are exact in float32."""


def rule(*classes: type[Op], close: bool = False) -> Callable[[R], R]:
    """Register a function as the meaning of op classes; ``close`` where floats may round apart."""

    def register(function: R) -> R:
        for cls in classes:
            assert cls not in RULES, f"two rules for {cls.name}"
            RULES[cls] = function
            if close:
                CLOSE.add(cls)
        return function

    return register


def without_rule(prefix: str = "") -> list[str]:
    """Return the names of ops, of one dialect if asked, that gradients cannot pass through."""
    return sorted(name for name, cls in OPS.items() if name.startswith(prefix) and cls not in RULES)


class _Round(torch.autograd.Function):
    """The nearest whole number, halves to even; the gradient passes straight through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def rint(x: Tensor) -> Tensor:
    """Round half to even, with the gradient of the identity."""
    if not x.requires_grad:
        return torch.round(x)
    rounded: Tensor = _Round.apply(x)  # type: ignore[no-untyped-call]
    return rounded


def along(vector: Tensor, axis: int, rank: int) -> Tensor:
    """Shape a vector so that it broadcasts along one axis; a scalar stays one."""
    if not vector.ndim:
        return vector
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)


def saturate(x: Tensor, zero: int, low: int, high: int) -> Tensor:
    """Return ``clip(rint(x) + zero, low, high)`` of float32 ``x``."""
    return torch.clamp(rint(x) + zero, low, high)
