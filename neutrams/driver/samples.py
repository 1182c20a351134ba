"""Samples: arrays named as the inputs of a graph, and labels, from a file or from memory."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neutrams.driver.preprocess import Preprocess
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.types import Array

SampleSource = str | Path | Array | Mapping[str, Array]
"""An ``.npz`` file, one array for a graph of one input, or one array for each input's name."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Checked samples: every array is finite, fits the graph, and has ``count`` of them."""

    inputs: dict[str, Array]
    labels: Array | None
    source: str
    """Where they came from, for diagnostics and the manifest."""

    @property
    def count(self) -> int:
        return len(next(iter(self.inputs.values())))


def load_samples(
    source: SampleSource,
    graph: Graph,
    *,
    preprocess: Preprocess | None = None,
    labels: Array | None = None,
    limit: int | None = None,
) -> Samples:
    """Read samples, preprocess them and check them against the inputs of ``graph``.

    An ``.npz`` holds ``x`` (or one array for each input, by name) and, where known, ``y``.

    Raises:
        NeutramsError: NT0520 to NT0525 and NT0529; every independent fault at once.
    """
    place = str(source) if isinstance(source, (str, Path)) else "samples"
    arrays = load_arrays(source)
    found = np.asarray(labels) if labels is not None else arrays.pop("y", None)
    arrays = _by_input(arrays, graph, place, ["y"] * (found is not None))
    if limit is not None:
        arrays = {name: array[:limit] for name, array in arrays.items() if array.ndim}
        found = None if found is None else found[:limit]
    steps = preprocess or Preprocess()
    shaped = {name: steps.apply(array) if array.ndim else array for name, array in arrays.items()}
    faults = [
        fault.at(Place(place, f"array {name}"))
        for value in graph.inputs
        for name, fault in _faults(value, shaped[value.name], len(graph.inputs))
    ]
    counts = _counts(graph, shaped)
    if not faults and len(set(counts.values())) > 1:
        text = ", ".join(f"{name}: {count}" for name, count in counts.items())
        faults.append(error("NT0522", f"inputs hold different numbers of samples ({text})"))
    if not faults and found is not None and len(found) != next(iter(counts.values())):
        message = f"{len(found)} labels for {next(iter(counts.values()))} samples"
        faults.append(error("NT0525", message).at(Place(place, "array y")))
    if faults:
        raise NeutramsError(*faults)
    typed = {v.name: shaped[v.name].astype(v.type.dtype.numpy, copy=False) for v in graph.inputs}
    return Samples(typed, found, place)


def load_arrays(source: SampleSource) -> dict[str, Array]:
    """Return the arrays of a source by name, labels among them, as they are.

    Raises:
        NeutramsError: NT0520.
    """
    if isinstance(source, (str, Path)):
        return read_npz(Path(source))
    if isinstance(source, Mapping):
        return {name: np.asarray(array) for name, array in source.items()}
    return {"x": np.asarray(source)}


_UNREADABLE = (
    OSError, ValueError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error
)  # fmt: skip
"""What reading an archive may raise: RuntimeError where a bit says that a member is encrypted."""


