"""One crossbar array with its converters, as it is in one run."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from neutrams.ir.crossbar import Encoding
from neutrams.ir.crossbar import program as levels_of
from neutrams.ir.types import Array
from neutrams.simulator.physics.conductances import highest_us, lowest, program
from neutrams.simulator.physics.normals import Ids, quantiles
from neutrams.simulator.physics.physics import Physics
from neutrams.simulator.physics.readout import add_noise, bend, convert, gather
from neutrams.simulator.physics.seeds import Draws
from neutrams.simulator.physics.wires import approximated, solved


class Analog:
    """A block of weights in cells, read through noise and converters.

    Currents are in level units: 1 is what one more level adds at a drive of 1. A cell of level k
    gives ``k + pedestal``; the digital side takes the pedestals off by the unit column's count of
    the drive (offset coding), or they cancel in pairs of columns (differential coding).
    Columns stand in this order: the unit column, then those of each neuron side by side.
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
        self._pedestal = low * self._scale
        made = program(levels / e.cell_max, physics, draws)
        self._gain = made.gain
        self._g = (self._through_wires(made.g) * self._scale).astype(np.float32)
        flipped = cells.flipped.transpose(2, 0, 1)
        signs = np.array([1, -1])[: flipped.shape[1], None] * 2.0 ** (
            np.arange(e.slices) * e.cell_bits
        )
        self._worth = np.where(flipped, -signs, signs).reshape(-1)
        self._neurons = np.arange(weights.shape[1]).repeat(flipped[0].size)
        whole = np.where(flipped, e.cell_max * signs, 0.0).sum(axis=(1, 2)) - e.bias
        held = self._worth.reshape(len(flipped), -1).sum(axis=1)
        self._unit_worth = (whole - self._pedestal * held) / (1.0 + self._pedestal)
        self._adc = self._converters(len(levels), adcs)

    def _through_wires(self, g: Array) -> Array:
        p = self._physics
        if not (p.row_ohm or p.column_ohm):
            return g
        siemens = highest_us(p) * 1e-6
        found = (solved if p.wires == "exact" else approximated)(
            g * siemens, p.row_ohm, p.column_ohm
        )
        return np.asarray(found / siemens)

    def read(self, drive: Array, ids: Ids) -> Array:
        """Return integers ``[neurons, places]`` for unsigned ``drive`` ``[rows, places]``.

        ``ids`` gives each place 32 random bits.
        """
        e = self._e
        total = np.zeros((len(self._unit_worth), drive.shape[1]))
        for phase in range(e.phases):
            digits = (drive >> phase * e.dac_bits & e.digit_max).astype(np.float32)
            currents = self._currents(digits, ids, phase)
            worth = 2.0 ** (phase * e.dac_bits)
            if self._unit:
                self._convert(currents, slice(0, 1), e.unit_shift)
                total += np.outer(self._unit_worth * worth, currents[0])
            rest = slice(self._unit, None)
            self._convert(currents, rest, e.shift)
            gather(currents[rest], self._neurons, self._worth * worth, total)
        return np.rint(total * self._gain, out=total)

    def _currents(self, digits: Array, ids: Ids, phase: int) -> Array:
        volts = self._driven(digits)
        currents = np.ascontiguousarray(self._g @ volts)
        sigma = self._sigma(volts)
        if sigma is not None:
            keys = self._draws.of(f"read {phase}").integers(2**32, size=len(currents))
            add_noise(currents, sigma, ids, keys, quantiles())
        return currents

    def _driven(self, digits: Array) -> Array:
        """Return what the DACs of the rows make of digits."""
        if self._physics.dac_inl:
            bend(digits, self._bows, float(self._e.digit_max))
        return digits

    @cached_property
    def _bows(self) -> Array:
        """Return by how many steps the DAC of each row is off in its middle."""
        drawn: Array = self._draws.of("dac").standard_normal((self._g.shape[1],))
        return np.asarray((self._physics.dac_inl * drawn).astype(np.float32))

    def _sigma(self, volts: Array) -> Array | None:
        """Return σ of the current of each column, ``[1 or columns, places]``, if there is any.

        Cells are independent, so the variance of a column is the sum of theirs.
        """
        p = self._physics
        if not (p.read_additive or p.read_proportional or p.adc_noise):
            return None
        squares = volts * volts
        variance = squares.sum(axis=0, keepdims=True)
        variance *= np.float32((p.read_additive * self._scale) ** 2)
        if p.read_proportional:
            common, variance = variance, self._g_squared @ squares
            variance += common
        if p.adc_noise:
            noise = np.square(np.float32(p.adc_noise) * self._steps)
            variance = variance + noise
        return np.asarray(np.sqrt(variance, out=variance))

    @cached_property
    def _g_squared(self) -> Array:
        return np.asarray(np.square(self._g * np.float32(self._physics.read_proportional)))

    @cached_property
    def _steps(self) -> Array:
        """Return one step of the converter in level units, ``[1 or columns, 1]``."""
        steps = np.full((len(self._g), 1), 2.0**self._e.shift, np.float32)
        steps[: self._unit] = 2.0**self._e.unit_shift
        return steps[:1] if (steps == steps[0]).all() else steps

    def _converters(self, columns: int, adcs: int) -> tuple[Array, Array, Array]:
        """Return gain, offset and bow of the converter that each column uses."""
        p = self._physics
        shared = np.arange(columns) % min(adcs, columns)

        def each(purpose: str, sigma: float) -> Array:
            drawn: Array = self._draws.of(purpose).standard_normal(adcs)[shared]
            return (sigma * drawn).astype(np.float32)

        gain = 1 + each("adc gain", p.adc_gain)
        return gain, each("adc offset", p.adc_offset), each("adc bow", p.adc_inl)

    def _convert(self, currents: Array, which: slice, shift: int) -> None:
        e = self._e
        if e.adc_bits:
            gain, offset, bow = (part[which] for part in self._adc)
            convert(currents[which], float(1 << shift), e.code_max, gain, offset, bow)
