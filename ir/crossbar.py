"""What a crossbar of resistive cells computes: weight slices, input phases and converters.

The formulas are those of ISAAC (Shafiee et al., ISCA 2016, sections III and V): weights in
slices of ``cell_bits`` along neighbouring columns, inputs ``dac_bits`` a phase, each column sum
through a converter, then shift-and-add; biased weights with a unit column, dense columns flipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.target import AdcMode, Coding, polarities_of, slices_of
from neutrams.ir.types import Array

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How integers become conductances and drive levels, and column sums integers again."""

    input_bits: int
    weight_bits: int
    cell_bits: int
    dac_bits: int
    adc_bits: int
    """0 stands for an ideal converter."""
    coding: Coding
    column_flip: bool
    adc_mode: AdcMode
    rows: int
    """Rows that the range of a scaling converter is made for."""

    @property
    def phases(self) -> int:
        return -(-self.input_bits // self.dac_bits)

    @property
    def slices(self) -> int:
        return slices_of(self.weight_bits, self.cell_bits, self.coding)

    @property
    def columns_per_neuron(self) -> int:
        return self.slices * polarities_of(self.coding)

    @property
    def subtracts(self) -> bool:
        """Whether a converter, which is signed then, reads the difference of a pair of columns."""
        return self.coding == "analog-differential"

    @property
    def reads(self) -> int:
        """Converters' sums of one slice of a neuron; its columns but where pairs are subtracted."""
        return 1 if self.subtracts else polarities_of(self.coding)

    @property
    def reads_per_neuron(self) -> int:
        return self.slices * self.reads

    @property
    def worth(self) -> Ints:
        """``[polarities, slices]`` what a level in each column of a neuron adds to a weight.

        The first ``reads`` say what the sums of converters are worth.
        """
        each = 1 << np.arange(self.slices) * self.cell_bits
        if self.coding == "twos-complement":
            each[-1] = -(1 << self.weight_bits - 1)
        return np.stack([each, -each][: polarities_of(self.coding)])

    @property
    def cell_max(self) -> int:
        return int(2**self.cell_bits - 1)

    @property
    def digit_max(self) -> int:
        return int(2**self.dac_bits - 1)

    @property
    def bias(self) -> int:
        """What offset coding adds to every weight."""
        return int(2 ** (self.weight_bits - 1)) if self.coding == "offset" else 0

    @property
    def code_max(self) -> int:
        """Largest code a converter gives out; -1 where it is ideal."""
        return int(2 ** (self.adc_bits - self.subtracts) - 1) if self.adc_bits else -1

    @property
    def code_min(self) -> int:
        """Least code: signed converters have one more below 0 than above, as two's complement."""
        return -int(2 ** (self.adc_bits - 1)) if self.adc_bits and self.subtracts else 0

    @property
    def shift(self) -> int:
        """Low bits a scaling converter drops from a column's sum."""
        largest = self.rows * self.cell_max * self.digit_max
        return self._shift(-(-largest // 2) if self.column_flip else largest)

    @property
    def unit_shift(self) -> int:
        """Low bits a scaling converter drops from the unit column's sum."""
        return self._shift(self.rows * self.digit_max)

    def _shift(self, largest: int) -> int:
        scales = self.adc_bits and self.adc_mode == "scale"
        return max(0, largest.bit_length() - self.adc_bits + self.subtracts) if scales else 0


class Cells(NamedTuple):
    """One block as programmed."""

    codes: Ints
    """``[polarities, slices, rows, neurons]`` level of every cell, flipped columns inverted."""
    flipped: NDArray[np.bool_]
    """``[polarities, slices, neurons]`` columns that hold ``cell_max`` minus their code."""


def program(weights: Array, e: Encoding) -> Cells:
    """Return the cells that hold signed ``weights`` ``[rows, neurons]``."""
    w = weights.astype(np.int64)
    shifts = np.arange(e.slices)[:, None, None] * e.cell_bits
    if e.coding == "twos-complement":
        low = w & (1 << e.weight_bits - 1) - 1
        codes = np.concatenate([low >> shifts[:-1] & e.cell_max, (w < 0)[None]])[None]
    else:
        signed = [w + e.bias] if e.coding == "offset" else [np.maximum(w, 0), np.maximum(-w, 0)]
        codes = np.stack(signed)[:, None] >> shifts & e.cell_max
    flipped = np.zeros((*codes.shape[:2], w.shape[1]), bool)
    if e.column_flip and e.coding == "offset":
        flipped = 2 * codes.sum(axis=2) > len(w) * e.cell_max
        codes = np.where(flipped[:, :, None], e.cell_max - codes, codes)
    return Cells(codes, flipped)


def read(cells: Cells, e: Encoding) -> Ints:
    """Return ``[reads, slices, rows, neurons]``: levels whose sums over rows converters see."""
    return cells.codes[:1] - cells.codes[1:] if e.subtracts else cells.codes


def convert(sums: Ints, e: Encoding, shift: int) -> Ints:
    """Return column sums as a converter reports them, ``shift`` low bits rounded away."""
    if not e.adc_bits:
        return sums
    rounded = sums + (1 << shift >> 1) >> shift
    return np.asarray(np.clip(rounded, e.code_min, e.code_max) << shift)


def multiply(x: Array, weights: Array, e: Encoding) -> Ints:
    """Return what a block of ``weights`` ``[rows, neurons]`` gives for ``x`` ``[..., rows]``.

    Elements of ``x`` lie in ``[0, 2^input_bits)``; the result is ``[..., neurons]``.
    """
    cells = program(weights, e)
    levels = read(cells, e)
    x = x.astype(np.int64)
    total = np.zeros((*x.shape[:-1], weights.shape[1]), np.int64)
    for phase in range(e.phases):
        digits = x >> phase * e.dac_bits & e.digit_max
        unit = convert(digits.sum(axis=-1, keepdims=True), e, e.unit_shift)
        product = -e.bias * unit
        for place in np.ndindex(levels.shape[:2]):
            sums = convert(digits @ levels[place], e, e.shift)
            true = np.where(cells.flipped[place], e.cell_max * unit - sums, sums)
            product = product + e.worth[place] * true
        total += product << phase * e.dac_bits
    return total


def never_errs(rows: int, e: Encoding) -> bool:
    """Say whether no converter of a block of so many rows errs, whatever it holds."""
    largest = rows * e.cell_max
    if e.column_flip and e.coding == "offset":
        largest //= 2
    fits = not e.shift and largest * e.digit_max <= e.code_max
    return not e.adc_bits or (fits and (not e.bias or unit_safe(rows, e)))


def lossless(weights: Array, e: Encoding) -> NDArray[np.bool_]:
    """Return for every neuron of a block whether each input gives its exact integer product.

    All its columns must be safe, and the unit column too, where there is one.
    """
    if never_errs(len(weights), e):
        return np.ones(weights.shape[1], bool)
    if e.bias and not unit_safe(len(weights), e):
        return np.zeros(weights.shape[1], bool)
    return np.asarray(safe(program(weights, e), e).all(axis=(0, 1)))


def safe(cells: Cells, e: Encoding) -> NDArray[np.bool_]:
    """Return ``[reads, slices, neurons]``: the columns, or pairs, whose converter never errs.

    The largest possible sum, all rows of either sign driven full, is a code and no low bits are
    dropped.
    """
    if not e.adc_bits:
        return np.ones_like(cells.flipped[: e.reads])
    levels = read(cells, e)
    above, below = (each.clip(0).sum(axis=2) * e.digit_max for each in (levels, -levels))
    most, least = (0, 0) if e.shift else (e.code_max, e.code_min)
    return np.asarray((above <= most) & (-below >= least))


def unit_safe(rows: int, e: Encoding) -> bool:
    """Say whether the converter of a unit column of so many rows never errs."""
    return not e.adc_bits or (not e.unit_shift and rows * e.digit_max <= e.code_max)
