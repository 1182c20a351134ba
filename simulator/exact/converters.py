"""Crossbar blocks as the column kernels read them: packed once, used for every batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.crossbar import Cells, Encoding, never_errs, program, read, safe, unit_safe
from neutrams.ir.types import Array
from neutrams.simulator.exact.collect import COLUMNS, LANES, Bytes
from neutrams.simulator.exact.columns import busiest, cut_and_convert, fill
from neutrams.simulator.exact.layout import aligned
from neutrams.simulator.exact.lookup import unit
from neutrams.simulator.exact.wide import Multiplied

_TILES = 16
"""Tiles of windows cut at a time: their indices stay in the second-level cache."""
_PRODUCT = 28
"""Cells looked up in one phase in the time of one multiplication by BLAS."""
_FLOATS = 32
"""Multiplications in the time in which one input becomes a float, for a product."""
_DIGIT, _LEVEL = 3, 4
"""Bits of a digit and of a cell that one table serves: its sums stay below 256."""
_BYTE_MAX = 255
_WIDE = 16
"""Bits of a digit times those of a cell, from which products are faster than look-ups in parts."""
_ALWAYS = 2**62

Ints = NDArray[np.int64]
Place = tuple[int, int, int]
"""Row, bit of a digit as a power of two, and what that is worth in a table."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a block are looked up; see :mod:`neutrams.simulator.exact.columns`."""

    sources: Ints
    worth: Ints
    """``[groups, bits]`` what a bit of an index is worth in its tables."""
    parts: Ints
    levels: Ints
    """``[table groups, 2]`` group of ``sources`` that a group of tables meets; low bit of the
    cell that it holds."""

    def weights(self, codes: Array, e: Encoding) -> Bytes:
        """Return ``[columns, table groups, bits]`` for cells ``[rows, columns]``."""
        group, low = self.levels.T
        cells = _part(codes[self.sources[group, :, 0]].transpose(2, 0, 1), low[:, None], e)
        return np.asarray(cells * self.worth[group], np.uint8)  # of signed levels, the low bits


def _part(codes: Ints, low: int | Ints, e: Encoding) -> Ints:
    """Return so many bits of levels as one table serves, with the sign of the level."""
    most = 2 ** min(e.cell_bits, _LEVEL) - 1
    return np.asarray(np.sign(codes) * (np.abs(codes) >> low & most))


