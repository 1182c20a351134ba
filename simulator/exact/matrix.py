"""A ``unit.mvm`` made ready to run: exact products of bytes or by BLAS, converters by look-ups.

Where a block's columns are provably lossless its partial sums are integer products. Elsewhere
they are summed from what the converters give, or the product is corrected by what they get
wrong, whichever takes less time. Either way the result equals :meth:`Mvm.evaluate` bit for bit.

Samples lie innermost here, so that what windows see lies in long runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from neutrams.ir.blocks import Table
from neutrams.ir.crossbar import lossless
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.ir.windows import filled, out_sizes, windows
from neutrams.simulator.exact.converters import Block, direct, plan
from neutrams.simulator.exact.dots import PLACES, unit
from neutrams.simulator.exact.joined import Seen, Taps, add_products, rows_seen, seen
from neutrams.simulator.exact.layout import samples_last
from neutrams.simulator.exact.products import THIN, largest_sum, thin_products
from neutrams.simulator.exact.wide import Multiplied

_COLUMN_BYTES = 4 << 20
"""Memory for unfolded windows; a few times a second-level cache keeps the products fast."""
_FLOAT = 4
"""Bytes of a number that is multiplied as a float, and not looked up as it comes."""

_BYTE_ROWS = 1 << 16
"""Rows whose products of bytes 32 bits hold, whatever they are: 2¹⁶ · 255 · 128 is below 2³¹."""
_BYTE_PLACES = 32
"""Places from which products of bytes are faster than of floats, though they take 64 at once."""
_FEW = 32
"""Places up to which column sums are multiplied, not looked up."""
_PLACES = 1024
"""Places to do at once at least: fewer would not be worth making tables for."""
_COLUMNS = 512
"""Columns of a block whose tables stay in a second-level cache."""
_KEPT_WEIGHTS = 1 << 19
"""Weights up to which tables, some 50 bytes a weight, are kept between batches."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A block with converters that can err, and where it stands in its matrix."""

    inputs: slice
    neurons: slice
    split: int
    block: Block | Multiplied


Lossy = tuple[tuple[Placed, ...], ...]
"""Blocks by split."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Which samples a batch holds, and how often each matrix was read for them."""

    first: int
    """Number of its first sample."""
    reads: Counter[str] = field(default_factory=Counter)


