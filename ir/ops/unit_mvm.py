"""The word of the unit level for matrix products on crossbars."""

from __future__ import annotations

from math import prod
from typing import cast, get_args

import numpy as np

from neutrams.ir.blocks import Table, blocks, row_splits, used
from neutrams.ir.crossbar import Encoding, multiply
from neutrams.ir.diagnostics import Diagnostic, error
from neutrams.ir.limits import ROUND, more, outside
from neutrams.ir.op import Op, Value, Weight, attr, op, operand
from neutrams.ir.ops.base import Mixes, size_of, want, want_rank, want_same
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ranges import held_numbers, proved_range
from neutrams.ir.target import AdcMode, Coding, Target, least_of
from neutrams.ir.types import Array, Dim, DType, TensorType
from neutrams.ir.windows import out_sizes, patches


@op("unit.mvm")
class Mvm(Op):
    """Multiply an integer matrix held in crossbars by every window of an integer tensor.

    With an ideal converter (``adc_bits`` 0) the result holds the sums of ``(x + input_offset) × w``
    over each split of the rows; with a real one, what :mod:`neutrams.ir.crossbar` says.
    """

    x: Value = operand()
    """Integers; ``x + input_offset`` lies in ``[0, 2^input_bits)``. A convolution reads
    ``[N, groups·C, *sizes]``, a matrix product (empty ``kernel``) ``[*lead, groups·K]``."""
    w: Value = operand()
    """``[groups·M, K]``: signed integers of ``weight_bits``, K running over (channel, *kernel)."""
    kernel: tuple[int, ...] = attr(default=())
    strides: tuple[int, ...] = attr(default=())
    pads: tuple[int, ...] = attr(default=())
    dilations: tuple[int, ...] = attr(default=())
    groups: int = attr(default=1)
    pad_value: int = attr(default=0)
    """What ``x`` holds outside its bounds."""
    input_offset: int = attr(default=0)
    rows: int = attr(default=0)
    """Rows of the largest block; 0 where the matrix is not split."""
    neurons: int = attr(default=0)
    """Neurons of the largest block; 0 where the matrix is not split."""
    input_bits: int = attr(default=8)
    weight_bits: int = attr(default=8)
    cell_bits: int = attr(default=2)
    dac_bits: int = attr(default=1)
    adc_bits: int = attr(default=0)
    coding: str = attr(default="offset")
    column_flip: bool = attr(default=False)
    adc_mode: str = attr(default="clip")

    def infer(self) -> TensorType:
        """``[S, N, groups·M, *out]`` or ``[S, *lead, groups·M]``: S splits of the rows.

        i32, or i64 where the widths and the fan-in allow sums beyond it.
        """
        self._check_attributes()
        shape = want_rank(self, self.x, 1)
        if self.kernel:
            shape = want_rank(self, self.x, 2 + len(self.kernel), 2 + len(self.kernel))
        want_rank(self, self.w, 2, 2)
        channels = shape[1] if self.kernel else shape[-1]
        inputs = size_of(self, channels, "the number of inputs") * prod(self.kernel)
        want_same(self, inputs, self.groups * self.fan_in, "inputs of a window and of the weights")
        want(self, self.outputs % self.groups == 0, "the groups do not divide the neurons")
        self._check_weights()
        return TensorType(self._accumulator(), (self.splits, *self._places(self.outputs)))

    def evaluate(self, x: Array, w: Array) -> Array:
        seen = self.gather(x)
        partials = np.zeros((self.splits, len(seen), self.outputs), np.int64)
        for block in self.table():
            group_lo, group_hi, row_lo, row_hi, _, _ = block
            drive = seen[:, group_lo:group_hi, row_lo:row_hi].reshape(len(seen), -1)
            split = row_lo // self.rows if self.rows else 0
            partials[split, :, self.columns_of(block)] = multiply(
                drive, self.block_weights(w, block), self.encoding
            )
        return self.scatter(partials, x.shape)

    def mixes(self) -> Mixes:
        rank = self.x.type.rank
        mixed = frozenset(range(1, rank)) if self.kernel else frozenset({rank - 1})
        return (mixed, frozenset({0, 1}))

    def violations(self, target: Target) -> list[Diagnostic]:
        """Return every limit of a target that the blocks, widths or cells of the op break."""
        limits, core = target.limits, target.machine.core
        rows, neurons = (int(most.max(initial=0)) for most in used(self.table()))
        fit = target.neurons_at(self.weight_bits)
        bounds = (
            ("fan-in", rows, limits.fan_in, "rows a block reads"),
            ("neurons", neurons, fit, "neurons a block makes"),
            ("weight-bits", self.weight_bits, limits.weight_bits, "bits of a weight"),
            ("input-bits", self.input_bits, limits.input_bits, "bits of an input"),
        )
        faults = [
            fault
            for name, given, allowed, what in bounds
            for fault in more(self, target, name, given, allowed, what)
        ]
        faults += self._ranges_broken(target)
        cells = ("cell_bits", "dac_bits", "adc_bits", "coding", "column_flip", "adc_mode")
        for name in cells:
            if getattr(self, name) != getattr(core, name):
                message = f"`{self.name}` is made for {name} {getattr(self, name)}"
                message += f"; `{target.name}` has {getattr(core, name)}"
                faults.append(error("NT0146", message).at(self.where))
        return faults

    def _ranges_broken(self, target: Target) -> list[Diagnostic]:
        """Return the faults of weights, inputs and biases outside ranges that a target states."""
        limits, faults = target.limits, list[Diagnostic]()
        if limits.weight_range is not None and isinstance(self.w, Weight):
            given, allowed = held_numbers(self.w), target.weight_codes
            faults += outside(self, target, "weight-range", given, allowed, "weights", ROUND)
        if limits.input_range is not None:
            least, most = target.input_codes
            what = f"inputs, offset by {self.input_offset},"
            allowed = (0, most - least)
            faults += outside(self, target, "input-range", self.drive(), allowed, what, ROUND)
        for user in self.result.users:
            if limits.bias_range and isinstance(user, Reduce) and isinstance(user.bias, Weight):
                given, allowed = self.leaks(user.bias), limits.bias_range.codes
                faults += outside(self, target, "bias-range", given, allowed, "biases", ROUND)
        return faults

    def drive(self) -> tuple[int, int]:
        """Return bounds of ``x + input_offset``, pads included."""
        low, high = proved_range(self.x)
        if any(self.pads):
            low, high = min(low, self.pad_value), max(high, self.pad_value)
        return low + self.input_offset, high + self.input_offset

    def leaks(self, bias: Weight) -> tuple[int, int]:
        """Return bounds of what neurons add to ``Σ x·w``, given what is added to the sums here."""
        if bias.data is None or not isinstance(self.w, Weight) or self.w.data is None:
            return 0, 0
        added = bias.data + self.input_offset * self.w.data.sum(axis=1, dtype=np.int64)
        return int(added.min(initial=0)), int(added.max(initial=0))

    @property
    def fan_in(self) -> int:
        """Inputs of one neuron, over all splits."""
        return size_of(self, self.w.type.shape[1], "the fan-in")

    @property
    def outputs(self) -> int:
        """Neurons of all groups."""
        return size_of(self, self.w.type.shape[0], "the number of neurons")

    @property
    def splits(self) -> int:
        return row_splits(self.fan_in, self.rows)

    @property
    def windows(self) -> Dim:
        """Times the matrix is applied for the whole batch."""
        return self.x.type.with_shape(self._places(1)).elements

    @property
    def encoding(self) -> Encoding:
        return Encoding(
            input_bits=self.input_bits,
            weight_bits=self.weight_bits,
            cell_bits=self.cell_bits,
            dac_bits=self.dac_bits,
            adc_bits=self.adc_bits,
            coding=cast(Coding, self.coding),
            column_flip=self.column_flip,
            adc_mode=cast(AdcMode, self.adc_mode),
            rows=self.rows or self.fan_in,
        )

    def table(self) -> Table:
        """Return the blocks of the matrix; see :func:`neutrams.ir.blocks.blocks`."""
        neurons = self.outputs // self.groups
        return blocks(self.groups, self.fan_in, neurons, self.rows, self.neurons)

    def gather(self, x: Array) -> Array:
        """Return ``[windows, groups, fan_in]``: the unsigned drive of every row."""
        if self.kernel:
            seen = patches(
                x, self.kernel, self.strides, self.pads, self.dilations, value=self.pad_value
            )
            x = np.moveaxis(seen.reshape(len(x), -1, *seen.shape[3:]), 1, -1)
        return x.reshape(-1, self.groups, self.fan_in).astype(np.int64) + self.input_offset

    def scatter(self, partials: Array, shape: tuple[int, ...]) -> Array:
        """Shape ``[S, windows, neurons]`` as the result for an ``x`` of the given shape."""
        if not self.kernel:
            return partials.reshape(self.splits, *shape[:-1], self.outputs)
        out = out_sizes(shape[2:], self.kernel, self.strides, self.pads, self.dilations)
        apart = partials.reshape(self.splits, shape[0], *out, self.outputs)
        return np.moveaxis(apart, -1, 2)

    def columns_of(self, block: Array) -> slice:
        """Return the neurons, counted over all groups, that a block makes."""
        group_lo, group_hi, _, _, col_lo, col_hi = map(int, block)
        neurons = self.outputs // self.groups
        return slice(group_lo * neurons + col_lo, (group_hi - 1) * neurons + col_hi)

    def block_weights(self, w: Array, block: Array) -> Array:
        """Return ``[rows, neurons]``: what a block holds, zeros off the diagonal of its groups."""
        group_lo, group_hi, row_lo, row_hi, _, _ = map(int, block)
        held = w[self.columns_of(block), row_lo:row_hi]
        count = group_hi - group_lo
        if count == 1:
            return held.T
        neurons, rows = len(held) // count, row_hi - row_lo
        apart = np.zeros((count, rows, count, neurons), w.dtype)
        each = np.arange(count)
        apart[each, :, each, :] = held.reshape(count, neurons, rows).transpose(0, 2, 1)
        return apart.reshape(count * rows, count * neurons)

    def _places(self, neurons: int) -> tuple[Dim, ...]:
        shape = self.x.type.shape
        if not self.kernel:
            return (*shape[:-1], neurons)
        out = out_sizes(shape[2:], self.kernel, self.strides, self.pads, self.dilations)
        return (shape[0], neurons, *out)

    def _accumulator(self) -> DType:
        bits = self.input_bits + self.weight_bits + self.fan_in.bit_length()
        return DType.I32 if bits < 32 else DType.I64

    def _check_attributes(self) -> None:
        want(self, self.groups >= 1, f"groups must be 1 or more, not {self.groups}")
        want(self, min(self.rows, self.neurons) >= 0, "rows and neurons must be 0 or more")
        want(self, self.coding in get_args(Coding), f"no coding `{self.coding}`")
        want(self, self.adc_mode in ("clip", "scale"), f"no converter mode `{self.adc_mode}`")
        widths = (self.input_bits, self.weight_bits, self.cell_bits, self.dac_bits)
        want(self, min(widths) >= 1 and max(widths) <= 16, "widths must be 1 to 16 bits")
        want(self, 0 <= self.adc_bits <= 24, "`adc_bits` must be 0 (ideal) to 24")
        for value in (self.x, self.w):
            if value.type.dtype.is_float:
                raise self.fault("NT0130", f"expects integers, got `{value.type}`")

    def _check_weights(self) -> None:
        if not isinstance(self.w, Weight) or self.w.data is None or not self.w.data.size:
            return
        high = 2 ** (self.weight_bits - 1) - 1
        low = least_of(self.weight_bits, self.coding)
        least, most = int(self.w.data.min()), int(self.w.data.max())
        if least < low or most > high:
            raise self.fault(
                "NT0131",
                f"weights from {least} to {most} do not fit {self.weight_bits} bits"
                f" in {self.coding} coding, [{low}, {high}]",
            )
