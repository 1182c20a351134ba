"""``--bits auto``: from a model and calibration data to a plan of bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neutrams.driver.bits.budget import Budget
from neutrams.driver.bits.choice import Choice, Chooser
from neutrams.driver.bits.trials import Trials
from neutrams.driver.progress import Progress
from neutrams.driver.runs import run_float
from neutrams.driver.samples import Samples
from neutrams.driver.sources import clone
from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.target import Target
from neutrams.passes import Pass, PassContext, PassManager

FEWEST = 32
"""Samples from which on half of them are held out."""


def choose_bits(
    graph: Graph,
    passes: Sequence[Pass],
    *,
    target: Target,
    samples: Samples,
    budget: Budget,
    mapping: Mapping[str, Any],
    progress: Progress,
) -> Choice:
    """Choose bits for the layers of a float graph, which stays as it is.

    Half of the samples show ranges and sensitivity; on the other half a plan is judged.

    Raises:
        NeutramsError: NT0561, no plan is within the budget; NT0562, there is nothing to choose.
    """
    names = [made.name for made in passes]
    if "calibrate" not in names or any(op.name == "nn.quantize" for op in graph.ops):
        raise NeutramsError(
            error("NT0562", "there are no bits to choose")
            .note("the network is quantised already, or the pipeline does not calibrate it")
            .help("compile it without `--bits auto`")
        )
    border = names.index("calibrate") + 1
    seen, held = halves(samples)
    calibrated = clone(graph, name="calibrated")
    PassManager(passes[:border]).run(
        calibrated, PassContext(target=target, calibration=seen.inputs, seed=mapping["seed"])
    )
    trials = Trials(
        calibrated,
        passes[border:],
        target=target,
        calibration=seen.inputs,
        mapping=mapping,
    )
    if not trials.layers:
        raise NeutramsError(
            error("NT0562", "there are no bits to choose: no layer is on crossbars")
        )
    teacher = run_float(calibrated, held, progress)
    return Chooser(
        trials, target, budget, seen=seen.inputs, held=held, teacher=teacher, progress=progress
    ).choose()


def halves(samples: Samples) -> tuple[Samples, Samples]:
    """Return the first and the second half of samples; both are all of them where they are few."""
    count = samples.count
    if count < FEWEST:
        return samples, samples
    middle = count // 2
    return _part(samples, slice(0, middle)), _part(samples, slice(middle, 2 * middle))


def _part(samples: Samples, part: slice) -> Samples:
    inputs = {
        name: array[part] if array.ndim and len(array) == samples.count else array
        for name, array in samples.inputs.items()
    }
    labels = None if samples.labels is None else samples.labels[part]
    return Samples(inputs, labels, samples.source)
