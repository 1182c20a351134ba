"""One crossbar array with its converters, as it is in one run."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from neutrams.ir.crossbar import Encoding
from neutrams.ir.crossbar import program as levels_of
from neutrams.ir.types import Array
from neutrams.simulator.physics import serial
from neutrams.simulator.physics.bytes import TOP, ByteCells, cells_of_bits, square_bytes
from neutrams.simulator.physics.conductances import highest_us, lowest, program
from neutrams.simulator.physics.normals import TOGETHER, Ids
from neutrams.simulator.physics.physics import Physics
from neutrams.simulator.physics.readout import (
    add_noise,
    add_rounded,
    bend,
    convert,
    digits_of,
    gather,
    square,
)
from neutrams.simulator.physics.rounding import Rounded, on_grid, rounded, sigma_of
from neutrams.simulator.physics.scratch import SCRATCH
from neutrams.simulator.physics.seeds import Draws
from neutrams.simulator.physics.tables import quick
from neutrams.simulator.physics.wires import approximated, solved

_FEW_PLACES = 24
"""Up to so many a product is faster than look-ups, which do 128 at once."""
_SERIAL_BITS = 4
"""Bits of a DAC up to which its digits are driven bit by bit in look-ups."""
_SQUARE_BITS = 12
"""Bits of squares of digits in single precision, so that as many are left for variances."""
_BENT = 2.0**12
"""Parts of a step that a DAC's bow is rounded to."""


