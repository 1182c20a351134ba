"""Recurrent layers: RNN, GRU and LSTM over a whole sequence, as ONNX defines them.

``x`` is ``[T, N, I]``, ``w`` ``[D, G*H, I]``, ``r`` ``[D, G*H, H]``, ``b`` ``[D, 2*G*H]``,
``lengths`` ``[N]``, states ``[D, N, H]``; results are ``[T, D, N, H]`` and the last states. With
``batch_first`` the sample axis of inputs, states and results comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neutrams.ir.op import Op, Value, attr, operand
from neutrams.ir.ops.activations import sigmoid
from neutrams.ir.ops.base import (
    NONE,
    Mixes,
    base,
    digital,
    same_dtype,
    size_of,
    want,
    want_rank,
    want_same,
)  # fmt: skip
from neutrams.ir.types import Array, TensorType

Function = Callable[[Array], Array]
States = tuple[Array, ...]

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@base
class Recurrent(Op):
    """What the three layers share; a subclass computes one step."""

    gates: ClassVar[int] = 1
    defaults: ClassVar[tuple[str, ...]] = ("tanh",)
    """Activation functions of one direction."""

    x: Value = operand()
    w: Value = operand()
    r: Value = operand()
    b: Value | None = operand(default=None)
    lengths: Value | None = operand(default=None)
    h: Value | None = operand(default=None)
    direction: str = attr(default="forward")
    batch_first: bool = attr(default=False)
    functions: tuple[str, ...] = attr(default=())
    """Activation functions of all directions; empty for the usual ones."""
    alphas: tuple[float, ...] = attr(default=())
    """For each function its first parameter; empty for the usual ones."""
    betas: tuple[float, ...] = attr(default=())
    clip: float = attr(default=0.0)
    """Bound of what activation functions are given; 0 for none."""

    def step(self, states: States, gates: Array, weights: Weights, act: list[Function]) -> States:
        raise AssertionError(f"{self.name} does not say what a step does")

    @property
    def carried(self) -> tuple[Value | None, ...]:
        """The initial states."""
        return (self.h,)

    def infer(self) -> tuple[TensorType, ...]:
        want(self, self.direction in DIRECTIONS, f"no direction `{self.direction}`")
        same_dtype(self, self.x, self.w, self.r, self.b, *self.carried)
        x, r = want_rank(self, self.x, 3, 3), want_rank(self, self.r, 3, 3)
        w = want_rank(self, self.w, 3, 3)
        ways, hidden = len(DIRECTIONS[self.direction]), size_of(self, r[2], "the hidden size")
        want_same(self, r[0], ways, "directions of the weights")
        want_same(self, w[0], ways, "directions of the weights")
        want_same(self, w[1], self.gates * hidden, "rows of `w` and gates")
        want_same(self, r[1], self.gates * hidden, "rows of `r` and gates")
        want_same(self, w[2], x[2], "columns of `w` and inputs")
        self._check_functions()
        time, batch = (x[1], x[0]) if self.batch_first else x[:2]
        state = (batch, ways, hidden) if self.batch_first else (ways, batch, hidden)
        over = (batch, time, ways, hidden) if self.batch_first else (time, *state)
        last = self.x.type.with_shape(state)
        return (self.x.type.with_shape(over), *(last,) * len(self.carried))

    def evaluate(
        self,
        x: Array,
        w: Array,
        r: Array,
        b: Array | None = None,
        lengths: Array | None = None,
        *states: Array | None,
    ) -> tuple[Array, ...]:
        hidden = r.shape[2]
        if self.batch_first:
            x = np.swapaxes(x, 0, 1)
        sides = []
        for way, backwards in enumerate(DIRECTIONS[self.direction]):
            bias = np.zeros(2 * self.gates * hidden, x.dtype) if b is None else b[way]
            bw, br = np.split(bias, 2)
            weights = Weights(w[way], r[way], bw, br, self._peepholes(states, way))
            first = [self._first(s, way, (x.shape[1], hidden), x) for s in self._initial(states)]
            sides.append(self._run(x, weights, tuple(first), lengths, way, backwards))
        results = [np.stack([side[0] for side in sides], axis=1)]
        results += [np.stack(last) for last in zip(*(side[1] for side in sides), strict=True)]
        if self.batch_first:
            results[0] = results[0].transpose(2, 0, 1, 3)
            results[1:] = [np.swapaxes(last, 0, 1) for last in results[1:]]
        return tuple(results)

    def _run(
        self,
        x: Array,
        weights: Weights,
        states: States,
        lengths: Array | None,
        way: int,
        backwards: bool,
    ) -> tuple[Array, States]:
        """Return the output of every step and the last states of one direction."""
        act = self._functions(way)
        time = x.shape[0]
        outputs = np.zeros((time, *states[0].shape), x.dtype)
        gates = x @ weights.w.T + weights.bw
        for t in reversed(range(time)) if backwards else range(time):
            after = self.step(states, gates[t], weights, act)
            if lengths is None:
                states, outputs[t] = after, after[0]
                continue
            going = (t < lengths)[:, None]
            states = tuple(np.where(going, a, s) for a, s in zip(after, states, strict=True))
            outputs[t] = np.where(going, after[0], 0)
        return outputs, states

    def _initial(self, states: Sequence[Array | None]) -> list[Array | None]:
        given = list(states[: len(self.carried)])
        return given + [None] * (len(self.carried) - len(given))

    def _first(self, state: Array | None, way: int, shape: tuple[int, int], x: Array) -> Array:
        if state is None:
            return np.zeros(shape, x.dtype)
        return np.asarray(state[:, way] if self.batch_first else state[way])

    def _peepholes(self, states: Sequence[Array | None], way: int) -> Array | None:
        return None

    def _check_functions(self) -> None:
        ways = len(DIRECTIONS[self.direction])
        names = [name.lower() for name in self.functions]
        fits = not names or len(names) == ways * len(self.defaults)
        want(self, fits, f"{len(names)} activation functions for {ways} directions")
        for name in names:
            want(self, name in _ACTIVATIONS, f"no activation function `{name}`")

    def activations(self, way: int) -> list[tuple[str, float, float]]:
        """Return the activation functions of a direction: lower-case names and parameters."""
        names = self.functions or self.defaults * (way + 1)
        chosen = range(way * len(self.defaults), (way + 1) * len(self.defaults))
        return [self._activation(names[i].lower(), i) for i in chosen]

    def _activation(self, name: str, index: int) -> tuple[str, float, float]:
        _, alpha, beta = _ACTIVATIONS[name]
        given = self.alphas[index : index + 1], self.betas[index : index + 1]
        return name, next(iter(given[0]), alpha), next(iter(given[1]), beta)

    def _functions(self, way: int) -> list[Function]:
        return [self._bounded(_function(*found)) for found in self.activations(way)]

    def _bounded(self, function: Function) -> Function:
        if not self.clip:
            return function
        return lambda x: function(np.clip(x, -self.clip, self.clip))

    def mixes(self) -> Mixes:
        axes = frozenset({1, 2} if self.batch_first else {0, 2})
        every = frozenset({0, 1, 2})
        state = every - ({0} if self.batch_first else {1})
        return (axes, every, every, frozenset({0, 1}), NONE, *(state,) * len(self.carried), every)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The weights of one direction."""

    w: Array
    r: Array
    bw: Array
    br: Array
    peepholes: Array | None


