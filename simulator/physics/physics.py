"""The non-idealities of a run, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

WireModel = Literal["fast", "exact"]
ROUNDING = 1 / 12
"""The most that conductances may be rounded, and what they are unless stated."""


@dataclass(frozen=True, slots=True)
class Physics:
    """How far a chip is from exact arithmetic; by default not at all.

    Conductances are told as parts of ``g_max``, the conductance of a cell's highest level;
    converter errors in steps of the converter (LSB). Every σ is one standard deviation.
    """

    device: str = "ideal"
    """Whose statistics cells are programmed and drift with: a name of ``DEVICES``."""
    g_max_us: float = 0.0
    """Conductance of the highest level, in µS; 0 for the device's own."""
    on_off: float = 0.0
    """Conductance of the highest over that of the lowest level; 0 for the device's own."""
    programming_additive: float = 0.0
    """σ of a programmed conductance that does not depend on its level."""
    programming_proportional: float = 0.0
    """σ of a programmed conductance, as a part of that conductance."""
    time_s: float = 0.0
    """Seconds since programming; cells have drifted for so long."""
    drift_nu: float = 0.0
    """Mean exponent of drift, in place of the device's: g falls as ``(t / t0)^-nu``."""
    drift_nu_sigma: float = 0.0
    """σ of that exponent from cell to cell."""
    compensate: bool = False
    """Scale what each array gives by how much its conductances have fallen in sum."""
    flicker: bool = False
    """1/f noise of the device at ``time_s``, which stays as it is during a run."""
    read_additive: float = 0.0
    """σ of each cell at each read, the same for all levels."""
    read_proportional: float = 0.0
    """σ of each cell at each read, as a part of its conductance."""
    stuck_on: float = 0.0
    """Part of the cells that always have the highest conductance."""
    stuck_off: float = 0.0
    """Part of the cells that always have the lowest conductance."""
    row_ohm: float = 0.0
    """Resistance of a row's wire from one cell to the next; rows are driven at one end."""
    column_ohm: float = 0.0
    """Resistance of a column's wire from one cell to the next, and to its converter."""
    wires: WireModel = "fast"
    """``exact`` solves the circuit of every array; ``fast`` takes rows and columns apart."""
    adc_offset: float = 0.0
    """σ of the offset of a converter."""
    adc_gain: float = 0.0
    """σ of the gain of a converter, relative."""
    adc_inl: float = 0.0
    """σ of the bow of a converter: how far the middle of its range is off, in LSB."""
    adc_noise: float = 0.0
    """σ of each conversion."""
    dac_inl: float = 0.0
    """σ of the bow of a row's DAC, in its steps."""
    rounding: float = ROUNDING
    """σ of what rounding conductances may do to a current, in steps of its converter, all rows
    driven; that of conversion itself is 0.29. The less, the slower; 0 for as fine as floats."""

    @property
    def ideal(self) -> bool:
        """Whether nothing is there that an ideal chip lacks."""
        return replace(self, rounding=ROUNDING) == Physics()


PRESETS = {
    "ideal": Physics(),
    "pcm": Physics(device="pcm", flicker=True, compensate=True),
    "pcm-hermes": Physics(device="pcm-hermes", flicker=True, compensate=True),
    "pcm-hermes-low": Physics(device="pcm-hermes-low", flicker=True, compensate=True),
    "rram-wan": Physics(device="rram-wan"),
    "rram-milo": Physics(device="rram-milo"),
}
"""What a name stands for: a device with all that its measurements tell."""
