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
from numpy.typing import NDArray

from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType
from neutrams.ir.windows import filled, out_sizes
from neutrams.simulator.converters import Block, narrow, plan
from neutrams.simulator.unfold import unfold

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
        op, e = self.op, self.op.encoding
        if not e.adc_bits:
            return ()
        wide = op.result.type.dtype is DType.I64
        found = []
        for entry in op.table():
            held = op.block_weights(self._flat, entry)
            block = plan(held, e, values=self.scaled, wide=wide)
            if block is not None:
                group_lo, group_hi, row_lo, row_hi = map(int, entry[:4])
                inputs = slice(group_lo * op.fan_in + row_lo, (group_hi - 1) * op.fan_in + row_hi)
                split = row_lo // op.rows if op.rows else 0
                found.append(Placed(inputs, op.columns_of(entry), split, block))
        return tuple(found)

    def sums(self, x: Array, *, merged: bool) -> Iterator[tuple[slice, Array]]:
        """Yield ``[splits, neurons, samples × windows]`` for a few samples at a time.

        A sample is a row of ``x`` seen as ``[samples, channels, *sizes]``; ``merged`` adds the
        splits up, and then there is one.
        """
        for part, columns in self._unfolded(x):
            yield part, self._converted(columns, merged=merged)

    def samples(self, x: Array) -> Array:
        """See ``x`` as ``[samples, channels, depth, height, width]``."""
        if not self.op.kernel:
            return x.reshape(-1, x.shape[-1], 1, 1, 1)
        return x.reshape(*x.shape[:2], *(1,) * (3 - len(self.op.kernel)), *x.shape[2:])

    def geometry(self, x: Array) -> NDArray[np.int64]:
        """Return kernel, stride, begin padding, dilation and windows of three spatial axes."""
        op, rank = self.op, len(self.op.kernel)
        table = np.array([[1, 1, 0, 1, 1]] * 3, np.int64)
        if rank:
            strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
            out = out_sizes(x.shape[2:], op.kernel, strides, pads, dilations)
            table[3 - rank :] = np.stack([op.kernel, strides, pads[:rank], dilations, out], axis=1)
        return table

    def _unfolded(self, x: Array) -> Iterator[tuple[slice, Array]]:
        geometry = self.geometry(x)
        x = np.ascontiguousarray(self.samples(x))
        rows, windows = self.op.groups * self.op.fan_in, int(prod(geometry[:, 4]))
        step = max(1, _COLUMN_BYTES // (4 * rows * windows))
        for low in range(0, len(x), step):
            part = slice(low, min(low + step, len(x)))
            columns = np.empty((rows, (part.stop - low) * windows), self._number)
            unfold(x[part], self.op.input_offset, self.op.pad_value, geometry, columns)
            yield part, columns

    def _converted(self, columns: Array, *, merged: bool) -> Array:
        exact = self._exact(columns, merged=merged)
        if not self.lossy:
            return exact
        found = exact.astype(self.op.result.type.dtype.numpy)
        for placed in self.lossy:
            change = placed.block.convert(columns[placed.inputs])
            found[0 if merged else placed.split, placed.neurons] += change.T
        return found

    def _exact(self, columns: Array, *, merged: bool) -> Array:
        op = self.op
        shape = (1 if merged else op.splits, op.outputs, columns.shape[1])
        if self.scaled and self.lossy:
            return np.zeros(shape, op.result.type.dtype.numpy)
        if merged or op.splits == 1:
            return self._product(columns, slice(0, op.fan_in)).reshape(shape)
        found = np.empty(shape, columns.dtype)
        for split in range(op.splits):
            rows = slice(split * op.rows, min((split + 1) * op.rows, op.fan_in))
            found[split] = self._product(columns, rows)
        return found

    def _product(self, columns: Array, rows: slice) -> Array:
        op = self.op
        grouped = columns.reshape(op.groups, op.fan_in, -1)[:, rows]
        product: Array = np.matmul(self._numbers[:, :, rows], grouped)
        return product.reshape(op.outputs, -1)

    @cached_property
    def _number(self) -> type[np.float32] | type[np.float64]:
        """The float type in which every sum of products, in any order, is an exact integer."""
        reach = np.abs(self.weights.astype(np.int64)).sum(axis=2).max(initial=0)
        largest = int(reach) * (2**self.op.input_bits - 1)
        assert largest < 2**53, "the accumulator is wider than 53 bits"
        return np.float32 if largest < 2**24 else np.float64

    @cached_property
    def _numbers(self) -> Array:
        return self.weights.astype(self._number)