@dataclass(frozen=True, slots=True)
class Block:
    """Columns of one block, and what their converters make of them."""

    encoding: Encoding
    whole: bool
    """Whether all columns are here, not only those that can err."""
    keep: bool
    """Whether tables are kept between batches; else they are made anew."""
    layout: Layout
    weights: Bytes
    limits: Ints
    reach: Ints
    neurons: Ints
    gains: Ints
    unit_gains: Ints
    zeros: Ints
    kind: type[np.unsignedinteger[Any]]
    together: tuple[int, int]
    """Phases whose codes, and whose errors, a byte holds; see :func:`add_converted`."""
    _kept: list[Bytes] = field(default_factory=list, repr=False, compare=False)

    def convert(self, drive: Array, out: Array, *, errors: bool) -> None:
        """Add to ``out`` ``[neurons, windows]`` the values or errors for ``[rows, windows]``."""
        e, tables = self.encoding, self._tables()
        reach = self.reach if errors else np.zeros_like(self.reach)
        sign = -1 if errors else 1
        scratch = aligned((2, COLUMNS, LANES), self.kind)
        windows = drive.shape[1]
        whole = windows // LANES * LANES
        tiles = max(1, min(_TILES, windows // LANES))
        index = aligned((tiles, e.phases, len(self.layout.sources), LANES))
        rest = [(filled_up(drive[:, whole:], LANES), whole)] if whole < windows else []
        for seen, first in [(drive, 0), *rest]:
            cut_and_convert(
                seen, first, self.layout.sources, index, tables, self.layout.parts, self.limits,
                errors, e.dac_bits, self.together[errors], reach, self.neurons, sign * self.gains,
                sign * self.unit_gains, self.zeros, scratch, out,
            )  # fmt: skip

    def spared(self, drive: Array) -> int:
        """Guess how many cells in how many phases cannot err, where windows are like these."""
        driven = np.zeros(self.encoding.phases, np.int64)
        busiest(drive, drive.shape[1] // 2, self.encoding.dac_bits, driven)
        return int((self.reach[1:, None] >= driven).sum()) * COLUMNS * len(drive)

    def _tables(self) -> Bytes:
        if self._kept:
            return self._kept[0]
        columns, groups, bits = self.weights.shape
        tables = aligned((columns // COLUMNS, groups, COLUMNS, 2**bits))
        fill(self.weights, tables)
        if self.keep:
            self._kept.append(tables)
        return tables


def direct(
    blocks: list[Block | Multiplied], drives: list[Array], neurons: int, fan_in: int
) -> bool:
    """Say whether to sum what converters give; else to correct the product of so many neurons.

    Both give the same. The product takes time, but then columns that cannot err are spared.
    """
    if not all(block.whole for block in blocks):
        return False
    if any(_summed(block.encoding) for block in blocks):
        return True
    pairs = zip(blocks, drives, strict=True)
    return sum(block.spared(drive) for block, drive in pairs) < _worth(neurons, fan_in)


def _worth(neurons: int, fan_in: int) -> int:
    """Return how many cells in how many phases take as long as a product."""
    return _PRODUCT * fan_in * (neurons + _FLOATS)


def plan(
    weights: Array, e: Encoding, fan_in: int, *, keep: bool, always: bool = False, few: bool = False
) -> Block | Multiplied | None:
    """Prepare a block of ``weights`` ``[rows, neurons]``; ``None`` where nothing can go wrong.

    Each neuron has ``fan_in`` of the rows; the others hold zeros. Where converters drop bits, all
    blocks are prepared, for then their values are summed; so they are with ``always``.
    With ``few`` windows to come, sums are multiplied: tables are looked up for LANES at once.
    """
    rows, neurons = weights.shape
    if never_errs(rows, e) and not always:
        return None
    cells = program(weights, e)
    lossy = ~safe(cells, e)
    if not (always or _drops(e) or lossy.any() or (e.bias and not unit_safe(rows, e))):
        return None
    wide = few or (e.dac_bits > _DIGIT and e.dac_bits * e.cell_bits >= _WIDE)
    spared = int((~lossy).sum()) * e.phases * rows * (_PRODUCT if wide else 1)
    whole = _summed(e) or spared < _worth(neurons, fan_in)
    codes, belongs, gains = _columns(cells, e, np.ones_like(lossy) if whole else lossy)
    reach = np.zeros(len(gains), np.int64) if e.subtracts else _reach(codes, e)
    alike = (-codes).clip(0).sum(axis=0) if e.subtracts else reach
    order = np.argsort(alike, kind="stable") if e.subtracts or not whole else np.arange(len(reach))
    unit_gains = _unit_gains(cells, e, neurons)
    if wide:
        return Multiplied.of(codes, e, whole, belongs, gains, unit_gains)
    chunks = -(-len(order) // COLUMNS)
    padded = np.zeros((rows, (1 + chunks) * COLUMNS), np.int64)
    padded[:, 0] = 1
    padded[:, COLUMNS : COLUMNS + len(order)] = codes[:, order]
    zeros = _zeros(padded, e)
    layout = _layout(padded, zeros, e)
    kind, limits, together = _limits(padded, zeros, layout.parts, e)
    moved = zeros[1:].repeat(COLUMNS)[: len(order)] * gains[order]
    return Block(
        encoding=e,
        whole=whole,
        keep=keep,
        layout=layout,
        weights=layout.weights(padded, e),
        limits=limits,
        reach=np.append(-1, _least(reach[order])),
        neurons=_filled(belongs[order], chunks),
        gains=_filled(gains[order], chunks),
        unit_gains=unit_gains,
        zeros=np.bincount(belongs[order], moved, neurons).astype(np.int64),
        kind=kind,
        together=together,
    )


def _drops(e: Encoding) -> bool:
    """Say whether converters drop low bits, so that what they get wrong is no mere excess."""
    return e.shift > 0 or e.unit_shift > 0


def _summed(e: Encoding) -> bool:
    """Say whether what converters give is always summed: what signed ones cut off has a sign."""
    return _drops(e) or e.subtracts


def _columns(cells: Cells, e: Encoding, held: NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """Return codes ``[rows, columns]``, neurons and worth of the columns held, by neuron."""
    neuron, polarity, slice_ = np.nonzero(held.transpose(2, 0, 1))
    sign = np.where(cells.flipped[polarity, slice_, neuron], -1, 1)
    levels = read(cells, e)[polarity, slice_, :, neuron]
    return levels.T, neuron, sign * e.worth[polarity, slice_]


def _unit_gains(cells: Cells, e: Encoding, neurons: int) -> Ints:
    if not e.bias:
        return np.zeros(neurons, np.int64)
    return np.asarray(e.cell_max * e.worth[0] @ cells.flipped[0] - e.bias, np.int64)


def _reach(codes: Ints, e: Encoding) -> Ints:
    """Return for each column the largest sum of driven digits with which it cannot err.

    The worst drive puts all of it on the highest levels.
    """
    if e.shift:
        return np.where(codes.any(axis=0), 0, _ALWAYS)
    levels = -np.sort(-codes, axis=0)
    full = np.cumsum(levels, axis=0) * e.digit_max
    fits = (full <= e.code_max).sum(axis=0)
    each = np.arange(codes.shape[1])
    used = np.where(fits > 0, full[fits - 1, each], 0)
    following = levels[np.minimum(fits, len(codes) - 1), each]
    more = (e.code_max - used) // np.maximum(following, 1)
    return np.where(fits == len(codes), _ALWAYS, fits * e.digit_max + more)


def filled_up(drive: Array, windows: int) -> Array:
    whole = np.zeros((len(drive), windows), drive.dtype)
    whole[:, : drive.shape[1]] = drive
    return whole


def _least(reach: Ints) -> Ints:
    """Return the reach of each chunk of columns."""
    return np.minimum.reduceat(reach, np.arange(0, len(reach), COLUMNS)) if len(reach) else reach


def _filled(values: Ints, chunks: int) -> Ints:
    filled = np.zeros(chunks * COLUMNS, np.int64)
    filled[: len(values)] = values
    return filled


def _zeros(codes: Ints, e: Encoding) -> Ints:
    """Return for each chunk by how much its sums are moved up, to be 0 or more when rounded.

    Only sums with a sign are, by whole steps of their converter.
    """
    below = _by_chunk(-codes) * e.digit_max - (1 << e.shift >> 1)
    return -(-below.clip(0) >> e.shift) << e.shift


def _by_chunk(codes: Ints) -> Ints:
    """Return the largest sum of positive levels of a column of each chunk."""
    return np.asarray(codes.clip(0).sum(axis=0).reshape(-1, COLUMNS).max(axis=1))


def _limits(
    codes: Ints, zeros: Ints, parts: Ints, e: Encoding
) -> tuple[type[np.unsignedinteger[Any]], Ints, tuple[int, int]]:
    """Return the type in which a column's phases add up, the limits of converters in it, and how
    many phases a byte holds.
    """
    largest = int((zeros + _by_chunk(codes) * e.digit_max).max())
    base = int((parts[:, 4] << parts[:, 3]).sum())
    every = sum(1 << phase * e.dac_bits for phase in range(e.phases))
    limits = [
        _limits_of(largest, zero, e.shift if chunk else e.unit_shift, e)
        for chunk, zero in enumerate(map(int, zeros))
    ]
    needed = [
        max(largest + max(base, half), max(most, largest - most) * every)
        for half, _, _, most in limits
    ]
    kind = next(k for k in (np.uint16, np.uint32, np.uint64) if max(needed) <= np.iinfo(k).max)
    highest = max(most for *_, most in limits[1:])
    most_off = largest - min(most for *_, most in limits[1:])
    return kind, np.array(limits), (_together(highest, e), _together(most_off, e))


def _together(most: int, e: Encoding) -> int:
    """Return how many phases a byte holds of numbers up to some most."""
    if e.dac_bits > 1:
        return 1
    fits = (n for n in range(e.phases, 1, -1) if most * (2**n - 1) <= _BYTE_MAX)
    return next(fits, 1)


def _limits_of(largest: int, zero: int, shift: int, e: Encoding) -> tuple[int, int, int, int]:
    half = 1 << shift >> 1
    least, most = (zero + (code << shift) for code in (e.code_min, e.code_max))
    return zero + half, _ALWAYS - 1 >> shift << shift, max(least, 0), min(most, largest + half)


def _layout(codes: Ints, zeros: Ints, e: Encoding) -> Layout:
    """Cut the rows so that no part of a column's sum passes a byte."""
    rows, rounding = len(codes), 1 << e.shift >> 1
    widest = min(_DIGIT, e.dac_bits)

    def alone(step: int, width: int) -> bool:
        return step == rows and width == e.dac_bits and e.cell_bits <= _LEVEL

    def fits(step: int, width: int) -> bool:
        if not alone(step, width):
            return sum(_largest(codes, step, width, e)) <= _BYTE_MAX
        return bool((zeros + _by_chunk(codes) * e.digit_max).max() + rounding <= _BYTE_MAX)

    widths = range(widest, 0, -1)  # fewer bits only where a single row is too much
    step, width = next((s, w) for w in widths for s in _steps(rows) if fits(s, w))
    below = 0 if alone(step, width) else _largest(codes, step, width, e)[1]
    groups: list[list[Place]] = []
    parts: list[tuple[int, int, int, int, int]] = []
    levels: list[tuple[int, int]] = []
    for low in range(0, rows, step):
        for digit in range(0, e.dac_bits, width):
            bits = range(min(width, e.dac_bits - digit))
            here = range(low, min(low + step, rows))
            found = list(_groups([(r, 1 << digit + b, 1 << b) for r in here for b in bits]))
            for level in range(0, e.cell_bits, _LEVEL):
                parts.append((len(groups), len(found), len(levels), digit + level, below))
                levels += [(len(groups) + i, level) for i in range(len(found))]
            groups += found
    places = np.array(groups)
    sources = np.ascontiguousarray(places[..., :2])
    return Layout(sources, places[..., 2], np.array(parts), np.array(levels))


def _steps(rows: int) -> Iterator[int]:
    """Return ever smaller numbers of rows to a part."""
    return (-(-rows // parts) for parts in range(1, rows + 1))


def _largest(codes: Ints, step: int, width: int, e: Encoding) -> tuple[int, int]:
    """Return how far above and below 0 the sum of a part of so many rows and bits of input goes."""
    digit: int = 2**width - 1
    starts = np.arange(0, len(codes), step)
    found = [0, 0]
    for low in range(0, e.cell_bits, _LEVEL):
        level = _part(codes, low, e)
        for sign, each in enumerate((level, -level)):
            most = np.add.reduceat(each.clip(0), starts, axis=0).max()
            found[sign] = max(found[sign], digit * int(most))
    return found[0], found[1]


def _groups(places: list[Place]) -> Iterator[list[Place]]:
    """Yield as many places as an index has bits, the last ones filled up."""
    bits = unit().bits
    for low in range(0, len(places), bits):
        group = places[low : low + bits]
        yield group + [(0, 0, 0)] * (bits - len(group))