def read_npz(path: Path) -> dict[str, Array]:
    """Return every array of an ``.npz``; nothing in it is ever unpickled.

    Raises:
        NeutramsError: NT0520.
    """
    place = Place(str(path))
    try:
        stored = np.load(path, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise NeutramsError(
                error("NT0520", "the sample file is a single array, not an `.npz`")
                .at(place)
                .help("save it with: np.savez(path, x=array)")
            )
        with stored:
            return {name: _array(stored[name], name) for name in stored.files}
    except FileNotFoundError as fault:
        raise NeutramsError(error("NT0520", "there is no such sample file").at(place)) from fault
    except _UNREADABLE as fault:
        raise NeutramsError(
            error("NT0520", "the sample file cannot be read as an `.npz`")
            .at(place)
            .note(_reason(fault))
            .help("save it with: np.savez(path, x=inputs, y=labels)")
        ) from fault


def _array(found: Array | bytes, name: str) -> Array:
    """Return a member of an archive; NumPy gives bytes where it is no array."""
    if isinstance(found, bytes):
        raise ValueError(f"its member `{name}` is no array of NumPy's")
    return found


def _reason(fault: BaseException) -> str:
    if "Object arrays" in str(fault):
        return "it holds Python objects, which are never loaded, since that would run their code"
    if "pickle" in str(fault):  # what NumPy takes every file for that it does not know
        return "it is no file of NumPy's"
    if isinstance(fault, MemoryError):
        return "an array in it would take more memory than there is"
    return str(fault).strip().splitlines()[0] if str(fault).strip() else "it is empty or cut short"


def _by_input(
    arrays: dict[str, Array], graph: Graph, place: str, others: Sequence[str]
) -> dict[str, Array]:
    """Key arrays by graph input; ``x`` stands for the only input."""
    names = [value.name for value in graph.inputs]
    if len(names) == 1 and names[0] not in arrays and "x" in arrays:
        arrays = {names[0]: arrays["x"]}
    missing = [name for name in names if name not in arrays]
    if not missing:
        return {name: arrays[name] for name in names}
    wanted = "array `x`" if len(names) == 1 else "arrays " + ", ".join(f"`{n}`" for n in missing)
    held = ", ".join(f"`{name}`" for name in (*arrays, *others)) or "nothing"
    raise NeutramsError(
        error("NT0521", f"the samples hold no {wanted}")
        .at(Place(place))
        .note(f"they hold {held}")
        .help("`x` is the input of a network with one; with several, use their names")
    )


def _counts(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, int]:
    """Count samples; an array of an input's own fixed shape serves all samples of the others."""
    shared = {v.name for v in graph.inputs if arrays[v.name].shape == v.type.shape}
    names = [v.name for v in graph.inputs if arrays[v.name].ndim]
    counted = [name for name in names if name not in shared] or names[:1]
    return {name: len(arrays[name]) for name in counted}


def _faults(value: Value, array: Array, inputs: int) -> list[tuple[str, Diagnostic]]:
    name = "x" if inputs == 1 else value.name
    if array.ndim == 0 or array.shape[0] == 0:
        return [(name, error("NT0524", "there is no sample").note(f"its shape is {_show(array)}"))]
    faults = []
    if not _shape_fits(value, array):
        wanted = ", ".join(map(str, value.type.shape))
        faults.append(
            error("NT0522", f"samples of shape {_show(array)} do not fit input `{value.name}`")
            .note(f"the network reads [{wanted}], the first axis being the samples")
            .help(_shape_help(value, array))
        )
    if not _dtype_fits(value, array):
        message = f"samples of type {array.dtype} do not fit input `{value.name}`"
        fault = error("NT0523", message).note(f"the network reads {value.type.dtype.value}")
        faults.append(fault.help("convert them before saving: x.astype(...)"))
    elif array.dtype.kind == "f" and not (held := _held(value, array)).all():
        bad = int(np.argwhere(~held)[0][0])
        wanted = value.type.dtype.value
        fault = error("NT0529", f"the samples hold NaN, or numbers too large for {wanted}")
        faults.append(fault.note(f"the first such sample is number {bad}, counted from 0"))
    return [(name, fault) for fault in faults]


def _shape_fits(value: Value, array: Array) -> bool:
    rest = value.type.shape[1:]
    return array.ndim == value.type.rank and all(
        not isinstance(dim, int) or dim == size
        for dim, size in zip(rest, array.shape[1:], strict=True)
    )


def _dtype_fits(value: Value, array: Array) -> bool:
    wanted = value.type.dtype.numpy
    if wanted.kind == "f":
        return array.dtype.kind in "fiub"
    return bool(np.can_cast(array.dtype, wanted, casting="safe"))


def _held(value: Value, array: Array) -> Array:
    """Say which numbers are finite, and stay so in the type that the network reads."""
    with np.errstate(over="ignore", invalid="ignore"):
        held: Array = np.isfinite(array.astype(value.type.dtype.numpy, copy=False))
        return held


def _shape_help(value: Value, array: Array) -> str:
    shape = value.type.shape
    if array.ndim == 4 and value.type.rank == 4 and array.shape[3] == shape[1]:
        return "channels seem to come last: --preprocess layout=nhwc"
    if array.ndim == value.type.rank - 1:
        return "an axis is missing: x[:, None] adds one after the samples"
    return "give one sample an entry along the first axis"


def _show(array: Array) -> str:
    return "[" + ", ".join(map(str, array.shape)) + "]"
