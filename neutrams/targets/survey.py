"""What a converter costs by its resolution, speed and node: a fit of Murmann's ADC survey.

The fit is of Andrulis et al., "Modeling analog-digital-converter energy and area for
compute-in-memory accelerator design" (arXiv 2404.06553), over the survey of 1997 to 2023, with the
constants of their published model (hwcomponents-adc 1.0.21). It asks for the best tenth or fifth of
published designs, not for the mean one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, log10

LEAST_BITS = 4
"""Fewer are outside of the fit."""

_RATE_DB = (213.7806687348118, -2.8719030399529957)
"""Schreier's figure of merit where speed bounds it: at 1 Hz, and by the logarithm of the rate."""
_BITS_DB = (128.3068287398817, 3.2205115109775)
"""The same where noise bounds it: at 0 bits, and by the bit."""
_ENERGY = (26.0496215686518 - 1.4702022133784405, 1.8800369206815004, -2.8291256050594527)
"""Exponent of what multiplies the bound: constant, by the logarithms of node and of bits."""
_AREA = (1.3461916439910742, 0.9932794744745022, 0.18071538424508238, 0.29912426192653485)
"""Exponent of the area: constant, by the logarithms of node, rate and energy."""


@dataclass(frozen=True, slots=True)
class Converter:
    energy_pj: float
    """Of one conversion."""
    area_um2: float


def survey_converter(bits: int, *, node_nm: float, gsamples_per_s: float) -> Converter:
    """Return energy and area of one converter; ``bits`` is at least :data:`LEAST_BITS`.

    Energy is what the better of the survey's designs at that figure of merit take for a signal to
    noise ratio of ``bits`` (effective) bits: ``1 / (2 × 10^((FOM − SNDR) / 10))``, scaled by node.
    """
    assert bits >= LEAST_BITS, bits
    rate = log(gsamples_per_s * 1e9)
    merit_db = min(_RATE_DB[0] + _RATE_DB[1] * rate, _BITS_DB[0] + _BITS_DB[1] * bits)
    noise_db = 20 * bits * log10(2) + 10 * log10(1.5)
    bound = 1 / (2 * 10 ** ((merit_db - noise_db) / 10))
    constant, by_node, by_bits = _ENERGY
    energy = bound * exp(constant + by_node * log(node_nm) + by_bits * log(bits))
    constant, by_node, by_rate, by_energy = _AREA
    area = exp(constant + by_node * log(node_nm) + by_rate * rate + by_energy * log(energy))
    return Converter(energy, area)
