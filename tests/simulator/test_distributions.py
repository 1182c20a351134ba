"""What is random about a chip has the distribution that the docs state (Kolmogorov-Smirnov)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, norm

from neutrams.ir.crossbar import Encoding
from neutrams.ir.types import Array
from neutrams.simulator.physics import Physics
from neutrams.simulator.physics.array import Analog
from neutrams.simulator.physics.conductances import program
from neutrams.simulator.physics.normals import mixed
from neutrams.simulator.physics.seeds import Draws

DRAWS = Draws(0, 0, "array")
CELLS = (150, 200)


def is_normal(z: Array) -> bool:
    return bool(kstest(z.ravel(), "norm").pvalue > 0.01)


@pytest.mark.parametrize("level", [0.3, 0.6, 1.0])
def test_programming_of_ones_own(level: float) -> None:
    additive, proportional = 0.03, 0.05
    made = program(
        np.full(CELLS, level),
        Physics(programming_additive=additive, programming_proportional=proportional),
        DRAWS,
    )
    assert is_normal((made.g - level) / np.hypot(additive, proportional * level))


@pytest.mark.parametrize("level", [0.0, 0.05, 0.4, 1.0])
@pytest.mark.parametrize("time_s", [20.0, 86_400.0])
def test_flicker_noise(level: float, time_s: float) -> None:
    """σ = g q √ln((t + tr) / 2 tr), q = min(0.0088 / x^0.65, 0.2), tr = 250 ns; none below 0."""
    still = Physics(device="pcm", time_s=time_s)
    noisy = Physics(device="pcm", time_s=time_s, flicker=True)
    before, after = (program(np.full(CELLS, level), each, DRAWS).g for each in (still, noisy))
    q = min(0.0088 / level**0.65, 0.2) if level else 0.2
    sigma = q * np.sqrt(np.log((time_s + 250e-9) / (2 * 250e-9)))
    moved = after[before > 0] / before[before > 0] - 1
    kept = moved > -1
    assert kept.all() or sigma > 0.25  # more than -4 sigma is below 0
    z = moved[kept] / sigma
    assert kstest(z, "truncnorm", args=(-1 / sigma, np.inf)).pvalue > 0.01


@pytest.mark.parametrize(("mean", "sigma"), [(0.05, 0.01), (0.02, 0.02)])
def test_drift_of_ones_own(mean: float, sigma: float) -> None:
    """Exponents are normal, those below 0 are 0."""
    physics = Physics(device="pcm", time_s=86_400, drift_nu=mean, drift_nu_sigma=sigma)
    early = program(np.full(CELLS, 0.7), Physics(device="pcm"), DRAWS).g
    late = program(np.full(CELLS, 0.7), physics, DRAWS).g
    nu = -np.log(late / early) / np.log(86_400 / 20)
    falls = nu > 1e-9
    z = (nu[falls] - mean) / sigma
    assert kstest(z, "truncnorm", args=(-mean / sigma, np.inf)).pvalue > 0.01
    share = binomtest(int(falls.sum()), nu.size, norm.sf(-mean / sigma))
    assert share.pvalue > 0.01


@pytest.mark.parametrize(("on", "off"), [(0.02, 0.05), (0.5, 0.5), (0.0, 0.001), (1.0, 0.0)])
def test_as_many_cells_are_stuck_as_stated(on: float, off: float) -> None:
    g = program(np.full(CELLS, 0.5), Physics(stuck_on=on, stuck_off=off), DRAWS).g
    for value, part in ((1.0, on), (0.0, off)):
        assert binomtest(int((g == value).sum()), g.size, part).pvalue > 0.01
    assert ((g == 0.5) | (g == 1.0) | (g == 0.0)).all()


def read(weights: Array, drive: Array, e: Encoding, physics: Physics, **how: Any) -> Array:
    """Return ``[neurons, places]`` for ``drive`` ``[rows, places]``."""
    seed = how.pop("seed", 0)
    array = Analog(weights, e, physics, Draws(seed, 0, "a"), adcs=how.pop("adcs", 1))
    held = np.zeros((array.neurons, drive.shape[1]))
    places = mixed(np.arange(drive.shape[1], dtype=np.uint64))
    array.read(np.ascontiguousarray(drive, np.uint16), places, held)
    return held


def encoding(**fields: Any) -> Encoding:
    plain = {"column_flip": False, "adc_mode": "clip", "coding": "differential", "rows": 128}
    return Encoding(**{**plain, **fields})


@pytest.mark.parametrize(
    ("what", "stated", "sigma"),
    [
        ("adc_inl", 6.0, 6.0),
        ("adc_gain", 0.05, 0.05 * 128),
        ("adc_offset", 6.0, 6.0),
        ("adc_noise", 6.0, 6.0),
    ],
)
def test_converters(what: str, stated: float, sigma: float) -> None:
    """Half of 255 rows driven: in the middle of the range, where a bow is widest.

    In two's complement, -1 is a column less twice another.
    """
    e = encoding(
        input_bits=1, weight_bits=2, cell_bits=1, dac_bits=1, adc_bits=8, rows=255,
        coding="twos-complement",
    )  # fmt: skip
    drive = np.zeros((255, 1), int)
    drive[:128] = 1
    errors: dict[str, Any] = {what: stated}
    physics, weights = Physics(**errors), np.full((255, 3000), -1)
    found = read(weights, drive, e, physics, adcs=6000)[:, 0]
    spread = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3000))
    z = (found + 128 + spread[0] - 2 * spread[1]) / sigma / np.sqrt(1 + 2**2)
    assert is_normal(z)


@pytest.mark.parametrize("cell_bits", [2, 7])
def test_read_noise_by_level_of_digits_of_eight_bits(cell_bits: int) -> None:
    """In a product of single precision, where squares of digits are rounded."""
    rng = np.random.default_rng(0)
    level = 2**cell_bits - 1
    e = encoding(
        input_bits=8, weight_bits=cell_bits + 1, cell_bits=cell_bits, dac_bits=8, adc_bits=8,
        adc_mode="scale",
    )  # fmt: skip
    drive = rng.integers(0, 256, (128, 1)).repeat(20_000, axis=1)
    found = read(np.full((128, 1), level), drive, e, Physics(read_proportional=0.5))[0]
    found = found + rng.uniform(-0.5, 0.5, len(found)) * 2.0**e.shift
    sigma = 0.5 * level * np.sqrt((drive[:, 0] ** 2).sum())
    assert sigma > 3 * 2.0**e.shift
    assert is_normal((found - level * drive[:, 0].sum()) / sigma)


def test_bows_of_dacs() -> None:
    """One row at a time, in the middle of its DAC's range: off by what is drawn for it."""
    e = encoding(input_bits=4, weight_bits=8, cell_bits=7, dac_bits=4, adc_bits=0, rows=400)
    drive, middle = np.eye(400, dtype=int) * 8, 4 * (8 / 15) * (7 / 15)
    weights = np.full((400, 1), 127)
    found = [read(weights, drive, e, Physics(dac_inl=0.4), seed=seed)[0] for seed in range(8)]
    assert is_normal((np.concatenate(found) / 127 - 8) / (0.4 * middle))
