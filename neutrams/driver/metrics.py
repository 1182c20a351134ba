"""How good outputs are: one number from outputs, inputs and labels."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.types import Array

Outputs = Mapping[str, Array]
Measure = Callable[[Outputs, Outputs, Array], float]
"""Outputs by name, inputs by name, labels: a number."""


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    measure: Measure
    percent: bool
    """The number is a share and reads well as a percentage."""


def metric_named(text: str) -> Metric:
    """Return the metric a text names: ``accuracy``, ``topk:5``, ``mse``, ``mae``,
    ``correlation``, ``auc``, ``ap``, or ``file.py:function``.

    A function is called with the outputs (a dict, or the array where there is one) and the labels.

    Raises:
        NeutramsError: NT0528, there is no such metric, or the user's file does not hold it.
    """
    name, _, argument = text.partition(":")
    if name.endswith(".py"):
        return Metric(argument, _load(Path(name), argument), percent=False)
    if name == "topk" and argument.isdecimal() and int(argument) > 0:
        return Metric(text, _top(int(argument)), percent=True)
    if name in _BY_NAME and not argument:
        return _BY_NAME[name]
    known = ", ".join([*_BY_NAME, "topk:K", "file.py:function"])
    raise NeutramsError(error("NT0528", f"there is no metric `{text}`").note(f"known: {known}"))


def is_built_in(metric: Metric) -> bool:
    """Return whether a metric is one of ours, which may be asked as often as one likes."""
    return metric is _BY_NAME.get(metric.name) or metric.name.startswith("topk:")


def default_metric(labels: Array) -> Metric:
    """Class numbers are judged by accuracy, anything else by mean squared error."""
    classes = labels.ndim == 1 and labels.dtype.kind in "iub"
    return _BY_NAME["accuracy" if classes else "mse"]


def _top(count: int) -> Measure:
    def measure(outputs: Outputs, inputs: Outputs, labels: Array) -> float:
        scores = _only(outputs).reshape(len(labels), -1)
        classes = scores.shape[1]
        if classes < 2 or labels.ndim != 1 or labels.dtype.kind not in "iub":
            wanted = "scores of at least two classes, and a class number for each sample"
            raise _misfit(f"it needs {wanted}; {_shapes(outputs, labels)}")
        least, most = int(labels.min()), int(labels.max())
        if not 0 <= least <= most < classes:
            raise _misfit(f"labels lie in {least}..{most}, and classes in 0..{classes - 1}")
        if count > classes:
            raise _misfit(f"there are {classes} classes, and no {count} best ones")
        best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return float((best == labels[:, None]).any(axis=1).mean())

    return measure


def _mse(outputs: Outputs, inputs: Outputs, labels: Array) -> float:
    return float(np.mean(_difference(outputs, labels) ** 2))


def _mae(outputs: Outputs, inputs: Outputs, labels: Array) -> float:
    return float(np.mean(np.abs(_difference(outputs, labels))))


def _correlation(outputs: Outputs, inputs: Outputs, labels: Array) -> float:
    """Pearson's r over all elements."""
    _difference(outputs, labels)
    a, b = _only(outputs).ravel().astype(np.float64), _numbers(labels)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / norm) if norm else 0.0


def _auc(outputs: Outputs, inputs: Outputs, labels: Array) -> float:
    """Area under the ROC curve, by the rank sum; ties count half (Hanley and McNeil 1982)."""
    scores, positive = _scores(outputs, inputs, labels)
    _, rank, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    hits, misses = int(positive.sum()), int((~positive).sum())
    wins = float(middle[rank][positive].sum()) - hits * (hits + 1) / 2
    return wins / (hits * misses)


def _average_precision(outputs: Outputs, inputs: Outputs, labels: Array) -> float:
    """Mean of the precision at each hit, in falling order of score."""
    scores, positive = _scores(outputs, inputs, labels)
    hits = positive[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def _scores(outputs: Outputs, inputs: Outputs, labels: Array) -> tuple[Array, Array]:
    """Return one score and one truth for each label.

    A network that gives its own input back is an auto-encoder: its score is the squared error.
    """
    found = _only(outputs).astype(np.float64)
    given = next(iter(inputs.values()))
    if labels.size == len(found) and found.shape == given.shape:
        found = ((found - given) ** 2).reshape(len(found), -1).mean(axis=1)
    elif found.size == 2 * labels.size:
        found = found.reshape(-1, 2)[:, 1]
    if found.size != labels.size:
        raise _misfit(f"{found.size} scores for {labels.size} labels")
    positive = _numbers(labels) > 0
    if positive.all() or not positive.any():
        raise _misfit("labels must hold both 0 and 1")
    return found.ravel(), positive


def _difference(outputs: Outputs, labels: Array) -> Array:
    found = _only(outputs)
    if found.size != labels.size:
        raise _misfit(f"an error needs a number for each output; {_shapes(outputs, labels)}")
    return found.ravel().astype(np.float64) - _numbers(labels)


def _numbers(labels: Array) -> Array:
    """Return labels in a row, as floats."""
    if labels.dtype.kind not in "biuf" or not np.isfinite(labels).all():
        raise _misfit(f"labels must be finite numbers; they are of type {labels.dtype}")
    return labels.ravel().astype(np.float64)


def _shapes(outputs: Outputs, labels: Array) -> str:
    shape = list(_only(outputs).shape)
    return f"outputs have shape {shape}, labels {list(labels.shape)} and type {labels.dtype}"


def _only(outputs: Outputs) -> Array:
    return next(iter(outputs.values()))


def _misfit(reason: str) -> NeutramsError:
    return NeutramsError(
        error("NT0525", "the labels do not fit the metric")
        .note(reason)
        .help("choose another with --metric, or your own: --metric file.py:function")
    )


def _load(path: Path, function: str) -> Measure:
    place = Place(str(path), function)
    if not path.is_file():
        raise NeutramsError(error("NT0528", "there is no such metric file").at(place))
    spec = importlib.util.spec_from_file_location("neutrams_user_metric", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _UserCode(place):
        spec.loader.exec_module(module)
    found = getattr(module, function, None)
    if not callable(found):
        fault = error("NT0528", f"the metric file holds no function `{function}`")
        raise NeutramsError(fault.at(place))

    def measure(outputs: Outputs, inputs: Outputs, labels: Array) -> float:
        with _UserCode(place):
            return float(found(_only(outputs) if len(outputs) == 1 else dict(outputs), labels))

    return measure


@dataclass(frozen=True, slots=True)
class _UserCode:
    """Blames what fails inside on the user's file."""

    place: Place

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(fault, Exception):
            failed = error("NT0528", "the metric failed").at(self.place)
            raise NeutramsError(failed.note(f"{type(fault).__name__}: {fault}")) from fault


_BY_NAME = {
    "accuracy": Metric("accuracy", _top(1), percent=True),
    "mse": Metric("mse", _mse, percent=False),
    "mae": Metric("mae", _mae, percent=False),
    "correlation": Metric("correlation", _correlation, percent=False),
    "auc": Metric("auc", _auc, percent=True),
    "ap": Metric("ap", _average_precision, percent=True),
}
