"""Recurrent layers. onnxruntime runs them with the time axis first only."""

from __future__ import annotations

from typing import Any

from neutrams.driver.onnx.emitter import Emitter, rule
from neutrams.ir.op import Value
from neutrams.ir.ops.recurrent import Gru, Lstm, Recurrent, Rnn
from neutrams.ir.types import DType

_FUNCTIONS = {
    "relu": "Relu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "affine": "Affine",
    "leakyrelu": "LeakyRelu",
    "thresholdedrelu": "ThresholdedRelu",
    "scaledtanh": "ScaledTanh",
    "hardsigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
_ALPHA = {
    "affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu",
}  # fmt: skip
_BETA = {"affine", "scaledtanh", "hardsigmoid"}


@rule(Rnn)
def rnn(op: Rnn, emit: Emitter) -> tuple[str, ...]:
    return _layer(op, emit, "RNN", (op.h,), "")


@rule(Gru)
def gru(op: Gru, emit: Emitter) -> tuple[str, ...]:
    flag = int(op.linear_before_reset)
    return _layer(op, emit, "GRU", (op.h,), "", linear_before_reset=flag)


@rule(Lstm)
def lstm(op: Lstm, emit: Emitter) -> tuple[str, ...]:
    if op.clip:
        raise op.fault("NT0550", "executors disagree on which values its `clip` bounds")
    peepholes = "" if op.p is None else emit[op.p]
    flag = int(op.input_forget)
    return _layer(op, emit, "LSTM", (op.h, op.c), peepholes, input_forget=flag)


def _layer(
    op: Recurrent,
    emit: Emitter,
    op_type: str,
    states: tuple[Value | None, ...],
    last: str,
    **attributes: Any,
) -> tuple[str, ...]:
    x = _swapped(emit, emit[op.x]) if op.batch_first else emit[op.x]
    lengths = ""
    if op.lengths is not None:
        lengths = emit.cast(emit[op.lengths], op.lengths.type.dtype, DType.I32)
    first = [_state(op, emit, state) for state in states]
    weights = (emit[op.w], emit[op.r], "" if op.b is None else emit[op.b])
    made = emit.several(
        op_type,
        *(x, *weights, lengths, *first, last),
        outputs=len(op.results),
        hidden_size=op.r.type.static_shape()[2],
        direction=op.direction,
        **_activations(op),
        **attributes,
    )
    if not op.batch_first:
        return tuple(made)
    over = emit.add("Transpose", made[0], perm=(2, 0, 1, 3))
    return (over, *(_swapped(emit, state) for state in made[1:]))


def _state(op: Recurrent, emit: Emitter, state: Value | None) -> str:
    if state is None:
        return ""
    return _swapped(emit, emit[state]) if op.batch_first else emit[state]


def _swapped(emit: Emitter, x: str) -> str:
    return emit.add("Transpose", x, perm=(1, 0, 2))


def _activations(op: Recurrent) -> dict[str, Any]:
    """Return the attributes; ONNX lists parameters of those functions only that have them."""
    found: dict[str, Any] = {"clip": op.clip} if op.clip else {}
    if not op.functions:
        return found
    names = [name.lower() for name in op.functions]
    found["activations"] = [_FUNCTIONS[name] for name in names]
    for key, numbers, having in (
        ("activation_alpha", op.alphas, _ALPHA),
        ("activation_beta", op.betas, _BETA),
    ):
        kept = [n for n, name in zip(numbers, names, strict=False) if name in having]
        if kept:
            found[key] = kept
    return found
