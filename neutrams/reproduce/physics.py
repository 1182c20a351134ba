"""Physics of arrays: currents lost in wires, and how far cells stray from what was programmed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neutrams.reproduce.recipe import Recipe, Row
from neutrams.simulator.physics.devices import DEVICES
from neutrams.simulator.physics.wires import solved

_LOST = {64: "12.0", 128: "35.2", 256: "66.6"}
"""Percent of a column's current, by the side of the array."""
_INPUTS = 20
_SIGMAS = {
    "pcm": ("0.62098", "0.86619", "1.02202", "1.08846", "1.06552"),
    "rram-wan": ("1.96745", "2.41360", "2.36180", "1.81920"),
}
"""CrossSim's fits in µS: at 5, 10, 15, 20, 25 µS of PCM; at 5, 10, 20, 30 µS of RRAM after 1 s."""
_AT_US = {"pcm": (5, 10, 15, 20, 25), "rram-wan": (5, 10, 20, 30)}
_BOUND = 0.05
_FITS = (
    "two fits of one measured figure, after 1 s: ours is a polynomial of fourth degree (aihwkit, "
    "its coefficients digit for digit), the other one of third, and at these points above ours"
)


def _wires() -> Iterator[Row]:
    for side, published in _LOST.items():
        random = np.random.default_rng(0)
        cells = random.uniform(1e-6, 1e-4, (side, side))
        volts = random.uniform(0, 0.2, (side, _INPUTS))
        lost = 1 - (solved(cells, 1.0, 1.0) @ volts) / (cells @ volts)
        yield Row(f"{side}×{side}: current lost", published, 100 * lost.mean(), "%", _BOUND)


def _cells() -> Iterator[Row]:
    for name, published in _SIGMAS.items():
        device = DEVICES[name]
        for at, sigma in zip(_AT_US[name], published, strict=True):
            x = np.array([at / device.g_max_us])
            ours = float(device.sigma(x, device.t0_s)[0]) * device.g_max_us
            yield Row(f"{name}, {at} µS: deviation", sigma, ours, "µS", _BOUND, _FITS)


IR_DROP = Recipe(
    name="ir-drop",
    title="Current lost in the wires of an array",
    source="badcrossbar 1.1, run on random arrays",
    about=(
        "Cells uniform in 1 to 100 µS, segments of 1 Ω, inputs uniform in 0 to 0.2 V: the mean "
        "share of a column's current that is lost by `solved` of `simulator/physics/wires.py`, on "
        "other random numbers than the published mean."
    ),
    rows=lambda: tuple(_wires()),
)
CELLS = Recipe(
    name="programming-noise",
    title="Deviation of programmed cells, beside an independent fit of the same measurements",
    source="Joshi et al., Nat. Commun. 2020; Wan et al., Nature 2022; fits of CrossSim 3.2",
    about=(
        "σ of a programmed conductance by the devices `pcm` and `rram-wan`, whose polynomials are "
        "those that aihwkit fits, beside the polynomials that CrossSim fits to the same figures."
    ),
    rows=lambda: tuple(_cells()),
)
