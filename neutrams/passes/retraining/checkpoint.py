"""What retraining has changed so far, kept in a folder so that a later run goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from neutrams.ir.files import atomic_write, unwritable
from neutrams.ir.graph import Graph, Module
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.unit import Add, AveragePool
from neutrams.ir.text import print_module
from neutrams.ir.types import Array
from neutrams.training.units import Grid, Grids, Unit

SCALES = {Add: ("a_scale", "b_scale"), AveragePool: ("scale",)}


def key_of(graph: Graph, teacher: Graph, data: Mapping[str, Array], options: object) -> str:
    """Return the hash of all that a result follows from."""
    state = hashlib.sha256(repr(options).encode())
    for held in (graph, teacher):
        state.update(print_module(Module([held]), {}).encode())
    for name, array in sorted(data.items()):
        state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


def save(folder: Path, key: str, done: int, state: Mapping[str, Array]) -> None:
    """Keep the state after ``done`` segments.

    Raises:
        NeutramsError: NT0020, the folder cannot be written.
    """
    from safetensors.numpy import save as pack

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise unwritable(folder, fault) from None
    with atomic_write(_path(folder, key, done)) as file:
        file.write(pack({name: np.ascontiguousarray(state[name]) for name in sorted(state)}))


def latest(folder: Path, key: str, segments: int) -> tuple[int, dict[str, Array]]:
    """Return how many segments are done and the state after them; 0 where none is kept."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    for done in range(segments, 0, -1):
        path = _path(folder, key, done)
        if path.is_file():
            try:
                return done, load_file(path)
            except (OSError, SafetensorError):
                continue
    return 0, {}


def state_of(graph: Graph, units: Iterable[Unit], grids: Grids) -> dict[str, Array]:
    """Return all that retraining may change, by name."""
    found: dict[str, Array] = {}
    for number, unit in enumerate(units):
        for weight in _weights(unit):
            assert weight.data is not None
            found[f"weight:{number}:{weight.name}"] = weight.data
    for op in graph.ops:
        for name in SCALES.get(type(op), ()):
            found[f"scale:{op.result.name}:{name}"] = np.float64(getattr(op, name)).reshape(1)
    for value, grid in grids.known.items():
        found[f"step:{value.name}"] = np.float64(grid.step).reshape(1)
    return found


def restore(graph: Graph, units: Iterable[Unit], grids: Grids, state: Mapping[str, Array]) -> None:
    """Write a state back into the graph it was taken from."""
    for number, unit in enumerate(units):
        for weight in _weights(unit):
            weight.data = state[f"weight:{number}:{weight.name}"]
    for op in graph.ops:
        for name in SCALES.get(type(op), ()):
            setattr(op, name, float(state[f"scale:{op.result.name}:{name}"][0]))
    for value, grid in list(grids.known.items()):
        grids.known[value] = Grid(float(state[f"step:{value.name}"][0]), grid.zero)


def _weights(unit: Unit) -> list[Weight]:
    values: tuple[Value | None, ...] = (unit.mvm.w, unit.reduce.bias, unit.post.scale)
    return [value for value in values if isinstance(value, Weight)]


def _path(folder: Path, key: str, done: int) -> Path:
    return folder / f"{key[:16]}-{done:04}.safetensors"
