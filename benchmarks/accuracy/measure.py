"""One case of the study: compiled, simulated on the whole test set, judged."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.cases import SEEDS, Case, Method
from benchmarks.accuracy.data import Inputs, Sets
from benchmarks.accuracy.judges import Outcome
from benchmarks.accuracy.networks import Network
from benchmarks.accuracy.store import Result, packed
from benchmarks.measure import EXAMPLES, peak_gb
from neutrams.driver import Options, compile, load_target, simulate
from neutrams.driver.onnx import to_onnx
from neutrams.driver.options import usual_pipeline
from neutrams.driver.sweeping.cache import arrays_digest, key_of
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.types import Array
from neutrams.passes.affine import Affine


def key(case: Case, limit: int | None) -> str:
    """Return the hash of all that a result depends on."""
    own = Path(__file__).parent
    judging = [(own / name).read_text() for name in ("judges.py", "measure.py")]
    parts = [pipeline(case), case.chip.overrides, case.seed, case.exported, limit]
    return key_of("accuracy", _digest(case.network, limit), judging, *parts)[:16]


@lru_cache
def _digest(network: Network, limit: int | None) -> str:
    sets = _sets(network, limit)
    parts = [sets.inputs, *(sets.draw(seed) for seed in range(SEEDS))]
    arrays = [item for part in parts for item in sorted(named(part).items())]
    if sets.labels is not None:
        arrays.append(("labels", sets.labels))
    return hashlib.sha256(network.model.read_bytes() + arrays_digest(arrays).encode()).hexdigest()


def measure(case: Case, limit: int | None = None) -> Result:
    """Return the result of a case; a fault of the kind a user can mend is its status."""
    result: Result = {
        "case": case.name,
        "network": case.network.name,
        "chip": case.chip.name,
        "method": case.method.name,
        "seed": case.seed,
    }
    try:
        return {**result, "status": "done", **_figures(case, limit)}
    except NeutramsError as fault:
        first = fault.diagnostics[0]
        return {**result, "status": first.code, "reason": first.message}


def _figures(case: Case, limit: int | None) -> Result:
    sets = _sets(case.network, limit)
    wanted = _wanted(case.network, limit)
    if not case.method.compiled:
        return _rounded(case, sets, wanted)
    start = time.process_time()
    program = compile(
        case.network.model,
        target=load_target("cim", case.chip.overrides),
        calibration=sets.draw(case.seed),
        passes=pipeline(case),
        keep_float=False,
        replicate=False,
        seed=case.seed,
    )
    seconds = time.process_time() - start
    found = simulate(program, sets.inputs, compare=False)
    x, outputs = first(sets.inputs), next(iter(found.outputs.values()))
    outcome = case.network.judge(x, wanted, outputs, sets.labels)
    used = found.resources.occupancy
    figures = {
        **_judged(case, outcome, sets, len(outputs)),
        "crossbars": used.crossbars,
        "cores": used.cores,
        "seconds": round(seconds, 2),
    }
    if case.exported:
        exported = run_onnx(to_onnx(program).model, sets.inputs)
        figures["exported"] = [int(np.count_nonzero(exported != outputs)), outputs.size]
    return figures


def _judged(case: Case, outcome: Outcome, sets: Sets, samples: int) -> Result:
    figures: Result = {
        "samples": samples,
        "agreement": outcome.agreement,
        "correlation": outcome.correlation,
        "original": outcome.original,
        "found": outcome.found,
        "peak_gb": round(peak_gb(), 2),
    }
    if outcome.losses is not None:
        losses = outcome.losses
        if sets.seen is not None and case.method.compiled:
            losses = np.where(sets.seen(case.seed)[: len(losses)], np.nan, losses)
        figures["losses"] = packed(losses)
    return figures


SHARES = (0.15, 0.25, 0.35, 0.5, 0.7, 0.85, 1.0)
"""Of the range of a network's inputs that their grid may cover; what is beyond is clipped."""


