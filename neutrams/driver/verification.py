"""The parity chain: each executor of a program against the one before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from neutrams.driver.links import BROKEN, NOT_RUN, PASSED, Link, compare
from neutrams.driver.metrics import classes
from neutrams.driver.preprocess import Preprocess
from neutrams.driver.progress import Progress, silent
from neutrams.driver.samples import Samples, SampleSource, load_samples
from neutrams.driver.simulation import run_float
from neutrams.driver.traces import Trace, after_loss, exact_values
from neutrams.driver.weight_check import check_weights
from neutrams.ir.interpreter import interpret
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator import run_batched, simulate

SAMPLES = 32
"""Samples that go through the chain; the reference interpreter is slow."""
RETENTION = 0.9
"""Least share of the float network's answers that the unit graph must keep."""
_BATCH = 8

FLOAT = "float network → unit graph"
SIMULATOR = "unit graph → simulator"
ONNX = "simulator → onnxruntime"


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of each link."""

    links: tuple[Link, ...]
    samples: int

    @property
    def passed(self) -> bool:
        """Whether no link is broken; links that were not run do not count."""
        return all(link.state != BROKEN for link in self.links)


def verify(
    program: Program,
    inputs: SampleSource,
    *,
    limit: int = SAMPLES,
    retention: float = RETENTION,
    onnx: str | Path | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Run samples through every executor of a program and compare each with the one before.

    The float network is compared by its answers; from the unit graph on every integer, and every
    float that follows from them by single roundings, must be equal bit for bit.

    Args:
        program: What :func:`neutrams.compile` made.
        inputs: Samples, preprocessed as the program says.
        limit: Use only so many.
        retention: Least share of the float network's answers to keep.
        onnx: An exported model to check in place of a fresh export.
        progress: Told how far the work is.

    Raises:
        NeutramsError: the samples do not fit (NT0520 to NT0529), an op has no spelling in ONNX
            (NT0550), or the exported model is of another program (NT0552).
    """
    tell = progress or silent
    main = program.module["main"]
    steps = Preprocess.from_manifest(program.manifest.get("preprocess", {}))
    samples = load_samples(inputs, main, preprocess=steps, limit=limit)
    trace = Trace.of(main)
    reference = _interpreted(trace, samples, tell)
    tell("simulating", 0, 0)
    simulated = trace.values_of(simulate(trace.program(program), samples.inputs).outputs)
    links = (
        check_weights(program),
        _float_link(program, trace, reference, samples, retention, tell),
        compare(SIMULATOR, reference, simulated, exact=set(reference)),
        _onnx_link(program, simulated, samples, onnx, tell),
    )
    return Verification(links, samples.count)


def _interpreted(trace: Trace, samples: Samples, tell: Progress) -> dict[str, Array]:
    ran = run_batched(
        trace.graph,
        samples.inputs,
        lambda part: interpret(trace.graph, part),
        batch=_BATCH,
        progress=lambda done, total: tell("interpreting", done, total),
    )
    return trace.values_of(ran.outputs)


def _float_link(
    program: Program,
    trace: Trace,
    reference: dict[str, Array],
    samples: Samples,
    gate: float,
    tell: Progress,
) -> Link:
    teacher = program.module.graphs.get("float")
    if teacher is None:
        return Link(FLOAT, NOT_RUN, note="the program holds no float network (--no-float)")
    expected = run_float(teacher, samples, tell)
    found = {name: reference[value] for name, value in trace.outputs.items()}
    compared = sum(array.size for array in expected.values())
    kept, what = _retention(found, expected)
    moved = [np.abs(found[n].astype(np.float64) - expected[n]).max(initial=0) for n in expected]
    fine = compared > 0 and kept >= gate
    return Link(
        FLOAT,
        PASSED if fine else BROKEN,
        compared=compared,
        difference=float(max(moved, default=0.0)),
        retention=kept,
        note=f"{what}, {gate:g} wanted",
    )


def _retention(found: dict[str, Array], expected: dict[str, Array]) -> tuple[float, str]:
    """Return what is kept of the answers: equal classes, or one minus the relative error."""
    mine, theirs = classes(found), classes(expected)
    if mine is not None and theirs is not None and len(mine):
        return float((mine == theirs).mean()), "share of samples given the same class"
    pairs = [(found[name].astype(np.float64), wanted) for name, wanted in expected.items()]
    moved = sum(float(((a - b) ** 2).sum()) for a, b in pairs)
    size = sum(float((b.astype(np.float64) ** 2).sum()) for _, b in pairs)
    error = np.sqrt(moved / size) if size else float(moved > 0)
    return max(0.0, 1.0 - float(error)), "one minus the relative error"


def _onnx_link(
    program: Program,
    simulated: dict[str, Array],
    samples: Samples,
    path: str | Path | None,
    tell: Progress,
) -> Link:
    if find_spec("onnxruntime") is None:
        return Link(ONNX, NOT_RUN, note="onnxruntime is not installed")
    from neutrams.driver.onnx import to_onnx
    from neutrams.driver.onnx.session import Session

    tell("running in onnxruntime", 0, 0)
    main = program.module["main"]
    exported = to_onnx(program, keep=simulated)
    lost = after_loss(main, exported.lossy)
    session = Session.of(program, exported, path)
    if isinstance(session, str):
        return Link(ONNX, BROKEN, note=session)
    found = session.run(samples.inputs)
    kept = {name: array for name, array in simulated.items() if name not in lost}
    if lost and not kept.keys() & found.keys():
        units = ", ".join(exported.lossy)
        return Link(ONNX, NOT_RUN, note=f"the converters of {units} may lose bits; ONNX has none")
    link = compare(ONNX, kept, found, exact=exact_values(main))
    if not lost or link.note:
        return link
    left_out = f"left out {len(lost)} values behind converters that may lose bits"
    return replace(link, note=left_out)
