"""A ``unit.mvm`` made ready to run: exact products by BLAS, lossy converters by bit planes.

Where a block's columns are provably lossless its partial sums are integer products. Elsewhere
the product is corrected by what the converters get wrong, or, where all of them drop low bits,
summed from what they give. Either way the result equals :meth:`Mvm.evaluate` bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from neutrams.ir.blocks import Table
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.ir.windows import filled, out_sizes, windows
from neutrams.simulator.converters import Block, narrow, plan

_COLUMN_BYTES = 4 << 20
"""Memory for unfolded windows; a few times a second-level cache keeps the products fast."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A block with converters that can err, and where it stands in its matrix."""

    inputs: slice
    neurons: slice
    split: int
    block: Block


class Matrix:
    """One ``unit.mvm`` with its weights, ready for batches of any size."""

    def __init__(self, op: Mvm, weights: Array) -> None:
        self.op = op
        self.weights = weights.reshape(op.groups, -1, op.fan_in)
        self._flat = weights

    @property
    def ready(self) -> bool:
        """Whether the kernels' number ranges hold this op's sums; else ``evaluate`` must do."""
        e = self.op.encoding
        lossless = not e.adc_bits
        return lossless or narrow(e, min(e.rows, self.op.fan_in * self.op.groups))

    @cached_property
    def scaled(self) -> bool:
        """Whether all converters drop low bits, so that no product is worth correcting."""
        return self.op.encoding.shift > 0

    @cached_property
    def lossy(self) -> tuple[Placed, ...]:
        """Blocks with columns that can err; those that read the same rows as one."""
        op, e = self.op, self.op.encoding
        if not e.adc_bits:
            return ()
        found = []
        for entry in _joined(op.table(), op.outputs // op.groups):
            block = plan(op.block_weights(self._flat, entry), e, values=self.scaled)
            if block is not None:
                group_lo, group_hi, row_lo, row_hi = map(int, entry[:4])
                inputs = slice(group_lo * op.fan_in + row_lo, (group_hi - 1) * op.fan_in + row_hi)
                split = row_lo // op.rows if op.rows else 0
                found.append(Placed(inputs, op.columns_of(entry), split, block))
        return tuple(found)

    def sums(self, x: Array, *, merged: bool) -> Iterator[tuple[slice, Array]]:
        """Yield ``[splits, neurons, samples × windows]`` for a few samples at a time.

        Samples are those of :meth:`samples`; ``merged`` adds the splits up, and then there is one.
        """
        for part, columns in self._unfolded(x):
            yield part, self._converted(columns, merged=merged)

    def samples(self, x: Array) -> Array:
        """See ``x`` as ``[samples, channels, *sizes]``."""
        return x if self.op.kernel else x.reshape(-1, x.shape[-1])

    def windows(self, x: Array) -> tuple[int, ...]:
        """Return the windows of one sample along each spatial axis."""
        op = self.op
        if not op.kernel:
            return ()
        return out_sizes(x.shape[2:], op.kernel, op.strides, op.pads, op.dilations)

    def _unfolded(self, x: Array) -> Iterator[tuple[slice, Array]]:
        rows, windows = self.op.groups * self.op.fan_in, prod(self.windows(x))
        x = self.samples(x)
        step = max(1, _COLUMN_BYTES // (4 * rows * windows))
        for low in range(0, len(x), step):
            part = slice(low, min(low + step, len(x)))
            yield part, self._columns(x[part]).reshape(rows, -1)

    def _columns(self, x: Array) -> Array:
        """Return ``[channels, *kernel, samples, *windows]``: what drives every row."""
        op, rank = self.op, len(self.op.kernel)
        if not rank:
            return (x.astype(self._number) + op.input_offset).T
        strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
        sizes = [s + pads[i] + pads[i + rank] for i, s in enumerate(x.shape[2:])]
        beyond = op.pad_value + op.input_offset
        padded = np.full((x.shape[1], len(x), *sizes), beyond, self._number)
        bounds = (slice(pads[i], pads[i] + s) for i, s in enumerate(x.shape[2:]))
        inner = padded[(slice(None), slice(None), *bounds)]
        inner[...] = np.moveaxis(x, 1, 0)
        inner += op.input_offset
        seen = np.moveaxis(windows(padded, op.kernel, strides, (), dilations), 1, 1 + rank)
        columns = np.empty(seen.shape, seen.dtype)
        np.copyto(columns, seen)  # in the order of the columns, which is twice as fast
        return columns

    def _converted(self, columns: Array, *, merged: bool) -> Array:
        exact = self._exact(columns, merged=merged)
        if not self.lossy:
            return exact
        found = exact.astype(self.op.result.type.dtype.numpy)
        for placed in self.lossy:
            split = 0 if merged else placed.split
            placed.block.convert(columns[placed.inputs], found[split, placed.neurons])
        return found

    def _exact(self, columns: Array, *, merged: bool) -> Array:
        op = self.op
        shape = (1 if merged else op.splits, op.outputs, columns.shape[1])
        if self.scaled and self.lossy:
            return np.zeros(shape, op.result.type.dtype.numpy)
        if merged or op.splits == 1:
            return self._product(columns, slice(0, op.fan_in)).reshape(shape)
        found = np.empty(shape, op.result.type.dtype.numpy)
        for split in range(op.splits):
            rows = slice(split * op.rows, min((split + 1) * op.rows, op.fan_in))
            found[split] = self._product(columns, rows)
        return found

    def _product(self, columns: Array, rows: slice) -> Array:
        """Multiply some rows, in pieces so short that floats hold every sum exactly."""
        op = self.op
        grouped = columns.reshape(op.groups, op.fan_in, -1)
        total: Array | None = None
        for low in range(rows.start, rows.stop, self._piece):
            piece = slice(low, min(low + self._piece, rows.stop))
            product: Array = np.matmul(self._numbers[:, :, piece], grouped[:, piece])
            if piece == rows:
                return product.reshape(op.outputs, -1)
            whole = product.astype(op.result.type.dtype.numpy)
            total = whole if total is None else np.add(total, whole, out=total)
        assert total is not None
        return total.reshape(op.outputs, -1)

    @cached_property
    def _piece(self) -> int:
        """Rows whose products, summed in any order, stay below 2²⁴, in up to 8 pieces; else all.

        A piece that starts elsewhere meets two of the pieces tried here, hence half the limit.
        """
        magnitude = np.abs(self.weights.astype(np.int64)) * (2**self.op.input_bits - 1)
        for pieces in (1, 2, 4, 8):
            step = -(-self.op.fan_in // pieces)
            starts = np.arange(0, self.op.fan_in, step)
            limit = 2**24 if pieces == 1 else 2**23
            if np.add.reduceat(magnitude, starts, axis=2).max(initial=0) < limit:
                return step
        assert magnitude.sum(axis=2).max() < 2**53, "the accumulator is wider than 53 bits"
        return self.op.fan_in

    @cached_property
    def _number(self) -> type[np.float32] | type[np.float64]:
        """The float type in which every sum of a piece is an exact integer."""
        magnitude = np.abs(self.weights.astype(np.int64)) * (2**self.op.input_bits - 1)
        starts = np.arange(0, self.op.fan_in, self._piece)
        reach = np.add.reduceat(magnitude, starts, axis=2).max(initial=0)
        return np.float32 if reach < 2**24 else np.float64

    @cached_property
    def _numbers(self) -> Array:
        return self.weights.astype(self._number)


def _joined(table: Table, neurons: int) -> Table:
    """Join blocks that read the same rows: a column's sum does not depend on its neighbours."""
    rows = np.unique(table[:, :4], axis=0)
    whole = np.tile(np.array([0, neurons], np.int32), (len(rows), 1))
    return np.concatenate([rows, whole], axis=1)
