"""The parity chain: each executor of a program against the one before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neutrams.driver.image import Image, no_image
from neutrams.driver.parity.executors import image_links, interpreted, onnx_link, torch_link
from neutrams.driver.parity.links import BROKEN, NOT_RUN, PASSED, Link, compare
from neutrams.driver.parity.traces import Trace
from neutrams.driver.parity.weights import check_weights
from neutrams.driver.preprocess import Preprocess
from neutrams.driver.progress import Progress, silent
from neutrams.driver.runs import run_float
from neutrams.driver.samples import Samples, SampleSource, load_samples
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.passes.answers import retention
from neutrams.simulator import simulate

SAMPLES = 32
"""Samples that go through the chain; the reference interpreter is slow."""
RETENTION = 0.9
"""Least share of the float network's answers that the unit graph must keep."""

FLOAT = "float network → unit graph"
SIMULATOR = "unit graph → simulator"


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
    image: str | Path | None = None,
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
        image: The same for an image: the path without its endings.
        progress: Told how far the work is.

    Raises:
        NeutramsError: the samples do not fit (NT0520 to NT0529), an op has no spelling in ONNX
            (NT0550), the exported model is of another program (NT0552), or the image is not whole
            (NT0554).
    """
    tell = progress or silent
    main = program.module["main"]
    steps = Preprocess.from_manifest(program.manifest.get("preprocess", {}))
    samples = load_samples(inputs, main, preprocess=steps, limit=limit)
    given = samples.inputs
    whole, merged = Trace.of(main, inside=True), Trace.of(main)
    tell("interpreting", 0, 0)
    reference = interpreted(whole, given)
    tell("simulating", 0, 0)
    simulated = merged.values_of(simulate(merged.program(program), given).outputs)
    links = [
        check_weights(program),
        _float_link(program, whole, reference, samples, retention, tell),
    ]
    tell("running in torch", 0, 0)
    links.append(torch_link(whole, reference, given))
    tell("running from the image", 0, 0)
    links += _image_links(program, image, reference, given)
    links.append(
        compare(SIMULATOR, reference, simulated, exact=set(reference), whole=merged.shown.keys())
    )
    tell("running in onnxruntime", 0, 0)
    links.append(onnx_link(program, simulated, given, onnx))
    return Verification(tuple(links), samples.count)


_ANYTHING = (LookupError, TypeError, ValueError, AttributeError, OverflowError, MemoryError)
"""What JSON with anything in it may lead to."""


def _image_links(
    program: Program, path: str | Path | None, reference: dict[str, Array], given: dict[str, Array]
) -> list[Link]:
    if path is None:
        return image_links(program, Image.of(program), reference, given)
    try:
        return image_links(program, Image.read(path), reference, given)
    except _ANYTHING as fault:
        raise no_image(Path(path), f"its parts do not fit: {fault!r}") from None


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
    kept, what = retention(found, expected)
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
