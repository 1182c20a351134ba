"""What one step of an RNN, a GRU or an LSTM does, as a graph of plain ops with states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops import activations as act
from neutrams.ir.ops.elementwise import Add, Mul, Sub
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.recurrent import Gru, Lstm, Recurrent, Rnn
from neutrams.ir.ops.tensors import Split
from neutrams.ir.ops.time import Next, State
from neutrams.ir.types import Array, Dim, TensorType


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One direction of a recurrent layer, with its weights as in ONNX."""

    op: Recurrent
    index: int
    w: Array
    r: Array
    input_bias: Array
    """``[G*H]``, added to the products of the input."""
    state_bias: Array
    """``[G*H]``, added to the products of the state."""
    peepholes: Array | None

    @property
    def hidden(self) -> int:
        return int(self.r.shape[1])

    @property
    def early_bias(self) -> Array:
        """``[G*H]``: all of the bias that can be added before the steps begin."""
        late = self.late_bias
        early = self.input_bias + self.state_bias
        if late is not None:
            early[-self.hidden :] = self.input_bias[-self.hidden :]
        return early

    @property
    def late_bias(self) -> Array | None:
        """``[H]`` that a reset gate scales together with the products of the state."""
        scaled = isinstance(self.op, Gru) and self.op.linear_before_reset
        late = self.state_bias[-self.hidden :]
        return late if scaled and late.any() else None


@dataclass(slots=True, eq=False)
class Cell:
    """A step graph under construction; its values are named after the layer."""

    graph: Graph
    way: Way
    prefix: str
    shape: tuple[Dim, ...]
    """Of a state: ``[batch, H]``."""
    gates: Value = field(init=False)
    """What the input gives to the gates in one step: ``[batch, G*H]``."""

    def __post_init__(self) -> None:
        wide = self.way.op.gates * self.way.hidden
        type = TensorType(self.way.op.x.type.dtype, (self.shape[0], wide))
        self.gates = self.graph.input(f"{self.prefix}.gates", type)

    def add(self, op: Op, name: str) -> Value:
        op.where = self.way.op.where
        return self.graph.add(op, name=f"{self.prefix}.{name}")

    def constant(self, array: Array, name: str) -> Value:
        data = np.array(array, self.way.op.x.type.dtype.numpy, order="C")
        return self.graph.weight(f"{self.prefix}.{name}", data)

    def state(self, slot: str, initial: Array | TensorType | None) -> Value:
        """Add a state that begins with a constant, with an input of a type, or at zero."""
        if isinstance(initial, TensorType):
            first: Value = self.graph.input(f"{self.prefix}.{slot}.first", initial)
        else:
            array = np.zeros(()) if initial is None else initial
            first = self.constant(array, f"{slot}.first")
        return self.add(State(first, slot=slot, shape=self.shape), slot)

    def next(self, slot: str, value: Value) -> None:
        self.graph.insert(Next(value, slot=slot))

    def product(self, state: Value, rows: slice, name: str) -> Value:
        """Multiply a state by the rows of some gates."""
        return self.add(Matmul(state, self.constant(self.way.r[rows].T, f"{name}.r")), name)

    def split(self, value: Value, count: int, name: str) -> Sequence[Value]:
        names = [f"{self.prefix}.{name}{index}" for index in range(count)]
        cut = Split(value, axis=1, sizes=(self.way.hidden,) * count)
        cut.where = self.way.op.where
        self.graph.insert(cut, name=names)
        return cut.results

    def activate(self, index: int, x: Value, name: str) -> Value:
        """Apply the activation function of that number."""
        function, alpha, beta = self.way.op.activations(self.way.index)[index]
        if bound := self.way.op.clip:
            x = self.add(act.Clip(x, low=-bound, high=bound), f"{name}.clip")
        match function:
            case "affine":
                return self._affine(x, alpha, beta, name)
            case "scaledtanh":
                inner = self._affine(x, beta, 0.0, f"{name}.inner")
                outer = self.add(act.Tanh(inner), f"{name}.tanh")
                return self._affine(outer, alpha, 0.0, name)
        return self.add(_FUNCTIONS[function](x, alpha, beta), name)

    def peephole(self, index: int, gate: Value, cell: Value, name: str) -> Value:
        """Let a gate see the cell state of its own neuron."""
        peepholes, hidden = self.way.peepholes, self.way.hidden
        if peepholes is None:
            return gate
        weights = self.constant(peepholes[index * hidden : (index + 1) * hidden], f"{name}.p")
        seen = self.add(Mul(cell, weights), f"{name}.seen")
        return self.add(Add(gate, seen), f"{name}.in")

    def _affine(self, x: Value, scale: float, shift: float, name: str) -> Value:
        scaled = self.add(Mul(x, self.constant(np.array(scale), f"{name}.scale")), name)
        if not shift:
            return scaled
        return self.add(Add(scaled, self.constant(np.array(shift), f"{name}.shift")), name)