@digital("nn.rnn")
class Rnn(Recurrent):
    """``h' = f(W x + R h + b)``."""

    def step(self, states: States, gates: Array, weights: Weights, act: list[Function]) -> States:
        return (act[0](gates + states[0] @ weights.r.T + weights.br),)


@digital("nn.gru")
class Gru(Recurrent):
    """Gated recurrent units; gates stand in the order update, reset, hidden."""

    gates: ClassVar[int] = 3
    defaults: ClassVar[tuple[str, ...]] = ("sigmoid", "tanh")

    linear_before_reset: bool = attr(default=False)

    def step(self, states: States, gates: Array, weights: Weights, act: list[Function]) -> States:
        h = states[0]
        xz, xr, xh = np.split(gates, 3, axis=-1)
        rz, rr, rh = np.split(weights.r, 3)
        bz, br, bh = np.split(weights.br, 3)
        z, reset = act[0](xz + h @ rz.T + bz), act[0](xr + h @ rr.T + br)
        if self.linear_before_reset:
            new = act[1](xh + reset * (h @ rh.T + bh))
        else:
            new = act[1](xh + (reset * h) @ rh.T + bh)
        return ((1 - z) * new + z * h,)


@digital("nn.lstm")
class Lstm(Recurrent):
    """Long short-term memory; gates stand in the order input, output, forget, cell.

    ``p`` ``[D, 3*H]`` are peepholes of the input, output and forget gates. With
    ``input_forget`` the forget gate is one minus the input gate.
    """

    gates: ClassVar[int] = 4
    defaults: ClassVar[tuple[str, ...]] = ("sigmoid", "tanh", "tanh")

    c: Value | None = operand(default=None)
    p: Value | None = operand(default=None)
    input_forget: bool = attr(default=False)

    @property
    def carried(self) -> tuple[Value | None, ...]:
        return (self.h, self.c)

    def _peepholes(self, states: Sequence[Array | None], way: int) -> Array | None:
        found = states[2] if len(states) > 2 else None
        return None if found is None else found[way]

    def step(self, states: States, gates: Array, weights: Weights, act: list[Function]) -> States:
        h, c = states
        i, o, f, g = np.split(gates + h @ weights.r.T + weights.br, 4, axis=-1)
        none = np.zeros(3 * c.shape[-1], c.dtype)
        pi, po, pf = np.split(none if weights.peepholes is None else weights.peepholes, 3)
        i = act[0](i + pi * c)
        f = 1 - i if self.input_forget else act[0](f + pf * c)
        c = f * c + i * act[1](g)
        return act[0](o + po * c) * act[2](c), c


_ACTIVATIONS: dict[str, tuple[Callable[[Array, float, float], Array], float, float]] = {
    "relu": (lambda x, a, b: np.maximum(x, 0), 0.0, 0.0),
    "tanh": (lambda x, a, b: np.tanh(x), 0.0, 0.0),
    "sigmoid": (lambda x, a, b: sigmoid(x), 0.0, 0.0),
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "leakyrelu": (lambda x, a, b: np.where(x < 0, a * x, x), 0.01, 0.0),
    "thresholdedrelu": (lambda x, a, b: np.where(x > a, x, 0), 1.0, 0.0),
    "scaledtanh": (lambda x, a, b: a * np.tanh(b * x), 1.0, 1.0),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), 0.2, 0.5),
    "elu": (lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x), 1.0, 0.0),
    "softsign": (lambda x, a, b: x / (1 + np.abs(x)), 0.0, 0.0),
    "softplus": (lambda x, a, b: np.logaddexp(x, 0), 0.0, 0.0),
}
"""Functions a gate may have, by lower-case name, with their usual parameters."""


def _function(name: str, alpha: float, beta: float) -> Function:
    function = _ACTIVATIONS[name][0]
    return lambda x: function(x, alpha, beta).astype(x.dtype, copy=False)
