"""What must change with what, whatever the numbers are: how a run moves when its chip does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch

import neutrams
from neutrams import driver
from neutrams.driver import Simulation
from neutrams.frontends import load_model
from neutrams.ir.graph import Graph
from neutrams.ir.program import Program
from neutrams.report import simulation_json

SMALL = {"core__crossbars": 1, "core__rows": 32, "core__columns": 64, "tile__cores": 1}
"""A chip of small tiles, so that a small network has a mesh to cross."""
TARGETS = ("cim", "isaac", "puma", "fpsa", "neurosim-rram", "sram-cim")


@cache
def network() -> Graph:
    torch.manual_seed(3)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 12, 3),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(12 * 9, 10),
    )
    return load_model(module.eval(), examples=images()[:1])


@cache
def images() -> np.ndarray:
    return np.random.default_rng(4).random((24, 3, 10, 10), np.float32)


@cache
def program(target: str = "cim", *, replicate: bool = True, **changed: Any) -> Program:
    """Compile the network; keys of the chip have `__` in place of the dot."""
    overrides = {key.replace("__", "."): value for key, value in changed.items()}
    return neutrams.compile(
        network(), target=target, calibration=images(), overrides=overrides, replicate=replicate
    )


def run(held: Program, **options: Any) -> Simulation:
    return driver.simulate(held, images(), compare=False, **options)


def scores(held: Program, **options: Any) -> np.ndarray:
    return answers(held, images(), **options)


def answers(held: Program, data: np.ndarray, **options: Any) -> np.ndarray:
    outputs = driver.simulate(held, data, compare=False, **options).outputs
    return next(iter(outputs.values())).astype(np.float64)


def moved(held: Program, physics: str, seeds: int = 1) -> float:
    """Return the mean RMS change of the outputs over chips, relative to the outputs."""
    ideal = scores(held)
    found = [scores(held, physics=physics, seed=seed) - ideal for seed in range(seeds)]
    return float(np.mean([np.sqrt((each**2).mean()) for each in found]) / np.std(ideal))


@pytest.mark.parametrize("grain", ["tick", "cycle"])
@pytest.mark.parametrize("target", TARGETS)
def test_energy_area_and_power_add_up(target: str, grain: str) -> None:
    told = simulation_json(run(program(target), grain=grain))
    parts, layers = told["components"], told["layers"]
    static = sum(part["static_j"] for part in parts)
    assert sum(part["energy_j"] for part in parts) == pytest.approx(told["energy_j"])
    assert sum(entry["energy_j"] for entry in told["entries"]) == pytest.approx(told["energy_j"])
    # counts of one inference are whole numbers by component, and shares of the run by layer
    assert sum(layer["energy_j"] for layer in layers) + static == pytest.approx(told["energy_j"])
    assert told["power_w"] / told["throughput_per_s"] == pytest.approx(told["energy_j"])
    assert sum(part["area_mm2"] for part in parts) == pytest.approx(told["area_mm2"])
    for event, count in told["events"].items():
        assert sum(layer["events"].get(event, 0) for layer in layers) == pytest.approx(count)


def falling(key: str, values: tuple[float, ...]) -> Iterator[tuple[float, float]]:
    """Yield latency and period at the cycle grain for each value of the chip."""
    for value in values:
        found = run(program(**SMALL, **{key: value}), grain="cycle").resources
        yield found.latency_s, 1 / found.throughput_per_s


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("network__flit_bits", (2, 8, 64)),
        ("tile__bus_bits", (1, 16)),
        ("tile__vector_lanes", (1, 16)),
        ("network__router_cycles", (8, 1)),
        ("network__link_cycles", (8, 1)),
        ("network__clock_ghz", (0.1, 1.0)),
        ("core__read_ns", (100.0, 20.0)),
    ],
)
def test_a_faster_part_makes_nothing_slower(key: str, values: tuple[float, ...]) -> None:
    latencies, periods = zip(*falling(key, values), strict=True)
    assert list(latencies) == sorted(latencies, reverse=True)
    assert latencies[-1] < latencies[0]
    for slow, fast in pairwise(periods):
        assert fast <= slow * 1.001  # a stream of four settles to within some clocks


@pytest.mark.parametrize("grain", ["tick", "cycle"])
def test_copies_make_nothing_slower_and_count_nothing(grain: str) -> None:
    with_copies, without = (
        run(program(replicate=copied, **SMALL), grain=grain) for copied in (True, False)
    )
    assert with_copies.resources.occupancy.crossbars > without.resources.occupancy.crossbars
    assert with_copies.resources.latency_s < without.resources.latency_s
    assert with_copies.resources.throughput_per_s > without.resources.throughput_per_s
    for event in ("adc_conversions", "cell_macs", "crossbar_reads", "io_bytes"):
        assert with_copies.counts[event] == without.counts[event]
    for name, found in with_copies.outputs.items():
        assert np.array_equal(found, without.outputs[name])


def test_converters_of_fewer_bits_take_less_and_err_more() -> None:
    ideal = scores(program(core__adc_bits=0))
    parts, errors = [], []
    for bits in (8, 6, 4):
        found = run(program(core__adc_bits=bits))
        parts.append(next(part for part in found.charge.parts if part.component == "adc"))
        errors.append(np.abs(next(iter(found.outputs.values())) - ideal).mean())
    dynamic = [part.dynamic_j for part in parts]
    assert dynamic == sorted(dynamic, reverse=True)
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]
    # Saberi 2011, from whom the table is scaled: 1.667 pJ with 8 bits, 0.79 pJ with 4
    assert dynamic[-1] / dynamic[0] == pytest.approx(0.79 / 1.667, rel=0.01)


def test_static_energy_goes_with_time_and_no_other_does() -> None:
    slow, fast = (run(program(core__read_ns=ns, **SMALL)) for ns in (100.0, 20.0))
    leaks = [sum(part.static_j for part in found.charge.parts) for found in (slow, fast)]
    assert leaks[0] == pytest.approx(5 * leaks[1])
    assert slow.energy_j - leaks[0] == pytest.approx(fast.energy_j - leaks[1])


def test_samples_mean_nothing_to_each_other() -> None:
    """Where nothing is drawn at each read, a chip gives a sample one answer, wherever it stands."""
    held, physics = program(), "rram-wan,adc-offset=0.5,stuck-on=0.001"
    found = scores(held, physics=physics, seed=9)
    order = np.random.default_rng(0).permutation(len(images()))
    turned = driver.simulate(held, images()[order], compare=False, physics=physics, seed=9)
    assert np.array_equal(next(iter(turned.outputs.values())), found[order])
    assert np.array_equal(scores(held, physics=physics, seed=9, batch=5), found)
    assert np.array_equal(scores(held, physics=physics, seed=9, grain="cycle"), found)


def test_read_noise_leaves_the_mean() -> None:
    """With ideal converters, which neither round nor cut off, a product has no bias by it."""
    random = np.random.default_rng(6)
    matrix = torch.nn.Linear(100, 4, bias=False)
    data = random.random((64, 100), np.float32)
    held = neutrams.compile(matrix, calibration=data, overrides={"core.adc_bits": 0})
    ideal = answers(held, data)
    noisy = [answers(held, data, physics="read-additive=0.02", seed=seed) for seed in range(30)]
    change = np.stack(noisy).astype(np.float64) - ideal
    off = change.mean() / (change.std() / sqrt(change.size))
    assert abs(off) < 4
    each = change.mean(axis=0) / (change.std(axis=0) / sqrt(len(noisy)))
    assert 0.85 < each.std() < 1.25  # Student's t of 29 degrees has 1.04


def test_drift_and_wires_and_noise_grow_with_their_causes() -> None:
    held = program()
    for text, values in {
        "pcm,flicker=false,compensate=false,time-s={}": (20, 3600, 86400, 31536000),
        "read-additive={}": (0.01, 0.05, 0.2),
        "stuck-on={}": (0.001, 0.01, 0.1),
        "row-ohm={0},column-ohm={0}": (0.1, 1, 10),
        "adc-noise={}": (0.3, 1, 3),
    }.items():
        changes = [moved(held, text.format(value), seeds=3) for value in values]
        assert changes == sorted(changes), text
        assert changes[0] < changes[-1], text


def test_wires_lose_more_in_larger_arrays() -> None:
    lost = [moved(program(core__rows=rows), "row-ohm=1,column-ohm=1") for rows in (16, 64, 128)]
    assert lost == sorted(lost)
    assert lost[-1] > 2 * lost[0]


def test_the_interval_shrinks_as_the_root_of_the_runs() -> None:
    labels = scores(program()).argmax(axis=1)
    few, many = (
        driver.simulate(
            program(), images(), labels, physics="rram-wan", monte_carlo=runs, seed=2, compare=False
        ).spread
        for runs in (10, 90)
    )
    assert few is not None
    assert many is not None
    assert many.values[:10] == few.values
    assert few.half_width is not None
    assert many.half_width is not None
    # Student's t for 10 runs is 14 % above that for 90; deviations of 10 vary by a quarter
    assert many.half_width * sqrt(90) == pytest.approx(few.half_width * sqrt(10), rel=0.6)
    assert many.half_width < few.half_width
