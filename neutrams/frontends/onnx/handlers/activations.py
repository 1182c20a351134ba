"""Activation functions."""

from __future__ import annotations

from collections.abc import Callable

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.handlers.arguments import choice, positive, reshaped
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.registry import handles
from neutrams.ir.op import Op, Value
from neutrams.ir.ops import activations as act
from neutrams.ir.ops.reductions import AlongAxis, Hardmax, LogSoftmax, Softmax
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.types import product

_PLAIN: dict[str, Callable[[Value], Op]] = {
    "HardSwish": act.HardSwish,
    "Mish": act.Mish,
    "Relu": act.Relu,
    "Sigmoid": act.Sigmoid,
    "Softplus": act.Softplus,
    "Softsign": act.Softsign,
    "Tanh": act.Tanh,
}
_PARAMETERS: dict[str, tuple[Callable[..., Op], dict[str, float]]] = {
    "Celu": (act.Celu, {"alpha": 1.0}),
    "Elu": (act.Elu, {"alpha": 1.0}),
    "HardSigmoid": (act.HardSigmoid, {"alpha": 0.2, "beta": 0.5}),
    "LeakyRelu": (act.LeakyRelu, {"alpha": 0.01}),
    "Selu": (act.Selu, {"alpha": 1.6732631921768188, "gamma": 1.0507010221481323}),
    "Shrink": (act.Shrink, {"lambd": 0.5, "bias": 0.0}),
    "Swish": (act.Swish, {"alpha": 1.0}),
    "ThresholdedRelu": (act.ThresholdedRelu, {"alpha": 1.0}),
}
"""The class, and the defaults of its parameters, which have ONNX's names."""


def _plain(make: Callable[[Value], Op]) -> Callable[[Node, Builder], Value]:
    return lambda node, build: build.add(make(node[0]))


def _with_parameters(
    make: Callable[..., Op], defaults: dict[str, float]
) -> Callable[[Node, Builder], Value]:
    def handler(node: Node, build: Builder) -> Value:
        given = {name: float(node.attr(name, default)) for name, default in defaults.items()}
        return build.add(make(node[0], **given))

    return handler


for _name, _make in _PLAIN.items():
    handles(_name)(_plain(_make))
for _name, (_class, _defaults) in _PARAMETERS.items():
    handles(_name)(_with_parameters(_class, _defaults))


@handles("Gelu")
def gelu(node: Node, build: Builder) -> Value:
    approximate = choice(node, "approximate", "none", "none", "tanh")
    return build.add(act.Gelu(node[0], approximate=approximate))


@handles("PRelu")
def prelu(node: Node, build: Builder) -> Value:
    """Before opset 7 a slope vector has one number for each channel."""
    x, slope = node[0], node[1]
    if node.version < 7 and slope.type.rank == 1 and x.type.rank > 2:
        slope = reshaped(build, slope, (*slope.type.shape, *(1,) * (x.type.rank - 2)))
    return build.add(act.Prelu(x, slope))


def _along(make: type[AlongAxis]) -> Callable[[Node, Builder], Value]:
    def flattening(node: Node, build: Builder) -> Value:
        """Up to opset 12 all axes from ``axis`` on count as one."""
        x = node[0]
        axis = positive(node.attr("axis", 1), x.type.rank, node)
        if axis == x.type.rank - 1:
            return build.add(make(x, axis=axis))
        shape = x.type.shape
        flat = build.add(Reshape(x, shape=(*shape[:axis], product(shape[axis:]))))
        return build.add(Reshape(build.add(make(flat, axis=axis)), shape=shape))

    return flattening


def _along_one(make: type[AlongAxis]) -> Callable[[Node, Builder], Value]:
    return lambda node, build: build.add(make(node[0], axis=node.attr("axis", -1)))


for _name, _kind in (("Softmax", Softmax), ("LogSoftmax", LogSoftmax), ("Hardmax", Hardmax)):
    handles(_name)(_along(_kind))
    handles(_name, since=13)(_along_one(_kind))
