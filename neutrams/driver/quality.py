"""How good the outputs of a run are: by a metric, and beside those of the float network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neutrams.driver.metrics import Metric, default_metric, is_built_in, metric_named
from neutrams.driver.samples import Samples
from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.types import Array
from neutrams.passes.answers import classes


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the outputs are, beside those of the float network."""

    metric: str
    percent: bool
    value: float
    float_value: float | None
    """The same metric of the float network on the same samples; ``None`` where it was not run."""


def judge_of(metric: str | None, samples: Samples) -> Metric | None:
    """Find the metric before the run, so that a wrong one costs no time."""
    if samples.labels is None:
        if metric is None:
            return None
        raise NeutramsError(
            error("NT0525", f"`{metric}` needs labels, and the samples hold none")
            .note(f"they came from {samples.source}")
            .help("put them beside the inputs: np.savez(path, x=inputs, y=labels)")
        )
    return metric_named(metric) if metric else default_metric(samples.labels)


def rehearse(judge: Metric | None, graph: Graph, samples: Samples) -> None:
    """Try a metric of ours on outputs of noughts, so that labels that do not fit cost no run.

    Raises:
        NeutramsError: NT0525.
    """
    first = graph.inputs[0].type.shape[:1]
    if judge is None or samples.labels is None or not is_built_in(judge):
        return
    outputs = {}
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        batch, rest = value.type.shape[:1], value.type.shape[1:]
        if batch != first or not all(isinstance(size, int) for size in rest):
            return
        shape = (samples.count, *(int(str(size)) for size in rest))
        outputs[name] = np.broadcast_to(np.float32(0), shape)
    judge.measure(outputs, samples.inputs, samples.labels)


def quality_of(
    judge: Metric,
    outputs: Mapping[str, Array],
    expected: Mapping[str, Array] | None,
    samples: Samples,
) -> Quality:
    assert samples.labels is not None
    value = judge.measure(outputs, samples.inputs, samples.labels)
    reference = None
    if expected is not None:
        reference = judge.measure(expected, samples.inputs, samples.labels)
    return Quality(judge.name, judge.percent, value, reference)


def agreement_of(
    outputs: Mapping[str, Array], expected: Mapping[str, Array] | None, samples: Samples
) -> float | None:
    """Compare classes; a network that gives its own input back has none."""
    given = {array.shape for array in samples.inputs.values()}
    if expected is None or next(iter(outputs.values())).shape in given:
        return None
    mine, theirs = classes(outputs), classes(expected)
    return None if mine is None or theirs is None else float((mine == theirs).mean())


def relative_error_of(
    outputs: Mapping[str, Array], expected: Mapping[str, Array] | None
) -> float | None:
    if expected is None:
        return None
    pairs = [(outputs[name].astype(np.float64), wanted) for name, wanted in expected.items()]
    moved = sum(float(((found - wanted) ** 2).sum()) for found, wanted in pairs)
    size = sum(float((wanted.astype(np.float64) ** 2).sum()) for _, wanted in pairs)
    return float(np.sqrt(moved / size)) if size else None