class Analog:
    """A block of weights in cells, read through noise and converters.

    Currents are in level units: 1 is what one more level adds at a drive of 1. A cell of level k
    gives ``k + pedestal``; the digital side takes the pedestals off by the unit column's count of
    the drive (offset coding) or by its own (two's complement); in pairs of columns they cancel.
    Columns stand in this order: the unit column, then those of each neuron side by side. A pair
    with one converter is one column of differences once its cells and wires are what they are.

    Conductances are rounded so that currents are exact sums: to 16 bits a column's current where a
    converter's steps are coarse beside that, so that look-ups and products give the same; where
    digits are wide, to 8 bits a cell on the same condition; else to the 24 bits of single
    precision, or the 53 of double. So nothing depends on a batch's size.
    """

    def __init__(
        self, weights: Array, e: Encoding, physics: Physics, draws: Draws, *, adcs: int
    ) -> None:
        """Program the array.

        Args:
            weights: ``[rows, neurons]`` signed integers.
            e: how they are held and read.
            physics: what is not ideal.
            draws: the random numbers of this array.
            adcs: converters that the columns share in turn.
        """
        self._e, self._physics, self._draws = e, physics, draws
        cells = levels_of(weights, e)
        columns = cells.codes.transpose(3, 0, 1, 2).reshape(-1, len(weights))
        self._unit = int(e.coding == "offset")
        levels = np.concatenate([np.ones((self._unit, len(weights))), columns])
        low = lowest(physics)
        self._scale = e.cell_max / (1.0 - low)
        self._pedestal = 0.0 if e.subtracts else low * self._scale
        made = program(levels / e.cell_max, physics, draws)
        self._gain = made.gain
        self._hold(self._through_wires(made.g) * self._scale)
        flipped = cells.flipped[: e.reads].transpose(2, 0, 1)
        worth = e.worth[: e.reads].astype(np.float64)
        self._worth = np.where(flipped, -worth, worth).reshape(-1)
        self.neurons = weights.shape[1]
        self._neurons = np.arange(self.neurons).repeat(flipped[0].size)
        whole = np.where(flipped, e.cell_max * worth, 0.0).sum(axis=(1, 2)) - e.bias
        held = self._worth.reshape(len(flipped), -1).sum(axis=1)
        self._unit_worth = (whole - self._pedestal * held) / (1.0 + self._pedestal)
        self._left = np.zeros_like(held) if self._unit else -self._pedestal * held
        self._adc = self._converters(self._columns, adcs)

    def _hold(self, cells: Array) -> None:
        """Keep conductances ``[columns, rows]``, and what a read adds to their variance."""
        variance = np.square(cells * self._physics.read_proportional)
        if self._e.subtracts:
            plus, minus = self._pairs(cells)
            cells, variance = plus - minus, np.add(*self._pairs(variance))
        if not self._physics.read_proportional:
            variance = variance[:0]
        self._columns, self._rows = cells.shape
        self._square = 1.0  # what squares of digits are rounded to multiples of
        self._rounded: tuple[Rounded, Rounded] | None = None
        self._bytes: tuple[ByteCells, ByteCells] | None = None
        if self._takes_rounding(cells):
            signed = self._e.subtracts
            self._rounded = (
                rounded(cells, self._e.digit_max, signed=signed), rounded(variance, 1)
            )  # fmt: skip
            return
        self._bytes = self._as_bytes(cells, variance)
        if self._bytes is None:
            self._held = self._on_grid(cells, variance)

    def _pairs(self, cells: Array) -> Array:
        """Return ``[2, pairs, rows]`` of ``[columns, rows]``, neuron by neuron."""
        apart = cells.reshape(-1, 2, self._e.slices, cells.shape[1])
        return apart.swapaxes(0, 1).reshape(2, -1, cells.shape[1])

    def _takes_rounding(self, cells: Array) -> bool:
        e, p = self._e, self._physics
        if not e.adc_bits or e.dac_bits > _SERIAL_BITS or p.dac_inl:
            return False
        if p.read_proportional and e.dac_bits > 1:
            return False
        steps = self._steps()
        whole = max(e.code_max, -e.code_min) * steps.max() * 2.0**e.input_bits < 2**24
        off = sigma_of(cells, e.digit_max, signed=e.subtracts)
        return bool(whole and off <= p.rounding * steps.min())

    def _as_bytes(self, cells: Array, variance: Array) -> tuple[ByteCells, ByteCells] | None:
        e = self._e
        if not e.adc_bits or self._physics.dac_inl or e.cell_bits > 7 or e.dac_bits > 8:
            return None
        made = (
            ByteCells(cells, cells_of_bits(e.cell_bits)),
            ByteCells(variance * e.digit_max**2 / TOP, 1e-30),
        )
        steps = self._steps().repeat([self._unit, self._columns - self._unit])
        fine = made[0].fit(self._physics.rounding * steps * (TOP / e.digit_max))
        return made if fine and made[1].fit(np.array(np.inf)) else None

    def _on_grid(self, cells: Array, variance: Array) -> tuple[Array, Array]:
        """Round for products of floats; what that leaves of a unit column is one more column.

        The converters of unit columns have small steps.
        """
        e, p = self._e, self._physics
        top, parts = float(e.digit_max), 1.0
        if e.adc_bits and not p.dac_inl:
            made, off = on_grid(cells, top, 24)
            rest, off[: self._unit] = on_grid((cells - made)[: self._unit], top, 24)
            steps = self._steps().repeat([self._unit, self._columns - self._unit])
            if (off <= p.rounding * steps).all():
                self._square = max(1.0, 2.0 ** (2 * e.dac_bits - _SQUARE_BITS))
                noise = on_grid(variance, top**2 / self._square, 24)[0]
                return np.concatenate([made, rest]).astype(np.float32), noise.astype(np.float32)
        if p.dac_inl:
            top, parts = top + float(np.abs(self._bows).max()), _BENT
        return on_grid(cells, top * parts, 53)[0], on_grid(variance, top**2, 53)[0]

    def _through_wires(self, g: Array) -> Array:
        p = self._physics
        if not (p.row_ohm or p.column_ohm):
            return g
        siemens = highest_us(p) * 1e-6
        found = (solved if p.wires == "exact" else approximated)(
            g * siemens, p.row_ohm, p.column_ohm
        )
        return np.asarray(found / siemens)

    def read(self, drive: Array, ids: Ids, into: Array) -> None:
        """Add integers to ``into`` ``[neurons, places]`` for unsigned ``drive`` ``[rows, places]``.

        ``ids`` gives each place 32 random bits.
        """
        if self._rounded and quick() and drive.shape[1] > _FEW_PLACES:
            total = self._looked_up(drive, ids)
        else:
            total = self._multiplied(drive, ids)
        if self._left.any():
            total += np.outer(self._left / self._gain, drive.sum(axis=0, dtype=np.int64))
        add_rounded(total, self._gain, into)

    def _looked_up(self, drive: Array, ids: Ids) -> Array:
        assert self._rounded is not None
        e = self._e
        noise = np.empty((2, 0, drive.shape[1]), np.float32)
        if self._noisy:
            squares = np.empty((e.phases, drive.shape[1]), np.int32)
            serial.driven_squares(drive, e.dac_bits, squares)
            noise = np.stack([self._variance(squares, step) for step in self._steps()])
            if not self._physics.read_proportional:
                noise = np.sqrt(noise)
        made = serial.Serial(
            *self._rounded, e.dac_bits, self._unit, self._steps(), e.code_min, e.code_max,
            self._adc, self._neurons, self._worth, self._unit_worth,
        )  # fmt: skip
        return made.read(drive, noise, ids, self._keys)

    def _multiplied(self, drive: Array, ids: Ids) -> Array:
        e, places = self._e, drive.shape[1]
        held = np.zeros((self._columns, places)) if e.phases > 1 else None
        currents_of = self._currents if self._bytes is None else self._byte_currents
        for phase in range(e.phases):
            currents = self._converted(*currents_of(drive, phase), ids, phase)
            if held is not None:
                held += currents * np.float32(1 << phase * e.dac_bits)
        total = SCRATCH.array("total", (len(self._unit_worth), places), np.float64)
        seen = currents if held is None else held
        gather(seen, self._unit, self._unit_worth, self._neurons, self._worth, total)
        return total

    def _values(self) -> tuple[Array, Array]:
        if self._rounded:
            return self._rounded[0].values(), self._rounded[1].values()
        return self._held

    def _currents(self, drive: Array, phase: int) -> tuple[Array, Array, Array]:
        """Return currents of a phase, sums of squares of digits, and variances by level."""
        e, (g, variance) = self._e, self._values()
        digits = SCRATCH.array("digits", drive.shape, g.dtype)
        digits_of(drive, phase * e.dac_bits, e.digit_max, digits)
        if self._physics.dac_inl:
            bend(digits, self._bows, float(e.digit_max), _BENT)
        currents = _product(g, digits, "currents")
        currents[: len(g) - self._columns] += currents[self._columns :]
        currents = currents[: self._columns]
        squares = SCRATCH.array("squares", (1, digits.shape[1]))
        if not self._noisy:
            return currents, squares, squares[:0]
        square(digits, self._square, squares[0])
        return currents, squares, _product(variance, digits, "varying")

    def _byte_currents(self, drive: Array, phase: int) -> tuple[Array, Array, Array]:
        """Do what :meth:`_currents` does for cells that are bytes."""
        assert self._bytes is not None
        e, (cells, variance) = self._e, self._bytes
        digits = drive
        if e.phases > 1 or drive.dtype != np.uint8:
            digits = np.asarray(drive >> phase * e.dac_bits & e.digit_max, np.uint8)
        currents = cells.times(digits, "currents")
        squares = SCRATCH.array("squares", (1, digits.shape[1]), np.int32)
        if self._noisy:
            serial.driven_squares(digits, e.dac_bits, squares)
        if not self._physics.read_proportional:
            return currents, squares, currents[:0]
        each = SCRATCH.array("square bytes", digits.shape, np.uint8)
        square_bytes(digits, e.digit_max, each)
        return currents, squares, variance.times(each, "varying")

    def _converted(
        self, currents: Array, squares: Array, varying: Array, ids: Ids, phase: int
    ) -> Array:
        """Return what converters make of the currents of one phase, in level units."""
        for kind, step in zip(self._kinds, self._steps(), strict=True):
            seen = currents[kind]
            if self._noisy and len(seen):
                noise = self._variance(squares, step)
                noise = np.add(varying[kind], noise, out=varying[kind]) if len(varying) else noise
                add_noise(seen, np.sqrt(noise, out=noise), ids, self._keys[phase, kind])
            self._convert(seen, kind, step)
        return currents

    @property
    def _kinds(self) -> tuple[slice, slice]:
        """Return which columns are unit columns, and the others."""
        return slice(0, self._unit), slice(self._unit, None)

    @property
    def _noisy(self) -> bool:
        p = self._physics
        return bool(p.read_additive or p.read_proportional or p.adc_noise)

    def _variance(self, squares: Array, step: float) -> Array:
        """Return the variance of a current that does not depend on its cells.

        Cells are independent, so it is a sum over the rows driven, and that of its converter.
        """
        p = self._physics
        columns = 2 if self._e.subtracts else 1
        cells = np.float32(columns * (p.read_additive * self._scale) ** 2)
        return np.asarray(
            squares.astype(np.float32) * cells + np.float32((p.adc_noise * step) ** 2)
        )

    @cached_property
    def _keys(self) -> Array:
        """Return 32 random bits for each phase and ``TOGETHER`` columns; a unit column is alone."""
        groups = self._unit + -(-(self._columns - self._unit) // TOGETHER)
        each = [
            self._draws.of(f"read {phase}").integers(2**32, size=groups)
            for phase in range(self._e.phases)
        ]
        return np.array(each)

    @cached_property
    def _bows(self) -> Array:
        """Return by how many steps the DAC of each row is off in its middle."""
        drawn: Array = self._draws.of("dac").standard_normal((self._rows,))
        return np.asarray((self._physics.dac_inl * drawn).astype(np.float32))

    def _steps(self) -> Array:
        """Return a step of the converters of unit columns and of the others, in level units."""
        return np.array([2.0**self._e.unit_shift, 2.0**self._e.shift])

    def _converters(self, columns: int, adcs: int) -> tuple[Array, Array, Array]:
        """Return gain, offset and bow of the converter that each column uses."""
        p = self._physics
        shared = np.arange(columns) % min(adcs, columns)

        def each(purpose: str, sigma: float) -> Array:
            drawn: Array = self._draws.of(purpose).standard_normal(adcs)[shared]
            return (sigma * drawn).astype(np.float32)

        gain = 1 + each("adc gain", p.adc_gain)
        return gain, each("adc offset", p.adc_offset), each("adc bow", p.adc_inl)

    def _convert(self, currents: Array, which: slice, step: float) -> None:
        e = self._e
        if e.adc_bits:
            gain, offset, bow = (part[which] for part in self._adc)
            convert(currents, step, e.code_min, e.code_max, gain, offset, bow)


def _product(cells: Array, digits: Array, name: str) -> Array:
    """Return ``cells @ digits``, rounded to single precision once."""
    shape = len(cells), digits.shape[1]
    made = SCRATCH.array(name, shape)
    if cells.dtype == made.dtype:
        return np.matmul(cells, digits, out=made)
    made[:] = np.matmul(cells, digits, out=SCRATCH.array("exactly", shape, cells.dtype))
    return made
