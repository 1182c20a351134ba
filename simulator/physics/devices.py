"""Statistics of memory devices, from published measurements.

Polynomials give σ of a programmed conductance in µS, lowest power first, over x = g / g_max.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from neutrams.ir.types import Array

Polynomial = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """How cells of one kind are programmed, and what becomes of them."""

    name: str
    source: str
    g_max_us: float
    on_off: float
    sigmas: tuple[tuple[float, Polynomial], ...] = ()
    """Seconds since programming, and the polynomial of σ measured then; the first one is what
    programming leaves."""
    t0_s: float = 1.0
    """When the first polynomial was measured, and from when on drift is counted."""
    drifts: bool = False
    """Whether the exponent of drift follows the law of phase-change memory, below."""
    flickers: bool = False

    @property
    def known_until_s(self) -> float:
        """The longest time that the statistics cover."""
        if self.drifts or not self.sigmas:
            return inf
        return self.sigmas[-1][0]

    def sigma(self, x: Array, time_s: float) -> Array:
        """Return σ as a part of ``g_max``, interpolated over the logarithm of time."""
        if not self.sigmas:
            return np.zeros(x.shape)
        values = [np.polynomial.polynomial.polyval(x, c) / self.g_max_us for _, c in self.sigmas]
        times = np.log([t for t, _ in self.sigmas])
        at = float(np.clip(np.log(max(time_s, self.t0_s)), times[0], times[-1]))
        after = int(np.searchsorted(times, at).clip(1, max(len(times) - 1, 1)))
        if len(times) == 1:
            return np.asarray(np.maximum(values[0], 0.0))
        part = (at - times[after - 1]) / (times[after] - times[after - 1])
        return np.asarray(np.maximum((1 - part) * values[after - 1] + part * values[after], 0.0))


def drift_exponents(x: Array) -> tuple[Array, Array]:
    """Return mean and σ of the drift exponent of phase-change memory (Joshi et al., 2020)."""
    log = np.log(np.maximum(x, 1e-9))
    mean = np.clip(-0.0155 * log + 0.0244, 0.049, 0.1)
    return mean, np.clip(-0.0125 * log - 0.0059, 0.008, 0.045)


FLICKER_S = 250e-9
"""Time of one read, from which 1/f noise of phase-change memory is counted."""


def flicker_sigma(x: Array, time_s: float) -> Array:
    """Return σ of 1/f noise relative to each conductance (Nandakumar et al., 2019)."""
    q = np.minimum(0.0088 / np.maximum(x, 1e-9) ** 0.65, 0.2)
    spread = np.log(max((time_s + FLICKER_S) / (2 * FLICKER_S), 1.0))
    return np.asarray(q * np.sqrt(spread))


def _pcm(name: str, source: str, g_max_us: float, sigma: Polynomial) -> Device:
    sigmas = ((20.0, sigma),)
    return Device(name, source, g_max_us, inf, sigmas, t0_s=20.0, drifts=True, flickers=True)


_DEVICES = (
    Device("ideal", "no statistics", 40.0, inf),
    _pcm(
        "pcm",
        "Nandakumar et al., ICECS 2019; Joshi et al., Nat. Commun. 2020",
        25.0,
        (0.26348, 1.9650, -1.1731),
    ),
    _pcm(
        "pcm-hermes", "Hermes core, PCM up to 20.7 µS", 20.7, (0.16603, 4.71807, -8.48101, 4.68961)
    ),
    _pcm(
        "pcm-hermes-low",
        "Hermes core, PCM up to 10.35 µS",
        10.35,
        (0.15782, 2.32444, -2.16311, 0.68842),
    ),
    Device(
        "rram-wan",
        "Wan et al., Nature 2022, 1 to 40 µS",
        40.0,
        40.0,
        (
            (1.0, (0.348, 16.030, -43.853, 45.393, -16.815)),
            (86_400.0, (0.701, 22.086, -50.773, 47.095, -16.458)),
            (172_800.0, (0.782, 20.274, -43.507, 37.062, -11.934)),
        ),
    ),
    Device(
        "rram-milo",
        "Milo et al., IRPS 2021, 50 to 225 µS",
        225.0,
        4.5,
        ((1.0, (4.782, -0.009107 * 225.0)),),
    ),
)
DEVICES = {device.name: device for device in _DEVICES}
