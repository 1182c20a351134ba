"""Peers of :mod:`benchmarks.bench_physics`, in a process and an environment of their own.

Run by the bench with the Python of that environment (``requirements-peers.txt``), on a file with
``weights`` ``[outputs, inputs]`` and ``drive`` ``[batch, inputs]``. Each line of standard input
names a case, runs, threads: ``{"case": "...", "runs": 3, "threads": 1}``; each line of standard
output answers with the least seconds of a run, or why there is none.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np

Run = Callable[[], object]
Case = Callable[[], Run]
DAY_S, YEAR_S = 86_400.0, 365 * 86_400.0
WORK: dict[str, Any] = {}


def aihwkit(kind: str) -> Run:
    """A layer on a tile: ``torch`` has noise at outputs only, others are compiled."""
    torch = import_module("torch")
    layer = import_module("aihwkit.nn").AnalogLinear
    outputs, inputs = WORK["weights"].shape
    made = layer(inputs, outputs, bias=False, rpu_config=_tile(kind)).eval()
    x = torch.from_numpy(WORK["drive"].astype(np.float32) / 255)
    return lambda: made(x)


def _tile(kind: str) -> Any:
    configs = import_module("aihwkit.simulator.configs")
    inference = import_module("aihwkit.inference")
    plain = kind == "torch"
    config = configs.TorchInferenceRPUConfig() if plain else configs.InferenceRPUConfig()
    config.noise_model = inference.PCMLikeNoiseModel(g_max=25.0)
    config.drift_compensation = inference.GlobalDriftCompensation()
    config.forward.inp_res = config.forward.out_res = 1 / (2**8 - 2)
    if not plain:
        config.forward.w_noise = 0.02
        config.forward.w_noise_type = configs.WeightNoiseType.ADDITIVE_CONSTANT
        config.forward.out_noise = 0.0
    config.forward.ir_drop = float(kind == "IR drop")
    return config


def aihwkit_net(name: str, kind: str) -> Run:
    """A network on tiles: programmed, drifted for an hour, compensated."""
    net, x = import_module("physics_nets").made(name)
    made = import_module("aihwkit.nn.conversion").convert_to_analog(net, _tile(kind)).eval()
    made.drift_analog_weights(3600.0)
    return lambda: made(x)


def aihwkit_errors(after: float) -> list[float]:
    """Return σ of what programming and time make of weights, of four seeds, by its PCM model."""
    torch = import_module("torch")
    on = float(after > 0)
    kind = import_module("aihwkit.inference").PCMLikeNoiseModel
    model = kind(g_max=25.0, read_noise_scale=on, drift_scale=on)
    weights = WORK["weights"].astype(np.float32)
    held = torch.from_numpy(weights / np.abs(weights).max())
    found = []
    for _ in range(4):
        made, drift = model.apply_programming_noise(held)
        made = model.apply_drift_noise(made, drift, after) if after else made
        found.append(float((made - held).std()))
    return found


def _parameters(sigma: float, *, model: str = "Independent", read: bool = False) -> Any:
    simulator = import_module("simulator")
    made = simulator.CrossSimParameters()
    made.core.style = _core("CoreStyle").BALANCED
    made.core.rows_max = made.core.cols_max = 512
    made.core.weight_bits = 8
    made.xbar.device.Rmin, made.xbar.device.Rmax = 25e3, 250e3
    error = made.xbar.device.read_noise if read else made.xbar.device.programming_error
    if sigma:
        error.enable, error.model, error.magnitude = True, f"Normal{model}Device", sigma
    return made


def _core(name: str) -> Any:
    return getattr(import_module("simulator.parameters.core_parameters"), name)


def _convert(made: Any, bits: int = 8) -> None:
    made.xbar.adc.mvm.model, made.xbar.adc.mvm.bits = "QuantizerADC", bits
    made.xbar.adc.mvm.adc_range_option = "MAX"


def crosssim(*, model: str = "Independent", sigma: float = 0.02, read: bool = False) -> Run:
    """A layer whose inputs come in one phase, on pairs of cells."""
    made = _parameters(sigma, model=model, read=read)
    _convert(made)
    return _product(made)


def crosssim_serial(sigma: float, *, read: bool = False) -> Run:
    """A layer whose inputs come bit by bit, on four cells of 2 bits a weight."""
    made = _parameters(sigma, model="Proportional", read=read)
    made.core.style = _core("CoreStyle").BITSLICED
    made.core.bit_sliced.style = _core("BitSlicedCoreStyle").OFFSET
    made.core.bit_sliced.num_slices = 4
    made.core.offset.style = _core("OffsetCoreStyle").UNIT_COLUMN_SUBTRACTION
    made.xbar.device.cell_bits = 2
    _convert(made)
    made.xbar.adc.mvm.signed = False
    dac = made.xbar.dac.mvm
    dac.model, dac.bits, dac.signed = "QuantizerDAC", 8, False
    dac.input_bitslicing, dac.slice_size = True, 1
    made.xbar.adc.mvm.adc_per_ibit = True
    made.core.mapping.inputs.mvm.min, made.core.mapping.inputs.mvm.max = 0.0, 255.0
    return _product(made)


def _product(made: Any) -> Run:
    core = import_module("simulator").AnalogCore(WORK["weights"].astype(float), made)
    return partial(core.matmat, WORK["drive"].astype(float).T)


def crosssim_errors(model: str, sigma: float, *, read: bool) -> list[float]:
    """Return the RMS error of outputs behind ideal converters, relative to that of exact ones."""
    exact = WORK["weights"].astype(float) @ WORK["drive"].T.astype(float)
    errors = []
    for _ in range(1 if read else 4):  # reads differ within a run too, and take seconds
        found: Any = _product(_parameters(sigma, model=model, read=read))()
        errors.append(float(np.std(found - exact) / np.std(exact)))
    return errors


def crosssim_wires(size: int) -> Run:
    """Solve the circuit of an array of 10 to 100 kΩ with segments of 1 Ω, for one input."""
    rng = np.random.default_rng(0)
    made = _parameters(0.0)
    made.core.style = _core("CoreStyle").OFFSET
    made.core.weight_bits = 0
    made.xbar.device.Rmin, made.xbar.device.Rmax = 1e4, 1e5
    wires = made.xbar.array.parasitics
    wires.enable, wires.Rp_row, wires.Rp_col = True, 1.0, 1.0
    made.simulation.hide_convergence_msg = True
    core = import_module("simulator").AnalogCore(rng.uniform(-1, 1, (size, size)), made)
    return partial(core.matvec, rng.uniform(0, 1, size))


def crosssim_net(name: str, *, read: bool = False) -> Run:
    """A network with programming errors and converters."""
    net, x = import_module("physics_nets").made(name)
    made = _parameters(0.02)
    if read:
        noise = made.xbar.device.read_noise
        noise.enable, noise.model, noise.magnitude = True, "NormalIndependentDevice", 0.01
    _convert(made)
    convert = import_module("simulator.algorithms.dnn.torch.convert").from_torch
    analog, few = convert(net, made).eval(), x[:1] if read else x
    return lambda: analog(few)


CASES: dict[str, Case] = {
    "aihwkit, torch tile, output noise": partial(aihwkit, "torch"),
    "aihwkit, compiled tile, read noise": partial(aihwkit, "read noise"),
    "aihwkit, compiled tile, read noise, IR drop": partial(aihwkit, "IR drop"),
    "CrossSim, programming noise": crosssim,
    "CrossSim, read noise": partial(crosssim, read=True),
    "CrossSim, bit-serial": partial(crosssim_serial, 0.0),
    "CrossSim, bit-serial, programming noise": partial(crosssim_serial, 0.05),
    **{f"CrossSim, wires {n} × {n}": partial(crosssim_wires, n) for n in (64, 128, 256)},
}
for _name in ("LeNet-5", "ResNet-18"):
    CASES |= {
        f"aihwkit, {_name}, torch tile, output noise": partial(aihwkit_net, _name, "torch"),
        f"aihwkit, {_name}, read noise": partial(aihwkit_net, _name, "read noise"),
        f"aihwkit, {_name}, read noise, IR drop": partial(aihwkit_net, _name, "IR drop"),
        f"CrossSim, {_name}, programming noise": partial(crosssim_net, _name),
        f"CrossSim, {_name}, read noise, one image": partial(crosssim_net, _name, read=True),
    }
ERRORS: dict[str, Callable[[], list[float]]] = {
    "PCM of aihwkit, programming": partial(aihwkit_errors, 0.0),
    "PCM of aihwkit, one day": partial(aihwkit_errors, DAY_S),
    "PCM of aihwkit, one year": partial(aihwkit_errors, YEAR_S),
    "CrossSim, programming, 2 % of range": partial(
        crosssim_errors, "Independent", 0.02, read=False
    ),
    "CrossSim, programming, 5 % of each": partial(
        crosssim_errors, "Proportional", 0.05, read=False
    ),
    "CrossSim, read noise, 2 % of range": partial(crosssim_errors, "Independent", 0.02, read=True),
}


@cache
def prepared(case: str) -> Run:
    run = CASES[case]()
    run()
    return run


def seconds(case: str, runs: int, threads: int) -> float:
    """Return the least time of a run: of the processor with one thread, else on the clock."""
    clock = time.process_time if threads == 1 else time.perf_counter
    run = prepared(case)
    taken = []
    for _ in range(runs):
        start = clock()
        run()
        taken.append(clock() - start)
    return min(taken)


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    case = asked["case"]
    try:
        import_module("torch").set_num_threads(asked.get("threads", 1))
        if case in ERRORS:
            return {"errors": ERRORS[case]()}
        with import_module("torch").no_grad():
            return {"seconds": seconds(case, asked["runs"], asked["threads"])}
    except (ImportError, RuntimeError, ValueError, TypeError, AttributeError) as fault:
        return {"missing": f"{type(fault).__name__}: {fault}".splitlines()[0]}


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # packages print what they like
    with np.load(sys.argv[1]) as held:
        WORK.update(held)
    limits = import_module("threadpoolctl").threadpool_limits
    for line in sys.stdin:
        asked = json.loads(line)
        with limits(asked.get("threads", 1)):
            print(json.dumps(answer(asked)), file=answers, flush=True)


if __name__ == "__main__":
    main()
