"""Every non-ideality with every coding, grain and retraining: run and felt, or refused with why."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np

from neutrams import driver
from neutrams.driver.simulation import GRAINS
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.products import Matmul
from neutrams.ir.program import Program
from neutrams.ir.target import Coding
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.simulator.physics import Physics

PAGE = Path(__file__).parents[2] / "docs" / "support-matrix.md"
CODINGS = get_args(Coding)
CASES = {
    "programming noise, state-independent": Physics(programming_additive=0.1),
    "programming noise, state-proportional": Physics(programming_proportional=0.2),
    "PCM statistics": Physics(device="pcm"),
    "PCM statistics, Hermes": Physics(device="pcm-hermes"),
    "RRAM statistics, Wan": Physics(device="rram-wan"),
    "RRAM statistics, Wan, after a day": Physics(device="rram-wan", time_s=86_400),
    "RRAM statistics, Wan, after a year": Physics(device="rram-wan", time_s=3.15e7),
    "RRAM statistics, Milo": Physics(device="rram-milo"),
    "RRAM statistics, Milo, after a day": Physics(device="rram-milo", time_s=86_400),
    "drift, PCM, a year": Physics(device="pcm", time_s=3.15e7),
    "drift, compensated": Physics(device="pcm", time_s=3.15e7, compensate=True),
    "drift of stated exponent": Physics(drift_nu=0.05, drift_nu_sigma=0.02, time_s=3600),
    "1/f noise, PCM": Physics(device="pcm", flicker=True),
    "1/f noise, RRAM": Physics(device="rram-wan", flicker=True),
    "read noise, state-independent": Physics(read_additive=0.05),
    "read noise, state-proportional": Physics(read_proportional=0.1),
    "stuck on": Physics(stuck_on=0.05),
    "stuck off": Physics(stuck_off=0.1),
    "on/off ratio": Physics(on_off=1.2),
    "IR drop, fast": Physics(row_ohm=50, column_ohm=50),
    "IR drop, exact": Physics(row_ohm=50, column_ohm=50, wires="exact"),
    "ADC offset": Physics(adc_offset=2.0),
    "ADC gain": Physics(adc_gain=0.1),
    "ADC non-linearity": Physics(adc_inl=4.0),
    "ADC noise": Physics(adc_noise=2.0),
    "DAC non-linearity, DACs of 1 bit": Physics(dac_inl=0.5),
    "DAC non-linearity, DACs of 2 bits": Physics(dac_inl=0.5),
}


def network() -> Graph:
    random = np.random.default_rng(0)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 24))
    first = graph.weight("a", random.normal(size=(24, 16)).astype(np.float32))
    last = graph.weight("b", random.normal(size=(16, 5)).astype(np.float32))
    hidden = graph.add(Relu(graph.add(Matmul(x, first))))
    graph.output(graph.add(Matmul(hidden, last)), "y")
    return graph


def samples() -> Array:
    return np.random.default_rng(1).normal(size=(32, 24)).astype(np.float32)


@cache
def program(coding: str, retrained: bool, dac_bits: int) -> Program:
    return driver.compile(
        network(),
        calibration=samples(),
        overrides={"core.coding": coding, "core.column_flip": coding == "offset",
                   "core.dac_bits": dac_bits},
        retrain="gptq" if retrained else False,
    )  # fmt: skip


def outcome(case: str, coding: str, grain: str, retrained: bool) -> str:
    """Run one combination; a refusal is its first line."""
    dac_bits = 2 if "2 bits" in case else 1
    made = program(coding, retrained, dac_bits)
    exact = _exact(coding, retrained, dac_bits)
    try:
        found = _outputs(made, CASES[case], grain)
    except NeutramsError as fault:
        first = fault.diagnostics[0]
        return f"refused, {first.code}: {first.message}"
    assert (found != exact).any(), f"{case} is taken and changes nothing"
    return "yes"


@cache
def _exact(coding: str, retrained: bool, dac_bits: int) -> Array:
    return _outputs(program(coding, retrained, dac_bits), None, "tick")


def _outputs(made: Program, physics: Physics | None, grain: str) -> Array:
    (wanted,) = (each for each in GRAINS if each == grain)
    return driver.simulate(
        made, samples(), physics=physics, grain=wanted, compare=False
    ).outputs["y"]  # fmt: skip


def test_the_page_shows_what_runs(update_golden: bool) -> None:
    places = list(product(CODINGS, GRAINS, (False, True)))
    heads = [f"{c}, {g}{', retrained' if r else ''}" for c, g, r in places]
    lines = ["| non-ideality | " + " | ".join(heads) + " |", "|---" * (len(places) + 1) + "|"]
    notes: dict[str, int] = {}
    for case in CASES:
        cells = []
        for coding, grain, retrained in places:
            found = outcome(case, coding, grain, retrained)
            cells.append(
                found if found == "yes" else f"no ({notes.setdefault(found, len(notes) + 1)})"
            )
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    text = HEAD + "\n".join(lines) + "\n\n"
    text += "".join(f"{number}. {note}\n" for note, number in notes.items())
    if update_golden:
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text


HEAD = """# What goes with what

Written by `tests/driver/test_support_matrix.py`, which runs every combination: a "yes" ran and
changed outputs, a "no" was refused, with the reason below. Codings of weights, then the grain of
the simulation; *retrained* programs went through `--retrain`. [physics.md](physics.md) says what
each is.

Refused whatever the physics: programs in rounds, products of two computed matrices, converter
errors of chips with ideal converters.

"""
