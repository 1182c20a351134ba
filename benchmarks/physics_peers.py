"""Peers on the layer of :mod:`benchmarks.bench_physics`: time, and errors from the same noise.

Each peer runs where its package is installed; see ``requirements-peers.txt``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import numpy as np

from benchmarks.measure import best, show
from neutrams.ir.types import Array
from neutrams.simulator.physics import Physics
from neutrams.simulator.physics.conductances import program
from neutrams.simulator.physics.seeds import Draws

Errors = Callable[[Physics, int], float]
"""RMS error of a layer's outputs under physics and a seed, relative to the RMS of exact ones."""

DAY_S = 86_400.0


def peers(weights: Array, drive: Array, errors: Errors) -> None:
    """Run every peer that is installed on ``weights`` ``[outputs, inputs]`` of 8 bits."""
    for name, run in (("aihwkit", aihwkit), ("crosssim", crosssim)):
        try:
            # before our own folders: both projects have one called `simulator`
            sys.path.insert(0, str(distribution(name).locate_file("")))
        except PackageNotFoundError:
            print(f"skipped: {name} is not installed (benchmarks/requirements-peers.txt)")
            continue
        run(weights, drive, errors)


def compare(name: str, ours: float, theirs: float) -> None:
    apart = 100 * (ours / theirs - 1)
    show(
        f"error of outputs, {name}",
        100 * ours,
        "%",
        note=f"{100 * theirs:.3f} % {apart:+.1f} %",
    )


def aihwkit(weights: Array, drive: Array, errors: Errors) -> None:
    """Time of its torch tile, which has noise at outputs only; statistics of its PCM model.

    The compiled tile, which has read noise of cells, needs the torch that it was built against.
    """
    import torch
    from aihwkit.inference import PCMLikeNoiseModel
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    torch.set_num_threads(1)
    config = TorchInferenceRPUConfig()
    config.forward.out_res = 1 / (2**8 - 2)
    layer = AnalogLinear(weights.shape[1], weights.shape[0], bias=False, rpu_config=config).eval()
    x = torch.from_numpy(drive.astype(np.float32) / 255)
    with torch.no_grad():
        show(
            "aihwkit, torch tile, output noise, 8-bit ADC",
            1e3 * best(lambda: layer(x), runs=15),
            "ms",
        )
    held = torch.from_numpy(weights.astype(np.float32) / np.abs(weights).max())
    pair = np.stack([held.numpy().clip(0), (-held.numpy()).clip(0)])
    for name, after in (("programming", 0.0), ("one day", DAY_S), ("one year", 365 * DAY_S)):
        on = float(after > 0)
        model = PCMLikeNoiseModel(g_max=25.0, read_noise_scale=on, drift_scale=on)
        physics = Physics(device="pcm", flicker=after > 0, time_s=after + 20)
        theirs, ours = [], []
        for seed in range(4):
            made, drift = model.apply_programming_noise(held)
            made = model.apply_drift_noise(made, drift, after) if after else made
            theirs.append(float((made - held).std()))
            g = program(pair, physics, Draws(seed, 0, "peer")).g
            ours.append(float((g[0] - g[1] - held.numpy()).std()))
        compare(f"PCM of aihwkit, {name}", float(np.mean(ours)), float(np.mean(theirs)))


def crosssim(weights: Array, drive: Array, errors: Errors) -> None:
    """Time with programming errors and with read noise; errors of outputs from both."""
    exact = drive.astype(float) @ weights.T.astype(float)
    columns = drive.astype(float).T
    for name, model, field, sigma in (
        ("programming, 2 % of range", "Independent", "programming_additive", 0.02),
        ("programming, 5 % of each", "Proportional", "programming_proportional", 0.05),
        ("read noise, 2 % of range", "Independent", "read_additive", 0.02),
    ):
        read = field.startswith("read")
        core = _core(weights, model, sigma, read=read)
        theirs = np.std(core.matmat(columns).T - exact) / np.std(exact)
        physics = Physics(on_off=10.0, **{field: sigma})
        ours = np.mean([errors(physics, seed) for seed in range(4)])
        compare(f"CrossSim, {name}", float(ours), float(theirs))
        core = _core(weights, model, sigma, read=read, adc_bits=8)
        taken = best(partial(core.matmat, columns), runs=2)
        show(f"CrossSim, {name}, 8-bit ADC", 1e3 * taken, "ms")


def _core(weights: Array, model: str, sigma: float, *, read: bool, adc_bits: int = 0) -> Any:
    simulator = import_module("simulator")
    parameters = import_module("simulator.parameters.core_parameters")
    made = simulator.CrossSimParameters()
    made.core.style = parameters.CoreStyle.BALANCED
    made.core.rows_max = made.core.cols_max = len(weights)
    made.core.weight_bits = 8
    made.xbar.device.Rmin, made.xbar.device.Rmax = 25e3, 250e3
    error = made.xbar.device.read_noise if read else made.xbar.device.programming_error
    error.enable, error.model, error.magnitude = True, f"Normal{model}Device", sigma
    if adc_bits:
        made.xbar.adc.mvm.model, made.xbar.adc.mvm.bits = "QuantizerADC", adc_bits
        made.xbar.adc.mvm.adc_range_option = "MAX"
    return simulator.AnalogCore(weights.astype(float), made)
