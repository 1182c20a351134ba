"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import choice
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Value
from neutrams.ir.ops.recurrent import DIRECTIONS, Gru, Lstm, Recurrent, Rnn

_FIRST = {
    "affine": 1.0,
    "elu": 1.0,
    "hardsigmoid": 0.2,
    "leakyrelu": 0.01,
    "scaledtanh": 1.0,
    "thresholdedrelu": 1.0,
}
"""Functions with a parameter ``alpha``, and its usual value."""
_SECOND = {"affine": 0.0, "hardsigmoid": 0.5, "scaledtanh": 1.0}
"""Functions with a parameter ``beta``, and its usual value."""


@handles("RNN")
def rnn(node: Node, build: Builder) -> tuple[Value, ...]:
    return build.add_all(Rnn(*_operands(node), h=node.get(5), **_options(node, Rnn)))


@handles("GRU")
def gru(node: Node, build: Builder) -> tuple[Value, ...]:
    before = bool(node.attr("linear_before_reset", 0))
    options = _options(node, Gru)
    return build.add_all(
        Gru(*_operands(node), h=node.get(5), linear_before_reset=before, **options)
    )


@handles("LSTM")
def lstm(node: Node, build: Builder) -> tuple[Value, ...]:
    forget = bool(node.attr("input_forget", 0))
    return build.add_all(
        Lstm(
            *_operands(node), h=node.get(5), c=node.get(6), p=node.get(7), input_forget=forget,
            **_options(node, Lstm),
        )
    )  # fmt: skip


def _operands(node: Node) -> tuple[Value, Value, Value, Value | None, Value | None]:
    return node[0], node[1], node[2], node.get(3), node.get(4)


def _options(node: Node, layer: type[Recurrent]) -> dict[str, Any]:
    direction = choice(node, "direction", "forward", *DIRECTIONS)
    names = tuple(node.attr("activations", ()))
    if node.attr("hidden_size", node[2].type.shape[-1]) != node[2].type.shape[-1]:
        raise node.fault("NT0611", "`hidden_size` differs from that of the weights")
    names = names or layer.defaults * len(DIRECTIONS[direction])
    return {
        "direction": direction,
        "batch_first": bool(node.attr("layout", 0)),
        "functions": tuple(name.lower() for name in names),
        "alphas": _spread(names, node.attr("activation_alpha", ()), _FIRST),
        "betas": _spread(names, node.attr("activation_beta", ()), _SECOND),
        "clip": float(node.attr("clip", 0.0)),
    }


def _spread(
    names: Sequence[str], given: Sequence[float], usual: dict[str, float]
) -> tuple[float, ...]:
    """Give each function its parameter; only those that have one take from the list."""
    rest = list(given)
    found = []
    for name in (n.lower() for n in names):
        takes = name in usual and rest
        found.append(float(rest.pop(0)) if takes else usual.get(name, 0.0))
    return tuple(found)
