"""Models and chips, however they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neutrams.driver.preprocess import Preprocess
from neutrams.driver.samples import SampleSource, load_arrays
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.files import atomic_write
from neutrams.ir.graph import Graph, Module
from neutrams.ir.target import Target
from neutrams.ir.text import parse, print_module
from neutrams.ir.types import Array

Overrides = Mapping[str, Any] | Sequence[str]
"""``{"core.rows": 64}`` or ``["core.rows=64"]``."""


Limits = Mapping[str, Any] | Sequence[str]
"""``{"fan-in": 64}`` or ``["fan-in=64"]``."""


def load_target(
    target: str | Path | Target,
    overrides: Overrides | None = None,
    *,
    limits: Limits | None = None,
) -> Target:
    """Return a chip by name or path, with some values changed, then some limits tightened.

    Raises:
        NeutramsError: NT03xx.
    """
    from neutrams import targets

    if isinstance(target, Target):
        assert not overrides, "a target in memory is changed with dataclasses.replace"
        return targets.tightened(target, _numbers(limits)) if limits else target
    return targets.load(str(target), _texts(overrides or {}), limits=_numbers(limits or {}))


def _numbers(limits: Limits) -> Mapping[str, object]:
    from neutrams import targets

    return limits if isinstance(limits, Mapping) else targets.parse_limits(limits)


def _texts(overrides: Overrides) -> dict[str, str]:
    from neutrams import targets

    if not isinstance(overrides, Mapping):
        return targets.parse_overrides(overrides)
    return {key: _toml(value) for key, value in overrides.items()}


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_graph(
    model: object,
    *,
    calibration: SampleSource | None = None,
    preprocess: Preprocess | None = None,
    dims: Mapping[str, int] | None = None,
    fixed: Mapping[str, Array] | None = None,
    notes: list[Diagnostic] | None = None,
) -> Graph:
    """Return the ``nn`` graph of a model; a graph is copied.

    A torch module is traced with the first calibration sample; ``notes`` is given what the reader
    decided, such as what became of the batch.

    Raises:
        NeutramsError: NT06xx.
    """
    from neutrams.frontends import load_model

    if isinstance(model, Graph):
        return clone(model, name=model.name)
    if isinstance(model, (str, Path)) and Path(model).suffix == ".nt":
        return load_module(Path(model)).main
    examples = None
    if not isinstance(model, (str, Path)) and calibration is not None:
        examples = _examples(calibration, preprocess or Preprocess())
    return load_model(model, examples=examples, dims=dims, fixed=fixed, remarks=notes)


def _examples(calibration: SampleSource, steps: Preprocess) -> tuple[Array, ...]:
    arrays = load_arrays(calibration)
    return tuple(steps.apply(array[:1]) for name, array in arrays.items() if name != "y")


def source_name(model: object) -> str:
    """Return what to call a model: its file name, its class, or its graph's name."""
    if isinstance(model, (str, Path)):
        return Path(model).name
    return model.name if isinstance(model, Graph) else type(model).__name__


def clone(graph: Graph, *, name: str) -> Graph:
    """Return a copy under another name, with copies of the cells it runs, named after it.

    Arrays of weights are shared.
    """
    store: dict[str, Array] = {}
    copy = parse(print_module(Module([graph]), store), weights=store).main
    for cell in copy.cells():
        cell.name = f"{name}/{cell.name.removeprefix(f'{graph.name}/')}"
    copy.name = name
    return copy


def load_module(path: Path) -> Module:
    """Return the graphs in a text file, with the weights beside it, or the graph of a model.

    Raises:
        NeutramsError: NT00xx, NT06xx.
    """
    if path.suffix != ".nt" or not path.is_file():
        from neutrams.frontends import load_model

        return Module([load_model(path)])
    beside = path.with_suffix(".safetensors")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise _unreadable(path, fault) from None
    return parse(text, file=str(path), weights=_weights(beside) if beside.is_file() else {})


def save_module(module: Module, path: Path) -> None:
    """Write graphs as text, and what is too large for text to a ``.safetensors`` beside it."""
    from safetensors.numpy import save

    store: dict[str, Array] = {}
    text = print_module(module, store)
    if store:
        with atomic_write(path.with_suffix(".safetensors")) as file:
            file.write(save({key: np.ascontiguousarray(store[key]) for key in sorted(store)}))
    with atomic_write(path) as file:
        file.write(text.encode())


def _weights(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: dict[str, Array] = load_file(path)
    except (OSError, SafetensorError) as fault:
        raise _unreadable(path, fault) from None
    return found


def _unreadable(path: Path, fault: Exception) -> NeutramsError:
    why = getattr(fault, "strerror", None) or str(fault)
    return NeutramsError(error("NT0601", f"cannot read the model: {why}").at(Place(str(path))))
