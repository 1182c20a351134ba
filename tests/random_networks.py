"""Networks of every family as recipes: a kind, the names of its steps, and a seed.

A recipe is plain data, so that a failing case can be printed, shortened and kept as a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import (
    Clip,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Prelu,
    Relu,
    Sigmoid,
    Softplus,
    Swish,
    Tanh,
)
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.elementwise import Add, Div, Maximum, Minimum, Mul, Sub
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.normalization import BatchNorm, InstanceNorm, LayerNorm
from neutrams.ir.ops.pooling import AveragePool, MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.recurrent import Gru, Lstm, Rnn
from neutrams.ir.ops.reductions import LogSoftmax, ReduceMax, ReduceMean, ReduceSum, Softmax
from neutrams.ir.ops.tensors import Concat, Pad, Reshape, Slice, Split, Transpose
from neutrams.ir.ops.unary import Abs, Exp, Neg, Sqrt
from neutrams.ir.types import Array, DType, symbol, tensor

N = symbol("N")
SHAPES = {"image": (3, 7, 7), "sequence": (6, 5), "flat": (17,)}


class Net:
    """A network under construction; ``value`` is what its latest step made."""

    def __init__(self, kind: str, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("net")
        self.value = self.graph.input("x", tensor(DType.F32, N, *SHAPES[kind]))
        self.first = self.value

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(str(dim)) for dim in self.value.type.shape[1:])

    @property
    def channels(self) -> int:
        return self.shape[0]

    def const(self, *shape: int, low: float = 0.0, high: float = 0.0) -> Value:
        """Return weights: within bounds, else of the size that suits what they multiply."""
        if high > low:
            numbers = self.rng.uniform(low, high, shape)
        else:
            reads = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0] if shape else 1
            numbers = self.rng.normal(size=shape) / np.sqrt(max(reads, 1))
        return self.graph.weight("c", numbers.astype(np.float32))

    def add(self, op: Op, index: int = 0) -> Value:
        self.graph.add(op)
        return op.results[index]

    def put(self, op: Op, index: int = 0) -> None:
        self.value = self.add(op, index)

    def conv(
        self, kernel: int = 3, *, groups: int = 1, stride: int = 1, dilation: int = 1, out: int = 6
    ) -> None:
        c = self.channels
        m, pad = out if groups == 1 else groups * max(1, out // groups), dilation * (kernel // 2)
        w = self.const(m, c // groups, kernel, kernel)
        bias = self.const(m) if self.rng.random() < 0.6 else None
        self.put(
            Conv(
                self.value,
                w,
                bias,
                pads=(pad,) * 4,
                groups=groups,
                strides=(stride,) * 2,
                dilations=(dilation,) * 2,
            )
        )

    def by_groups(self) -> None:
        c = self.channels
        self.conv(groups=next(g for g in (3, 2, 1) if c % g == 0), out=2 * c)

    def residual(self) -> None:
        kept, c = self.value, self.channels
        inner = self.add(Relu(self.add(Conv(kept, self.const(4, c, 3, 3), pads=(1,) * 4))))
        self.put(Add(self.add(Conv(inner, self.const(c, 4, 1, 1), self.const(c))), kept))

    def two_sums(self) -> None:
        kept, c = self.value, self.channels
        made = self.add(Conv(kept, self.const(c, c, 1, 1)))
        total = self.add(Relu(self.add(Add(kept, made))))
        self.put(Add(total, self.add(Sub(made, kept))))

    def joined(self) -> None:
        kept, c = self.value, self.channels
        parts = [kept, self.add(Relu(self.add(Conv(kept, self.const(3, c, 1, 1)))))]
        parts.append(self.add(MaxPool(kept, kernel=(3, 3), strides=(1, 1), pads=(1,) * 4)))
        self.put(Concat(tuple(parts), axis=1))

    def squeeze(self) -> None:
        kept, c = self.value, self.channels
        mean = self.add(ReduceMean(kept, axes=(2, 3)))
        small = self.add(Relu(self.add(Conv(mean, self.const(4, c, 1, 1)))))
        gate = self.add(Sigmoid(self.add(Conv(small, self.const(c, 4, 1, 1)))))
        self.put(Mul(kept, gate))

    def shuffle(self) -> None:
        c, h, w = self.shape
        g = next(g for g in (3, 2, 1) if c % g == 0)
        apart = self.add(Reshape(self.value, shape=(N, g, c // g, h, w)))
        turned = self.add(Transpose(apart, permutation=(0, 2, 1, 3, 4)))
        self.put(Reshape(turned, shape=(N, c, h, w)))

    def halves(self) -> None:
        c = self.channels
        if c < 2:
            return
        split = Split(self.value, axis=1, sizes=(c // 2, c - c // 2))
        self.graph.add(split)
        a, b = split.results
        a = self.add(Relu(self.add(Conv(a, self.const(c // 2, c // 2, 1, 1)))))
        self.put(Concat((b, a), axis=1))

    def batch_norm(self) -> None:
        c = self.channels
        scale, variance = self.const(c, low=0.3, high=2), self.const(c, low=0.2, high=3)
        self.put(BatchNorm(self.value, scale, self.const(c), self.const(c), variance))

    def image_norm(self) -> None:
        c = self.channels
        self.put(InstanceNorm(self.value, self.const(c, low=0.5, high=1.5), self.const(c)))

    def attention(self, heads: int = 1) -> None:
        kept, (t, f) = self.value, self.shape
        d = 4 * heads
        q, k, v = (self.add(Matmul(kept, self.const(f, d))) for _ in range(3))
        if heads > 1:
            order = (0, 2, 1, 3)
            q, k, v = (
                self.add(Transpose(self.add(Reshape(x, shape=(N, t, heads, 4))), permutation=order))
                for x in (q, k, v)
            )
        turned = (*range(q.type.rank - 2), q.type.rank - 1, q.type.rank - 2)
        scores = self.add(Matmul(q, self.add(Transpose(k, permutation=turned))))
        half = self.graph.weight("half", np.float32(0.5) * np.ones((), np.float32))
        made = self.add(Matmul(self.add(Softmax(self.add(Mul(scores, half)), axis=-1)), v))
        if heads > 1:
            made = self.add(Transpose(made, permutation=(0, 2, 1, 3)))
            made = self.add(Reshape(made, shape=(N, t, d)))
        out = self.add(Add(self.add(Matmul(made, self.const(d, f))), self.const(f)))
        self.put(Add(kept, out))

    def dense(self, width: int = 7) -> None:
        f = self.shape[-1]
        self.put(Matmul(self.value, self.const(f, width)))
        if self.rng.random() < 0.6:
            self.put(Add(self.value, self.const(width)))

    def feed_forward(self) -> None:
        kept, f = self.value, self.shape[-1]
        inner = self.add(Gelu(self.add(Matmul(kept, self.const(f, 9)))))
        self.put(Add(kept, self.add(Matmul(inner, self.const(9, f)))))

    def layer_norm(self) -> None:
        f = self.shape[-1]
        self.put(LayerNorm(self.value, self.const(f, low=0.5, high=1.5), self.const(f)))

    def recurrent(self, kind: type[Rnn] | type[Gru] | type[Lstm], direction: str) -> None:
        (t, f), h = self.shape, 4
        ways = 2 if direction == "bidirectional" else 1
        w, r = (self.const(ways, kind.gates * h, n) for n in (f, h))
        b = self.const(ways, 2 * kind.gates * h, low=-0.5, high=0.5)
        layer = kind(self.value, w, r, b, direction=direction, batch_first=True)
        self.put(Reshape(self.add(layer), shape=(N, t, ways * h)))

    def convolved(self) -> None:
        turned = self.add(Transpose(self.value, permutation=(0, 2, 1)))
        f = self.shape[-1]
        made = self.add(Conv(turned, self.const(5, f, 3), self.const(5), pads=(1, 1)))
        self.put(Transpose(self.add(Relu(made)), permutation=(0, 2, 1)))

    def with_mean(self) -> None:
        self.put(Sub(self.value, self.add(ReduceMean(self.value, axes=(1,)))))

    def skip(self) -> None:
        kept, f = self.value, self.shape[-1]
        self.put(Add(kept, self.add(Relu(self.add(Matmul(kept, self.const(f, f)))))))

    def cross(self) -> None:
        f = self.shape[-1]
        a, b = (self.add(Matmul(self.value, self.const(f, 6))) for _ in range(2))
        self.put(Mul(a, self.add(Sigmoid(b))))

    def quotient(self) -> None:
        one = self.graph.weight("one", np.ones((), np.float32))
        below = self.add(Add(self.add(Exp(self.add(Clip(self.value, low=-2.0, high=2.0)))), one))
        self.put(Div(self.value, below))

    def extremes(self, kind: type[Maximum] | type[Minimum]) -> None:
        self.put(kind(self.value, self.add(Neg(self.value))))

    def flat(self) -> None:
        size = int(np.prod(self.shape))
        if len(self.shape) > 1:
            self.put(Reshape(self.value, shape=(N, size)))

    def finish(self, end: str) -> Graph:
        """Put an end to the network: classes, their softmax, or whatever there is."""
        if end == "bare":
            self.graph.output(self.value, "y")
            return self.graph
        if end == "pooled" and len(self.shape) == 3:
            self.put(ReduceMean(self.value, axes=(2, 3), keepdims=False))
        elif end == "last" and len(self.shape) == 2:
            index = self.graph.weight("last", np.asarray(-1))
            self.put(Gather(self.value, index, axis=1))
        self.flat()
        self.put(Matmul(self.value, self.const(self.shape[0], 5)))
        self.put(Add(self.value, self.const(5)))
        if end == "softmax":
            self.put(Softmax(self.value, axis=-1))
        self.graph.output(self.value, "y")
        if end == "two":
            self.graph.output(self.add(Relu(self.value)), "z")
        return self.graph


Step = Callable[[Net], None]

ANY: dict[str, Step] = {
    "relu": lambda n: n.put(Relu(n.value)),
    "relu6": lambda n: n.put(Clip(n.value, low=0.0, high=6.0)),
    "clip": lambda n: n.put(Clip(n.value, low=-0.5, high=0.7)),
    "leaky": lambda n: n.put(LeakyRelu(n.value, alpha=0.1)),
    "elu": lambda n: n.put(Elu(n.value)),
    "softplus": lambda n: n.put(Softplus(n.value)),
    "sigmoid": lambda n: n.put(Sigmoid(n.value)),
    "hard_sigmoid": lambda n: n.put(HardSigmoid(n.value)),
    "tanh": lambda n: n.put(Tanh(n.value)),
    "hard_swish": lambda n: n.put(HardSwish(n.value)),
    "swish": lambda n: n.put(Swish(n.value)),
    "gelu": lambda n: n.put(Gelu(n.value)),
    "abs": lambda n: n.put(Abs(n.value)),
    "root": lambda n: n.put(Sqrt(n.add(Abs(n.value)))),
    "square": lambda n: n.put(Mul(n.value, n.value)),
    "half": lambda n: n.put(Mul(n.value, n.const(low=0.3, high=0.7))),
    "minus": lambda n: n.put(Sub(n.const(low=0.3, high=0.7), n.value)),
    "negative": lambda n: n.put(Neg(n.value)),
    "gate": lambda n: n.put(Mul(n.value, n.add(Sigmoid(n.value)))),
    "quotient": Net.quotient,
    "maximum": lambda n: n.extremes(Maximum),
    "minimum": lambda n: n.extremes(Minimum),
}
IMAGE: dict[str, Step] = {
    "conv": Net.conv,
    "pointwise": lambda n: n.conv(1),
    "wide": lambda n: n.conv(5),
    "to_one": lambda n: n.conv(out=1),
    "grouped": Net.by_groups,
    "depthwise": lambda n: n.conv(groups=n.channels, out=n.channels),
    "multiplied": lambda n: n.conv(groups=n.channels, out=2 * n.channels),
    "dilated": lambda n: n.conv(dilation=2),
    "strided": lambda n: n.conv(stride=2),
    "transposed": lambda n: n.put(ConvTranspose(n.value, n.const(n.channels, 2, 2, 2), n.const(2))),
    "residual": Net.residual,
    "two_sums": Net.two_sums,
    "joined": Net.joined,
    "squeeze": Net.squeeze,
    "shuffle": Net.shuffle,
    "halves": Net.halves,
    "batch_norm": Net.batch_norm,
    "image_norm": Net.image_norm,
    "prelu": lambda n: n.put(Prelu(n.value, n.const(n.channels, 1, 1))),
    "max_pool": lambda n: n.put(MaxPool(n.value, kernel=(2, 2), strides=(1, 1))),
    "max_pool_2": lambda n: n.put(MaxPool(n.value, kernel=(2, 2), strides=(2, 2))),
    "max_pool_p": lambda n: n.put(
        MaxPool(n.value, kernel=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    ),
    "mean_pool": lambda n: n.put(AveragePool(n.value, kernel=(2, 2))),
    "mean_pool_p": lambda n: n.put(AveragePool(n.value, kernel=(2, 2), pads=(1, 1, 0, 0))),
    "pad": lambda n: n.put(Pad(n.value, pads=(0, 0, 1, 0, 0, 0, 0, 1))),
    "crop": lambda n: n.put(Slice(n.value, starts=(0,), ends=(-1,), axes=(3,))),
    "scale": lambda n: n.put(Mul(n.value, n.const(n.channels, 1, 1, low=0.5, high=1.5))),
    "shift": lambda n: n.put(Add(n.const(n.channels, 1, 1), n.value)),
    "channels_softmax": lambda n: n.put(Softmax(n.value, axis=1)),
    **ANY,
}  # fmt: skip
SEQUENCE: dict[str, Step] = {
    "attention": Net.attention,
    "heads": lambda n: n.attention(2),
    "dense": Net.dense,
    "feed_forward": Net.feed_forward,
    "layer_norm": Net.layer_norm,
    "rnn": lambda n: n.recurrent(Rnn, "forward"),
    "gru": lambda n: n.recurrent(Gru, "forward"),
    "lstm": lambda n: n.recurrent(Lstm, "forward"),
    "gru_back": lambda n: n.recurrent(Gru, "reverse"),
    "lstm_both": lambda n: n.recurrent(Lstm, "bidirectional"),
    "convolved": Net.convolved,
    "with_mean": Net.with_mean,
    "skip": Net.skip,
    "cross": Net.cross,
    "softmax": lambda n: n.put(Softmax(n.value, axis=-1)),
    "log_softmax": lambda n: n.put(LogSoftmax(n.value, axis=-1)),
    "largest": lambda n: n.put(Sub(n.value, n.add(ReduceMax(n.value, axes=(2,))))),
    "total": lambda n: n.put(Mul(n.value, n.add(ReduceSum(n.value, axes=(2,))))),
    "turned": lambda n: n.put(Transpose(n.value, permutation=(0, 2, 1))),
    **ANY,
}
FLAT: dict[str, Step] = {
    "dense": Net.dense,
    "to_one": lambda n: n.dense(1),
    "to_many": lambda n: n.dense(40),
    "skip": Net.skip,
    "cross": Net.cross,
    "feed_forward": Net.feed_forward,
    "layer_norm": Net.layer_norm,
    "softmax": lambda n: n.put(Softmax(n.value, axis=-1)),
    "again": lambda n: n.put(Concat((n.first, n.value), axis=1)),
    "part": lambda n: (
        n.put(Slice(n.value, starts=(0,), ends=(-1,), axes=(1,))) if n.shape[0] > 1 else None
    ),
    **ANY,
}
STEPS = {"image": IMAGE, "sequence": SEQUENCE, "flat": FLAT}
ENDS = ("classes", "softmax", "pooled", "last", "two", "bare")


@dataclass(frozen=True)
class Recipe:
    kind: str
    steps: tuple[str, ...]
    end: str = "classes"
    seed: int = 0

    def build(self) -> Graph:
        net = Net(self.kind, self.seed)
        for step in self.steps:
            if self.kind != "image" or min(net.shape[1:]) > 2:
                STEPS[self.kind][step](net)
        return net.finish(self.end)

    def inputs(self, count: int = 12, seed: int = 5) -> dict[str, Array]:
        rng = np.random.default_rng(seed)
        return {"x": rng.normal(size=(count, *SHAPES[self.kind])).astype(np.float32)}


@st.composite
def recipes(draw: st.DrawFn, *, most: int = 5) -> Recipe:
    """Draw a recipe of some steps."""
    kind = draw(st.sampled_from(sorted(STEPS)))
    steps = draw(st.lists(st.sampled_from(sorted(STEPS[kind])), min_size=1, max_size=most))
    return Recipe(kind, tuple(steps), draw(st.sampled_from(ENDS)), draw(st.integers(0, 999)))