def fill(cell: Cell, initial: Sequence[Array | TensorType | None]) -> tuple[Value, ...]:
    """Write what one step does and return the states it leaves, that of the output first."""
    states = [cell.state(slot, first) for slot, first in zip("hc", initial, strict=False)]
    match cell.way.op:
        case Lstm():
            made = _lstm(cell, *states)
        case Gru():
            made = _gru(cell, *states)
        case Rnn():
            made = _rnn(cell, *states)
        case _:
            raise AssertionError(cell.way.op)
    for slot, value in zip("hc", made, strict=False):
        cell.next(slot, value)
    return made


def _rnn(cell: Cell, h: Value) -> tuple[Value, ...]:
    total = cell.add(Add(cell.product(h, slice(None), "product"), cell.gates), "sum")
    return (cell.activate(0, total, "next"),)


def _gru(cell: Cell, h: Value) -> tuple[Value, ...]:
    op, hidden = cell.way.op, cell.way.hidden
    assert isinstance(op, Gru)
    xz, xr, xn = cell.split(cell.gates, 3, "x")
    if op.linear_before_reset:
        hz, hr, hn = cell.split(cell.product(h, slice(None), "product"), 3, "h")
    else:
        hz, hr = cell.split(cell.product(h, slice(2 * hidden), "product"), 2, "h")
    z = cell.activate(0, cell.add(Add(hz, xz), "z.in"), "z")
    reset = cell.activate(0, cell.add(Add(hr, xr), "r.in"), "r")
    if op.linear_before_reset:
        if (late := cell.way.late_bias) is not None:
            hn = cell.add(Add(hn, cell.constant(late, "n.bias")), "n.biased")
        kept = cell.add(Mul(reset, hn), "n.kept")
    else:
        kept = cell.product(
            cell.add(Mul(reset, h), "reset"), slice(2 * hidden, 3 * hidden), "n.kept"
        )
    new = cell.activate(1, cell.add(Add(kept, xn), "n.in"), "n")
    moved = cell.add(Mul(z, cell.add(Sub(h, new), "away")), "moved")
    return (cell.add(Add(new, moved), "next"),)


def _lstm(cell: Cell, h: Value, c: Value) -> tuple[Value, ...]:
    op = cell.way.op
    assert isinstance(op, Lstm)
    total = cell.add(Add(cell.product(h, slice(None), "product"), cell.gates), "sum")
    i, o, f, g = cell.split(total, 4, "gate")
    i = cell.activate(0, cell.peephole(0, i, c, "i"), "i")
    if op.input_forget:
        f = cell.add(Sub(cell.constant(np.ones(()), "one"), i), "f")
    else:
        f = cell.activate(0, cell.peephole(2, f, c, "f"), "f")
    fresh = cell.add(Mul(i, cell.activate(1, g, "g")), "fresh")
    memory = cell.add(Add(cell.add(Mul(f, c), "kept"), fresh), "memory")
    o = cell.activate(0, cell.peephole(1, o, memory, "o"), "o")
    return cell.add(Mul(o, cell.activate(2, memory, "shown")), "next"), memory


_FUNCTIONS: dict[str, Callable[[Value, float, float], Op]] = {
    "relu": lambda x, a, b: act.Relu(x),
    "tanh": lambda x, a, b: act.Tanh(x),
    "sigmoid": lambda x, a, b: act.Sigmoid(x),
    "leakyrelu": lambda x, a, b: act.LeakyRelu(x, alpha=a),
    "thresholdedrelu": lambda x, a, b: act.ThresholdedRelu(x, alpha=a),
    "hardsigmoid": lambda x, a, b: act.HardSigmoid(x, alpha=a, beta=b),
    "elu": lambda x, a, b: act.Elu(x, alpha=a),
    "softsign": lambda x, a, b: act.Softsign(x),
    "softplus": lambda x, a, b: act.Softplus(x),
}
"""Activation functions that are one op, of a value and two parameters."""
