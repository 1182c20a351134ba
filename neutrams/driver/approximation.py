"""How far a QDQ model is from the simulator on samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutrams.driver.parity.traces import Trace
from neutrams.driver.preprocess import Preprocess
from neutrams.driver.samples import SampleSource, load_samples
from neutrams.driver.sweeping.results import need_package
from neutrams.ir.diagnostics import Diagnostic, warning
from neutrams.ir.program import Program
from neutrams.passes.answers import retention
from neutrams.simulator import simulate

SAMPLES = 32


@dataclass(frozen=True, slots=True)
class Approximation:
    """A QDQ model in onnxruntime beside the simulator."""

    samples: int
    integers: int
    """Integers that were compared, of all layers."""
    differ: int
    steps: int
    """The largest difference of one of them."""
    kept: float
    """Share of the answers that are the same."""
    what: str


def approximation(program: Program, inputs: SampleSource) -> Approximation:
    """Run samples through a program's QDQ model and the simulator.

    Raises:
        NeutramsError: NT0520 to NT0529, the samples do not fit; NT0547, there is no onnxruntime.
    """
    need_package("onnxruntime", extra="dev", purpose="to run a QDQ model")
    from neutrams.driver.onnx import to_onnx
    from neutrams.driver.onnx.session import Session

    main = program.module["main"]
    steps = Preprocess.from_manifest(program.manifest.get("preprocess", {}))
    samples = load_samples(inputs, main, preprocess=steps, limit=SAMPLES)
    trace = Trace.of(main)
    wanted = trace.values_of(simulate(trace.program(program), samples.inputs).outputs)
    session = Session.of(program, to_onnx(program, keep=wanted, qdq=True), None)
    assert not isinstance(session, str), session
    found = session.run(samples.inputs)
    pairs = [(wanted[name], found[name]) for name in wanted if name in found]
    moved = [np.abs(a.astype(np.int64) - b) for a, b in pairs if a.dtype.kind in "iu"]
    kept, what = retention(*({n: x[v] for n, v in trace.outputs.items()} for x in (found, wanted)))
    return Approximation(
        samples.count,
        integers=sum(part.size for part in moved),
        differ=sum(int(np.count_nonzero(part)) for part in moved),
        steps=max((int(part.max(initial=0)) for part in moved), default=0),
        kept=kept,
        what=what,
    )


def approximate(program: Program, inputs: SampleSource | None) -> Diagnostic:
    """Return the warning that a QDQ model comes with, measured where there are samples."""
    fault = warning("NT0555", "a QDQ model is approximate: floats stand for the chip's integers")
    exact = "`--to onnx` gives the very integers, wherever converters lose nothing"
    if inputs is None:
        return fault.note(exact).help("measure how far it is off: --inputs data.npz")
    found = approximation(program, inputs)
    share = f"{found.differ:,} of {found.integers:,} integers differ"
    largest = f", by {found.steps} at most" if found.differ else ""
    return (
        fault.note(f"on {found.samples} samples {share}{largest}")
        .note(f"{100 * found.kept:.2f} % of the answers are kept ({found.what})")
        .note(exact)
    )
