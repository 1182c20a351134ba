"""``quantize``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.functions import has
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.quantization import Quantize as QuantizeOp
from neutrams.ir.ops.time import Run, State
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes.affine import Affine, Codes, is_quantized, narrowest
from neutrams.passes.base import MOST_MOVED, Pass, PassContext
from neutrams.passes.bits import REST, Bits, check_bits, parse_bits
from neutrams.passes.digits import DigitsOf
from neutrams.passes.grids import Grids, fewest
from neutrams.passes.linear import Linear
from neutrams.passes.match import channel_vector, located, read_once
from neutrams.passes.observers import Observer
from neutrams.passes.quantize_plan import Plan, plan
from neutrams.passes.quantize_values import Ranges, insert_pair, insert_pairs
from neutrams.passes.weight_rounding import LEAST, channel_scales, next_power

I32_MAX = 2**31 - 1
BIAS_ROOM = 1.01
"""Share of a chip's range of biases that is left for what rounding adds."""
BIAS_LIMIT = 2.0**30
"""Largest bias in steps of the sum; leaves room for the sum itself in 32 bits."""


@dataclass(frozen=True)
class Quantize(Pass):
    """Round what crossbars will hold and read to integers, as quantise and dequantise pairs.

    Weights are symmetric with a scale for each neuron, activations unsigned with one scale a
    tensor and an exact 0, biases 32-bit in steps of the products. What only digital units read
    stays float, and so does the network's output. A state that they read is kept in more bits, for
    its rounding errors add up. A graph that is quantised already is left alone.
    """

    name: ClassVar[str] = "quantize"
    takes: ClassVar = ("nn",)
    descends: ClassVar[bool] = True

    activation_bits: int = 0
    """0 for the target's input width, or 8."""
    weight_bits: int = 0
    """0 for the target's weight width, or 8."""
    bits: str = ""
    """Weight and input bits of single layers, by the names of what they make: `a=8/8,b=4/2`; `*`
    stands for all others. What digital units read as well keeps `activation-bits`."""
    digits: DigitsOf = "none"
    """What crossbars read in two digits, for `split-digits` to take apart: what no product comes
    before (`inputs`), or `all`. With these and with `named`, `bits` may ask for more than the
    target's, of inputs and of weights."""
    observer: Observer = "mse"
    """How the ranges of inputs with bits of their own are chosen, as `calibrate` does."""
    power_of_two: bool = False
    """Make all scales powers of two, so that rescaling is shifting. A target whose
    `limits.rescale` says so has it."""
    state_bits: int = 16
    """Width of states that digital units read, at most 16; 0 leaves them float."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if is_quantized(graph):
            return False
        usual, wanted = self._widths(ctx), parse_bits(self.bits)
        digital = self._digital(ctx, usual)
        found = plan(graph, ctx)
        if faults := [_no_range(value) for value in found.values if value.type.range is None]:
            raise NeutramsError(*faults)
        if not any(isinstance(op, State) for op in graph.ops):
            check_bits(wanted, _layers(graph), ctx.target, digits=self.digits != "none")
        bits = {op: wanted.get(op.result.name, wanted.get(REST, usual)) for op in found.source_of}
        for op in self._in_digits(graph, found):
            bits[op] = replace(bits[op], inputs=max(bits[op].inputs, 2 * usual.inputs))
        if self.digits != "none":
            _share(found, bits, digital, ctx)
        several = bool(wanted) or digital > usual.inputs or self.digits != "none"
        ranges = Ranges(graph, ctx, self.observer, usual.inputs) if several else None
        grids = Grids.of(ctx.target, power_of_two=self.power_of_two)
        maps = insert_pairs(graph, found, bits, digital, ranges, grids)
        for item in found.linears:
            _round_weights(graph, item, maps[item.op], bits[item.op].weights, grids)
            ctx.remark(
                item.op,
                f"rounded to {bits[item.op].weights}-bit weights"
                f" and {bits[item.op].inputs}-bit inputs",
            )
        states = self._state_bits(ctx)
        kept = [
            self._keep(graph, op, states, grids) for op in list(graph.ops) if isinstance(op, State)
        ]
        if found.linears:
            graph.prune()
        return bool(found.linears) or any(kept)

    def _state_bits(self, ctx: PassContext) -> int:
        """Return the bits of states; units that add them up read no more than from each other."""
        if ctx.target is None or has(ctx.target, "add"):
            return self.state_bits
        limits = ctx.target.limits
        return min(self.state_bits, limits.input_bits, limits.output_bits)

    def _keep(self, graph: Graph, op: State, bits: int, grids: Grids) -> bool:
        """Round a state that more than one quantise op reads."""
        value = op.result
        rounded = len(value.users) == 1 and isinstance(value.users[0], QuantizeOp)
        if rounded or not bits or not value.type.dtype.is_float:
            return False
        if value.type.range is None:
            raise NeutramsError(_no_range(value))
        codes = (0, 2**bits - 1)
        to = Affine.onto(*value.type.range, codes=codes, power_of_two=grids.power_of_two)
        insert_pair(graph, value, to)
        return True

    def _in_digits(self, graph: Graph, found: Plan) -> Iterator[Op]:
        """Yield the products that read two digits, whatever their bits say."""
        if self.digits == "all":
            yield from found.source_of
        elif self.digits == "inputs" and not any(isinstance(op, State) for op in graph.ops):
            yield from (op for op in found.source_of if not _after_product(op))

    def bound(self, target: Target | None) -> float:
        """Rounding moves outputs by some steps of the narrowest width (measured, not derived)."""
        widths = [width for width in (self.activation_bits, self.weight_bits) if width]
        for bits in parse_bits(self.bits).values():
            widths += [bits.weights, bits.inputs]
        integers = min(fewest(target), 1 << min(widths, default=16))
        return min(MOST_MOVED, 64 / integers)

    def _digital(self, ctx: PassContext, usual: Bits) -> int:
        """Return the bits of what digital units read: those that units give out, if more."""
        if self.activation_bits or ctx.target is None:
            return usual.inputs
        return max(usual.inputs, ctx.target.limits.output_bits)

    def _widths(self, ctx: PassContext) -> Bits:
        limits = ctx.target.limits if ctx.target else None
        bits = self.activation_bits or (limits.input_bits if limits else 8)
        weight_bits = self.weight_bits or (limits.weight_bits if limits else 8)
        if not (2 <= weight_bits <= 16 and 1 <= bits <= 16):
            raise NeutramsError(
                error(
                    "NT0212", f"cannot round to {weight_bits}-bit weights and {bits}-bit inputs"
                ).note("weights take 2 to 16 bits, inputs 1 to 16")
            )
        return Bits(weight_bits, bits)


def _share(found: Plan, bits: dict[Op, Bits], digital: int, ctx: PassContext) -> None:
    """Let no product read more bits than digital units do of a value that both read."""
    shared = {found.lead(value) for value in found.digital}
    for op, source in found.source_of.items():
        if found.lead(source) in shared and bits[op].inputs > digital:
            bits[op] = replace(bits[op], inputs=digital)
            text = f"reads {digital} bits, as digital units do of the same value"
            ctx.remark(op, text, kind="missed")


def _after_product(op: Op) -> bool:
    """Say whether what a product reads depends on another product, or on a state."""
    waiting, seen = [v.op for v in op.present], set[Op]()
    while waiting:
        each = waiting.pop()
        if each is None or each in seen:
            continue
        if isinstance(each, Conv | ConvTranspose | Matmul | Run):
            return True
        seen.add(each)
        waiting += [v.op for v in each.present]
    return False


def _layers(graph: Graph) -> list[str]:
    """Return the names of the products of a graph and its cells."""
    graphs = [graph, *graph.cells()]
    return [op.result.name for g in graphs for op in g.ops if isinstance(op, Conv | Matmul)]


def _no_range(value: Value) -> Diagnostic:
    fault = error("NT0211", f"the range of `%{value.name}` is not known")
    if value.op is not None:
        fault = fault.at(value.op.where, f"made by `{value.op.name}`")
    return fault.help("run `calibrate` before `quantize`")


def _round_weights(graph: Graph, item: Linear, inputs: Affine, bits: int, grids: Grids) -> None:
    """Put dequantised integers where the float weights and the bias stood."""
    add, bias = _bias(graph, item)
    matrix = item.w.T if isinstance(item.op, Matmul) else item.w.reshape(item.neurons, -1)
    codes = grids.weights(bits)
    least = _least(matrix, bias, inputs, grids.biases)
    scales = channel_scales(matrix, codes, power_of_two=grids.power_of_two)
    if grids.power_of_two:
        least = next_power(np.maximum(least, LEAST)).astype(np.float32)
    scales = np.maximum(scales, least)
    axis = 1 if isinstance(item.op, Matmul) else 0
    old = item.op.b if isinstance(item.op, Matmul) else item.op.w
    w = _dequantized(graph, item.op, old.name, item.w, scales, codes=codes, axis=axis)
    if isinstance(item.op, Matmul):
        new: Op = replace(item.op, b=w)
    elif bias is None:
        new = replace(item.op, w=w)
    else:
        new = replace(item.op, w=w, b=_rounded_bias(graph, item, bias, inputs, scales, item.op))
    graph.replace(item.op, located(new, item.op))
    if add is not None and bias is not None:
        b = _rounded_bias(graph, item, bias, inputs, scales, add)
        graph.replace(add, located(Add(new.results[0], b), add))


def _least(matrix: Array, bias: Array | None, inputs: Affine, biases: Codes | None) -> Array:
    """Return for each neuron the least scale of weights at which what it adds is in range.

    That is its bias, less what the zero point of its inputs adds to its sum of products.
    """
    added = np.zeros(len(matrix)) if bias is None else bias
    if biases is None:
        least: Array = np.abs(added) / (inputs.scale * BIAS_LIMIT)
        return least.astype(np.float32)
    low, high = biases
    moved = added - inputs.zero * inputs.scale * matrix.sum(axis=1, dtype=np.float64)
    below = moved / low if low else np.zeros(len(moved))
    least = np.maximum(moved / high, below) / inputs.scale
    return (least * BIAS_ROOM).astype(np.float32)


def _bias(graph: Graph, item: Linear) -> tuple[Add | None, Array | None]:
    """Return the sum behind a matrix product that adds its bias, and the bias of either kind."""
    result = item.op.result
    if isinstance(item.op, Conv):
        return None, None if item.b is None else item.b.astype(np.float64)
    if not read_once(graph, result) or not isinstance(add := result.users[0], Add):
        return None, None
    if add.a is not result or add.result.type.plain() != result.type.plain():
        return None, None
    vector = channel_vector(add.b, result.type.rank, item.axis, item.neurons)
    return (None, None) if vector is None else (add, vector.astype(np.float64))


def _rounded_bias(
    graph: Graph, item: Linear, bias: Array, inputs: Affine, scales: Array, like: Op
) -> Value:
    steps = np.float32(inputs.scale) * scales
    name = f"{item.op.result.name}.bias"
    return _dequantized(graph, like, name, bias, steps, codes=None, axis=0)


def _dequantized(
    graph: Graph,
    like: Op,
    name: str,
    data: Array,
    scales: Array,
    *,
    codes: Codes | None,
    axis: int,
) -> Value:
    """Add the integers nearest to ``data`` and the op that gives them back as floats.

    They have the given bounds, or 32 bits.
    """
    shape = tuple(-1 if place == axis else 1 for place in range(data.ndim))
    low, high = codes or (-I32_MAX, I32_MAX)
    ints = np.clip(np.rint(data / scales.astype(np.float64).reshape(shape)), low, high)
    dtype = narrowest(min(low, -1), high)
    weight = graph.weight(f"{name}.q", ints.astype(dtype.numpy))
    if codes is not None:
        weight.type = weight.type.with_range(low, high)
    scale = graph.weight(f"{name}.scale", scales.astype(np.float32))
    zero = graph.weight(f"{name}.zero", np.zeros(len(scales), dtype.numpy))
    back = located(Dequantize(weight, scale, zero, axis=axis), like)
    return graph.add(back, before=like, name=f"{name}.dq")