def _rounded(case: Case, sets: Sets, wanted: Array) -> Result:
    """Return the figures of the float network whose input alone is rounded to the chip's bits.

    Of several grids it is the one that serves the test set best, so that it bounds what a chip may
    keep that reads the input once, in so few bits, by weights as they are.
    """
    inputs, start = named(sets.inputs), time.process_time()
    name, x = next(iter(inputs.items()))
    outcomes = []
    for share in SHARES:
        low, high = share * float(x.min()), share * float(x.max())
        grid = Affine.of_range(low, high, bits=case.chip.inputs)
        steps = np.rint(x / np.float32(grid.scale)) + grid.zero
        near = (np.clip(steps, grid.low, grid.high) - grid.zero) * np.float32(grid.scale)
        given = {**inputs, name: near.astype(x.dtype)}
        made = run_onnx(case.network.model, given if len(given) > 1 else given[name])
        outcomes.append(case.network.judge(x, wanted, made, sets.labels))
    best = max(outcomes, key=_worth)
    used = {"crossbars": 0, "cores": 0, "seconds": round(time.process_time() - start, 2)}
    return {**_judged(case, best, sets, len(wanted)), **used}


def _worth(outcome: Outcome) -> float:
    return -float(outcome.losses.mean()) if outcome.losses is not None else outcome.correlation or 0


def pipeline(case: Case) -> str:
    """Return the usual passes, with the options of the method and of the network."""
    method, network = case.method, case.network
    options = Options(
        strategy=method.strategy,
        retrain=method.retrain is not None,
        widen=method.widen,
        bits=method.bits.format(first=network.first, digits=network.digits),
    )
    usual = usual_pipeline(options)
    if network.calibrate:
        usual = usual.replace("calibrate{observer=mse}", f"calibrate{{{network.calibrate}}}")
    return usual.replace("retrain-units", f"retrain-units{{{_retraining(method)}}}")


def _retraining(method: Method) -> str:
    return f"{method.retrain or ''} threads=1 device=cpu".strip()


def run_onnx(model: Any, inputs: Inputs) -> Array:
    """Return the first output of a model by onnxruntime, optimisations off, in one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    if isinstance(inputs, Mapping):
        return np.asarray(session.run(None, dict(inputs))[0])
    feed = session.get_inputs()[0]
    size = feed.shape[0] if isinstance(feed.shape[0], int) else 500
    parts = [inputs[i : i + size] for i in range(0, len(inputs), size)]
    return np.concatenate([session.run(None, {feed.name: part})[0] for part in parts])


def named(inputs: Inputs) -> Mapping[str, Array]:
    return inputs if isinstance(inputs, Mapping) else {"x": inputs}


def first(inputs: Inputs) -> Array:
    return next(iter(named(inputs).values()))


@lru_cache(maxsize=2)
def _wanted(network: Network, limit: int | None) -> Array:
    """Return what the original network makes of the test set."""
    return run_onnx(network.model, _sets(network, limit).inputs)


@lru_cache(maxsize=2)
def _sets(network: Network, limit: int | None) -> Sets:
    """Load the data, and keep the first test samples (of a sequence, which is one, steps)."""
    sets = network.load()
    if limit is None:
        return sets
    count = len(first(sets.inputs))
    cut = {k: v[:limit] if len(v) == count else v for k, v in named(sets.inputs).items()}
    return Sets(
        sets.draw,
        cut if isinstance(sets.inputs, Mapping) else first(cut),
        None if sets.labels is None else sets.labels[:limit],
        sets.seen,
    )


def warm() -> None:
    """Load libraries and kernels, so that no case pays for them."""
    import torch  # noqa: F401

    with np.load(EXAMPLES / "digits_calibration.npz") as digits:
        program = compile(EXAMPLES / "mnist8_cntk.onnx", calibration=digits["x"][:16])
        simulate(program, digits["x"][:16])