class Matrix:
    """One ``unit.mvm`` with its weights, ready for batches of any size."""

    def __init__(self, op: Mvm, weights: Array) -> None:
        self.op = op
        self.weights = weights.reshape(op.groups, -1, op.fan_in)
        self._flat = weights
        self._some_taps: dict[tuple[int, int], Taps] = {}

    @cached_property
    def ready(self) -> bool:
        """Whether floats hold this op's sums; else ``evaluate`` must do."""
        return self.within(2**53)

    @cached_property
    def lossy(self) -> Lossy:
        """For each split: blocks with columns that can err, those that read the same rows as one.

        A split whose blocks are not all here is never summed from what converters give; where
        these are signed all are here, or none.
        """
        return self._lossy(max(1, _COLUMNS // self.op.encoding.reads_per_neuron), few=False)

    @cached_property
    def _lossy_few(self) -> Lossy:
        """The same for few windows: as few blocks as can be."""
        return self._lossy(self.op.outputs, few=True)

    def _lossy(self, most: int, *, few: bool) -> Lossy:
        """Prepare blocks of about so many neurons of a group."""
        op, e, signed = self.op, self.op.encoding, self._signed()
        found: list[list[Placed]] = [[] for _ in range(op.splits)]
        for entry in _joined(op.table(), op.outputs // op.groups, most) if e.adc_bits else ():
            group_lo, group_hi, row_lo, row_hi = map(int, entry[:4])
            keep = self._flat.size <= _KEPT_WEIGHTS
            split = row_lo // op.rows if op.rows else 0
            held = op.block_weights(self._flat, entry)
            always = split in signed
            block = plan(held, e, row_hi - row_lo, keep=keep, always=always, few=few)
            if block is not None:
                inputs = slice(group_lo * op.fan_in + row_lo, (group_hi - 1) * op.fan_in + row_hi)
                found[split].append(Placed(inputs, op.columns_of(entry), split, block))
        return tuple(map(tuple, found))

    def _signed(self) -> set[int]:
        """Return the splits that have signed converters of which any can err."""
        op, e = self.op, self.op.encoding
        return {
            int(entry[2]) // op.rows if op.rows else 0
            for entry in (op.table() if e.adc_bits and e.subtracts else ())
            if not lossless(op.block_weights(self._flat, entry), e).all()
        }

    def sums(self, x: Array, moment: Moment, *, merged: bool) -> Iterator[tuple[slice, Array]]:
        """Yield ``[splits, neurons, places]`` for a few of the :meth:`places` at a time.

        ``merged`` adds the splits up, and then there is one. Exact sums are the same at any moment.
        """
        joined = self.joined(x) if merged or self.op.splits == 1 else None
        if joined is not None:
            found = self._dots(joined, self.taps)
            yield slice(0, found.shape[-1]), found[None]
            return
        lossy = self._lossy_few if self._is_few(prod(self.places(x))) else self.lossy
        direct: list[bool] | None = None
        for part, columns in self.unfolded(x, 1 if any(self.lossy) else _FLOAT):
            if direct is None:
                direct = [
                    self._direct(number, split, columns) for number, split in enumerate(lossy)
                ]
            yield part, self._converted(columns, lossy, direct, merged=merged)

    def _is_few(self, places: int) -> bool:
        kept = self._flat.size <= _KEPT_WEIGHTS
        return places <= _FEW and kept and unit() is not None and any(self.lossy)

    def joined(self, x: Array) -> Seen | None:
        """Return what :attr:`taps` meet, where nothing is lost and bytes can be multiplied."""
        able = self._bytes and self.within(2**31) and not any(self.lossy)
        return seen(self.op, x) if able else None

    def within(self, limit: int) -> bool:
        """Say whether all sums of a neuron stay below a limit."""
        return self._whole_reach < limit

    @cached_property
    def _whole_reach(self) -> int:
        return self._reach(self.op.fan_in)

    @cached_property
    def taps(self) -> Taps:
        return Taps.of(self.weights, self.op.kernel)

    def places(self, x: Array) -> tuple[int, ...]:
        """Return how often the matrix is applied along each axis, the samples' one last.

        For a product of matrices these are the leading axes, as they stand.
        """
        op = self.op
        if not op.kernel:
            return x.shape[:-1]
        return (*out_sizes(x.shape[2:], op.kernel, op.strides, op.pads, op.dilations), len(x))

    def unfolded(self, x: Array, size: int = _FLOAT) -> Iterator[tuple[slice, Array]]:
        """Yield numbers of some places, and ``[rows, places]``: what drives every row there.

        So many places that their numbers, of ``size`` bytes each, stay in a cache.
        """
        seen = self._seen(x)
        rows, places = self.op.groups * self.op.fan_in, seen.shape[1 + len(self.op.kernel) :]
        each = max(_COLUMN_BYTES // (size * rows), _PLACES)
        before = (slice(None),) * (seen.ndim - len(places))
        for box, part in _runs(places, each):
            view = seen[before + box]
            columns = np.empty(view.shape, view.dtype)
            np.copyto(columns, view)  # in the order of the columns, which is twice as fast
            yield part, columns.reshape(rows, -1)

    def _seen(self, x: Array) -> Array:
        """Return a view ``[channels, *kernel, *places]`` of what drives every row."""
        op, rank = self.op, len(self.op.kernel)
        number = np.uint8 if op.input_bits <= 8 else np.uint16
        offset = number(op.input_offset % (np.iinfo(number).max + 1))
        if not rank:
            drive: Array = samples_last(x.reshape(-1, x.shape[-1])).astype(number)
            return np.asarray(drive + offset)
        strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
        sizes = [s + pads[i] + pads[i + rank] for i, s in enumerate(x.shape[2:])]
        padded = np.full((x.shape[1], *sizes, len(x)), op.pad_value + op.input_offset, number)
        bounds = (slice(pads[i], pads[i] + s) for i, s in enumerate(x.shape[2:]))
        inner = padded[(slice(None), *bounds)]
        np.add(samples_last(x).astype(number, copy=False), offset, out=inner)
        seen = windows(np.moveaxis(padded, -1, 0), op.kernel, strides, (), dilations)
        return np.moveaxis(seen, 0, -1)

    def _converted(
        self, columns: Array, lossy: Lossy, direct: list[bool], *, merged: bool
    ) -> Array:
        """Return the sums that converters give for unsigned ``columns`` ``[rows, places]``."""
        found = self._exact(columns, [not given for given in direct], merged=merged)
        if not any(lossy):
            return found
        found = self._whole(found)
        for placed in (placed for split in lossy for placed in split):
            sums = found[0 if merged else placed.split, placed.neurons]
            placed.block.convert(columns[placed.inputs], sums, errors=not direct[placed.split])
        return found

    def _direct(self, split: int, placed: tuple[Placed, ...], columns: Array) -> bool:
        """Say whether a split is summed from what its converters give; see :func:`direct`."""
        op = self.op
        if sum(p.neurons.stop - p.neurons.start for p in placed) < op.outputs:
            return False
        drives = [columns[p.inputs] for p in placed]
        rows = self._rows(split)
        return direct([p.block for p in placed], drives, op.outputs, rows.stop - rows.start)

    def _rows(self, split: int) -> slice:
        rows = self.op.rows or self.op.fan_in
        return slice(split * rows, min((split + 1) * rows, self.op.fan_in))

    def _exact(self, columns: Array, wanted: list[bool], *, merged: bool) -> Array:
        """Return integer products of the wanted splits; those of others are zeros."""
        op = self.op
        shape = (1 if merged else op.splits, op.outputs, columns.shape[1])
        if not any(wanted):
            return np.zeros(shape, self._integer)
        if all(wanted) and (merged or op.splits == 1):
            return self._product(columns, slice(0, op.fan_in)).reshape(shape)
        found = np.zeros(shape, self._integer)
        for split, each in enumerate(wanted):
            if each:
                product = self._product(columns, self._rows(split))
                found[0 if merged else split] += self._whole(product)
        return found

    def _whole(self, product: Array) -> Array:
        return product.astype(self._integer, copy=False)

    def _product(self, columns: Array, rows: slice) -> Array:
        """Multiply some rows, in pieces so short that floats hold every sum exactly."""
        op = self.op
        grouped = columns.reshape(op.groups, op.fan_in, -1)
        if self._bytes and columns.shape[1] >= _BYTE_PLACES:
            return self._bytes_product(grouped, rows)
        if op.outputs // op.groups <= THIN:
            return self._thin(grouped, rows)
        total: Array | None = None
        for low in range(rows.start, rows.stop, self._piece):
            piece = slice(low, min(low + self._piece, rows.stop))
            drive = grouped[:, piece].astype(self._number)
            product: Array = np.matmul(self._numbers[:, :, piece], drive)
            if piece == rows:
                return product.reshape(op.outputs, -1)
            whole = self._whole(product)
            total = whole if total is None else np.add(total, whole, out=total)
        assert total is not None
        return total.reshape(op.outputs, -1)

    def _thin(self, grouped: Array, rows: slice) -> Array:
        found = np.zeros((*self.weights.shape[:2], grouped.shape[2]), self._integer)
        thin_products(self._integers, grouped, rows.start, rows.stop, found)
        return found.reshape(self.op.outputs, -1)

    def _bytes_product(self, grouped: Array, rows: slice) -> Array:
        places = grouped.shape[2]
        if places < PLACES:
            grouped = np.pad(grouped, ((0, 0), (0, 0), (0, PLACES - places)))
        step = self.op.fan_in if self.within(2**31) else _BYTE_ROWS
        found: Array | None = None
        for low in range(rows.start, rows.stop, step):
            piece = slice(low, min(low + step, rows.stop))
            found = self._dots(rows_seen(grouped[:, piece]), self._rows_taps(piece), found)
        assert found is not None
        return found[:, :places]

    def _dots(self, joined: Seen, taps: Taps, found: Array | None = None) -> Array:
        """Add dot products to what is found."""
        shape = (self.op.groups, self.weights.shape[1], len(joined.starts) * joined.run)
        total = np.zeros(shape, self._integer) if found is None else found.reshape(shape)
        add_products(taps.weights, joined.drive, joined.taps, joined.starts, joined.run, total)
        return total.reshape(self.op.outputs, -1)

    def _rows_taps(self, rows: slice) -> Taps:
        key = rows.start, rows.stop
        if key not in self._some_taps:
            self._some_taps[key] = Taps.of(self.weights[:, :, rows], ())
        return self._some_taps[key]

    @cached_property
    def _bytes(self) -> bool:
        """Whether dot products of bytes give the sums, and are the fastest way to them."""
        op = self.op
        wide = op.groups == 1 or op.outputs // op.groups > THIN
        return wide and unit() is not None and max(op.input_bits, op.weight_bits) <= 8

    @cached_property
    def _integer(self) -> np.dtype[Any]:
        return self.op.result.type.dtype.numpy

    @cached_property
    def _integers(self) -> Array:
        return self.weights.astype(self._integer)

    @cached_property
    def _piece(self) -> int:
        """Rows whose products, summed in any order, stay below 2²⁴, in up to 8 pieces; else all.

        A piece that starts elsewhere meets two of the pieces tried here, hence half the limit.
        """
        for pieces in (1, 2, 4, 8):
            step = -(-self.op.fan_in // pieces)
            if self._reach(step) < (2**24 if pieces == 1 else 2**23):
                return step
        return self.op.fan_in

    def _reach(self, rows: int) -> int:
        """Return the largest sum of products, in any order, of a piece of so many rows."""
        return int(largest_sum(self.weights, rows)) * int(2**self.op.input_bits - 1)

    @cached_property
    def _number(self) -> type[np.float32] | type[np.float64]:
        """The float type in which every sum of a piece is an exact integer."""
        return np.float32 if self._reach(self._piece) < 2**24 else np.float64

    @cached_property
    def _numbers(self) -> Array:
        return self.weights.astype(self._number)


def _joined(table: Table, neurons: int, most: int) -> Table:
    """Join blocks that read the same rows: a column's sum does not depend on its neighbours.

    No more than about ``most`` neurons of a group, so that tables stay in a second-level cache.
    """
    rows = np.unique(table[:, :4], axis=0)
    parts = 1 if (rows[:, 1] - rows[:, 0] > 1).any() else -(-neurons // most)
    bounds = np.linspace(0, neurons, parts + 1).astype(np.int32)
    columns = np.stack([bounds[:-1], bounds[1:]], axis=1)
    return np.concatenate([rows.repeat(parts, axis=0), np.tile(columns, (len(rows), 1))], axis=1)


def _runs(places: tuple[int, ...], each: int) -> Iterator[tuple[tuple[slice, ...], slice]]:
    """Cut places into boxes of at most about ``each``, which lie one behind the other.

    Yields the box along the first one or two axes, and the numbers of its places.
    """
    inner = prod(places[1:])
    step = max(1, each // inner)
    for low in range(0, places[0], step):
        high = min(low + step, places[0])
        if inner <= each or len(places) < 3:
            whole = (slice(None),) * (len(places) - 1)
            yield (slice(low, high), *whole), slice(low * inner, high * inner)
            continue
        for (box, *rest), part in _runs(places[1:], each):
            here = slice(low * inner + part.start, low * inner + part.stop)
            yield (slice(low, high), box, *rest), here
