"""From levels to conductances: programming, drift, noise that stays, and stuck cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neutrams.ir.types import Array
from neutrams.simulator.physics.devices import DEVICES, Device, drift_exponents, flicker_sigma
from neutrams.simulator.physics.physics import Physics
from neutrams.simulator.physics.seeds import Draws


class Conductances(NamedTuple):
    """The cells of an array when it is read, as parts of ``g_max``."""

    g: Array
    gain: float
    """What makes up for drift: results are multiplied by it."""


def lowest(physics: Physics) -> float:
    """Return the conductance of level 0."""
    return 1.0 / (physics.on_off or DEVICES[physics.device].on_off)


def highest_us(physics: Physics) -> float:
    """Return the conductance of the highest level."""
    return physics.g_max_us or DEVICES[physics.device].g_max_us


def program(levels: Array, physics: Physics, draws: Draws) -> Conductances:
    """Program cells to ``levels``, from 0 for the lowest conductance to 1, and let time pass."""
    device, low = DEVICES[physics.device], lowest(physics)
    target = low + (1.0 - low) * levels
    written = target + _written_sigma(target, device, physics) * _normal(draws, "write", target)
    written = np.maximum(written, 0.0)
    g = _drifted(written, target, device, physics, draws)
    g = _flickering(g, target, device, physics, draws)
    stuck_on, stuck_off = _stuck(target, physics, draws)
    for held, value in ((stuck_on, 1.0), (stuck_off, low)):
        g, written = np.where(held, value, g), np.where(held, value, written)
    total = float(g.sum())
    gain = float(written.sum()) / total if physics.compensate and total else 1.0
    return Conductances(g, gain)


def _written_sigma(target: Array, device: Device, physics: Physics) -> Array:
    parts = (
        device.sigma(target, physics.time_s),
        physics.programming_additive,
        physics.programming_proportional * target,
    )
    return np.asarray(np.sqrt(sum(np.square(part) for part in parts)))


def _drifted(g: Array, target: Array, device: Device, physics: Physics, draws: Draws) -> Array:
    """Let conductances fall by a power of time, each with an exponent of its own."""
    past = physics.time_s / device.t0_s
    if past <= 1.0 or not (device.drifts or physics.drift_nu or physics.drift_nu_sigma):
        return g
    mean, sigma = drift_exponents(target)
    if physics.drift_nu or physics.drift_nu_sigma:
        mean, sigma = np.full_like(g, physics.drift_nu), np.full_like(g, physics.drift_nu_sigma)
    nu = np.maximum(mean + sigma * _normal(draws, "drift", g), 0.0)
    return np.asarray(g * past**-nu)


def _flickering(g: Array, target: Array, device: Device, physics: Physics, draws: Draws) -> Array:
    if not physics.flicker:
        return g
    sigma = flicker_sigma(target, max(physics.time_s, device.t0_s))
    return np.maximum(g * (1.0 + sigma * _normal(draws, "flicker", g)), 0.0)


def _stuck(target: Array, physics: Physics, draws: Draws) -> tuple[Array, Array]:
    """Return which cells are stuck on, and off; more faults contain the fewer."""
    chance = draws.of("stuck").random(target.shape)
    return chance < physics.stuck_on, chance > 1.0 - physics.stuck_off


def _normal(draws: Draws, purpose: str, like: Array) -> Array:
    return draws.of(purpose).standard_normal(like.shape)
