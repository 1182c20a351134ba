"""LeNet-5 and ResNet-18 on chips that are not ideal, beside aihwkit and CrossSim.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.bench_physics_nets``. Random weights; arrays have 512
rows, converters and inputs 8 bits. In one phase a weight is one cell, or a pair; bit by bit it is
four cells of 2 bits, or pairs. Peers have pairs of cells, one phase, and one converter a pair.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.peers import Peers, race
from benchmarks.physics_nets import NETS, made
from neutrams import driver
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator.physics import Physics
from neutrams.simulator.physics.matrix import Chance
from neutrams.simulator.run import Runner

ALIKE = Physics(
    device="pcm", flicker=True, compensate=True, time_s=3600, read_additive=0.01, row_ohm=0.35,
    column_ohm=0.35,
)  # fmt: skip
"""What aihwkit has too: programming, drift, 1/f and read noise, IR drop."""
PROGRAMMED = Physics(programming_additive=0.02, on_off=10)
"""What CrossSim does at the speed of a product."""
ALL = replace(
    ALIKE, read_proportional=0.01, stuck_on=0.001, stuck_off=0.002, on_off=50, adc_offset=0.3,
    adc_gain=0.01, adc_inl=0.2, adc_noise=0.3,
)  # fmt: skip
PHYSICS = {"programming noise": PROGRAMMED, "as aihwkit": ALIKE, "everything": ALL}
CHIPS: dict[str, dict[str, Any]] = {
    "one phase, one cell": {"coding": "offset", "dac_bits": 8, "cell_bits": 8},
    "one phase, pairs": {"coding": "analog-differential", "dac_bits": 8, "cell_bits": 7},
    "one phase, pairs, two converters": {"coding": "differential", "dac_bits": 8, "cell_bits": 7},
    "bit-serial, four cells": {"coding": "offset"},
    "bit-serial, pairs": {"coding": "analog-differential"},
}


def compiled(name: str, core: dict[str, Any]) -> tuple[Program, dict[str, Array]]:
    net, images = made(name)
    sizes = {"core.rows": 512, "core.columns": 2048, "core.column_flip": False}
    chip = driver.load_target("cim", {**sizes, "core.adc_mode": "scale"})
    chip = replace(chip, machine=replace(chip.machine, core=replace(chip.machine.core, **core)))
    program = driver.compile(net, target=chip, calibration=images.numpy())
    (value,) = program.module["main"].inputs
    return program, {value.name: images.numpy().astype(value.type.dtype.numpy)}


def main(names: list[str]) -> None:
    peers = Peers()
    for name in names or NETS:
        ours: dict[str, Callable[[], object]] = {}
        for chip, core in CHIPS.items():
            program, given = compiled(name, core)
            for what, physics in PHYSICS.items():
                runner = Runner(program.module["main"], None, Chance(physics, adcs=8))
                ours[f"{name}, {chip}, {what}"] = partial(runner, given)
        theirs = {
            f"aihwkit, {name}, torch tile, output noise": 3,
            f"aihwkit, {name}, read noise": 3,
            f"aihwkit, {name}, read noise, IR drop": 3,
            f"CrossSim, {name}, programming noise": 3,
        }
        slow = {f"CrossSim, {name}, read noise, one image": 1}
        count = NETS[name][2]
        race(peers, ours, theirs | slow, rounds=3, runs=2, images=count)
        race(peers, ours, theirs, threads=2, rounds=3, runs=2, images=count)
    peers.close()


if __name__ == "__main__":
    main(sys.argv[1:])
