"""What each pass costs: the network's answers on calibration samples before it and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.types import Array
from neutrams.passes.answers import classes, relative_error, retention
from neutrams.passes.base import Pass, PassContext, PassLoss
from neutrams.passes.pipeline import print_pipeline
from neutrams.passes.samples import first
from neutrams.simulator.run import Runner, run_batched

SAMPLES = 256
"""Most calibration samples to judge by."""


def gate_of(made: Pass, ctx: PassContext) -> float:
    """Return the share of the answers before a pass that it must keep; 0 where none is asked."""
    return made.retention or ctx.gate


def start(graph: Graph, ctx: PassContext) -> None:
    """Take down the answers before a pass, unless those of the pass before it are known.

    Raises:
        NeutramsError: NT0222, there is no calibration data.
    """
    if not ctx.calibration:
        raise no_samples()
    if "latest" not in ctx.answers:
        ctx.answers["latest"] = answers(graph, ctx.calibration)
        ctx.answers.setdefault("original", ctx.answers["latest"])


def judge(made: Pass, graph: Graph, ctx: PassContext, *, changed: bool) -> None:
    """Take down what a pass did, which has just been timed.

    Raises:
        NeutramsError: NT0221, it keeps fewer answers than its gate asks for.
    """
    assert ctx.calibration is not None
    original, before = ctx.answers["original"], ctx.answers["latest"]
    after = answers(graph, ctx.calibration) if changed else before
    kept, what = _kept(after, before, original)
    ctx.answers["latest"] = after
    loss = PassLoss(
        made.name,
        change=relative_error(after, before),
        kept=kept,
        agreement=retention(after, original)[0],
        accuracy=_accuracy(after, ctx.labels),
        seconds=ctx.timings[-1].seconds,
    )
    ctx.losses.append(loss)
    if kept < gate_of(made, ctx):
        raise NeutramsError(_too_little(made, loss, what, ctx, len(next(iter(after.values())))))


def judge_road(done: Sequence[PassLoss], gate: float) -> None:
    """Hold what all passes together left of the original network's answers against a gate.

    A pass may turn back what another lost, so only the end of the road counts. What is named is
    the pass from which on too little was left.

    Raises:
        NeutramsError: NT0224, too little is left.
    """
    if not done or done[-1].agreement >= gate:
        return
    enough = [index for index, loss in enumerate(done) if loss.agreement >= gate]
    first_below = done[enough[-1] + 1 if enough else 0]
    fault = error("NT0224", f"the road keeps {_percent(done[-1].agreement)} of the answers")
    fault = fault.at(Place("road gate", _percent(gate)), "must be kept in all")
    fault = fault.note(
        f"the gate was passed at `{first_below.name}`: "
        f"{_percent(first_below.agreement)} are left after it"
    )
    for loss in sorted((d for d in done if d.kept < 1), key=lambda d: d.kept)[:3]:
        fault = fault.note(f"`{loss.name}` by itself keeps {_percent(loss.kept)}")
    raise NeutramsError(
        fault.help("retrain (`--retrain`), loosen a limit or precision, or lower the gate")
    )


def no_samples() -> NeutramsError:
    """Return the error of who asks for losses without calibration data."""
    return NeutramsError(
        error("NT0222", "there is no calibration data to tell what a pass loses by")
        .note("answers before and after it are compared on real inputs")
        .help("give some: `--calibrate data.npz`, or `calibration=` in Python")
    )


def answers(graph: Graph, data: Mapping[str, Array]) -> dict[str, Array]:
    """Return the outputs of a graph on the first samples of calibration data."""
    with np.errstate(all="ignore"):
        return run_batched(graph, first(graph, data, limit=SAMPLES), Runner(graph)).outputs


def _kept(
    after: Mapping[str, Array], before: Mapping[str, Array], original: Mapping[str, Array]
) -> tuple[float, str]:
    """Return the share of the answers that a pass keeps, or turns back to the original's."""
    kept, what = retention(after, before)
    mine, theirs, first_of_all = classes(after), classes(before), classes(original)
    if mine is None or theirs is None or first_of_all is None or len(mine) != len(theirs):
        return max(kept, retention(after, original)[0]), what
    return float(((mine == theirs) | (mine == first_of_all)).mean()), what


def _accuracy(found: Mapping[str, Array], labels: Array | None) -> float | None:
    given = classes(found)
    if given is None or labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        return None
    return float((given == labels[: len(given)]).mean()) if len(labels) >= len(given) else None


def _too_little(
    made: Pass, loss: PassLoss, what: str, ctx: PassContext, samples: int
) -> Diagnostic:
    wanted = gate_of(made, ctx)
    fault = error("NT0221", f"`{made.name}` keeps {_percent(loss.kept)} of the answers")
    fault = fault.at(Place("pipeline", print_pipeline([made])), f"must keep {_percent(wanted)}")
    fault = fault.note(f"{what}, before it and after it, on {samples} calibration samples")
    fault = fault.note(f"the outputs moved by {loss.change:.3g} of their own size (RMS)")
    if loss.accuracy is not None:
        fault = fault.note(f"the accuracy is {_percent(loss.accuracy)} after it")
    return fault.help("retrain (`--retrain`), loosen a limit or precision, or lower the gate")


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
