"""What retraining has changed so far, kept in a folder so that a later run goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neutrams.ir.files import atomic_write, unwritable
from neutrams.ir.graph import Graph, Module
from neutrams.ir.op import Value, Weight
from neutrams.ir.text import print_module
from neutrams.ir.types import Array
from neutrams.training.digital import SCALES, adjustable, scale_of, set_scale
from neutrams.training.units import Grid, Grids, Unit


def key_of(graphs: Iterable[Graph], data: Mapping[str, Array], options: object) -> str:
    """Return the hash of all that a result follows from."""
    state = hashlib.sha256(repr(options).encode())
    for held in graphs:
        state.update(print_module(Module([held]), {}).encode())
    for name, array in sorted(data.items()):
        state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All that retraining may change."""

    graph: Graph
    units: Collection[Unit]
    grids: Grids

    def take(self) -> dict[str, Array]:
        """Return it by name."""
        found: dict[str, Array] = {}
        for number, unit in enumerate(self.units):
            for weight in _weights(unit):
                assert weight.data is not None
                found[f"weight:{number}:{weight.name}"] = weight.data
        for op in adjustable(self.graph.ops, {unit.post for unit in self.units}):
            for name in SCALES[type(op)]:
                found[f"scale:{op.result.name}:{name}"] = scale_of(op, name)
        for value, grid in self.grids.known.items():
            found[f"step:{value.name}"] = np.float64(grid.step).reshape(1)
        return found

    def put(self, state: Mapping[str, Array]) -> None:
        """Write what was taken back into the graph."""
        for number, unit in enumerate(self.units):
            for weight in _weights(unit):
                weight.data = state[f"weight:{number}:{weight.name}"]
        for op in adjustable(self.graph.ops, {unit.post for unit in self.units}):
            for name in SCALES[type(op)]:
                set_scale(op, name, state[f"scale:{op.result.name}:{name}"])
        for value, grid in list(self.grids.known.items()):
            self.grids.known[value] = Grid(float(state[f"step:{value.name}"][0]), grid.zero)


class Checkpoints:
    """The states after each round of one retraining; without a folder, none are kept.

    Raises:
        NeutramsError: NT0020, the folder cannot be written.
    """

    def __init__(self, folder: str, key: str, rounds: int, state: State) -> None:
        self._folder = Path(folder) if folder else None
        self._key, self._state = key, state
        self.done = 0
        """Rounds that an earlier run has done; the state is that after them."""
        if self._folder is not None:
            self._restore(self._folder, rounds)

    def save(self, done: int) -> None:
        """Keep the state after so many rounds."""
        if self._folder is None:
            return
        from safetensors.numpy import save as pack

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise unwritable(self._folder, fault) from None
        state = self._state.take()
        with atomic_write(self._path(self._folder, done)) as file:
            file.write(pack({name: np.array(state[name], order="C") for name in sorted(state)}))

    def _restore(self, folder: Path, rounds: int) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        for done in range(rounds, 0, -1):
            path = self._path(folder, done)
            if not path.is_file():
                continue
            try:
                found = load_file(path)
            except (OSError, SafetensorError):
                continue
            self._state.put(found)
            self.done = done
            return

    def _path(self, folder: Path, done: int) -> Path:
        return folder / f"{self._key[:16]}-{done:04}.safetensors"


def _weights(unit: Unit) -> list[Weight]:
    values: tuple[Value | None, ...] = (unit.mvm.w, unit.reduce.bias, unit.post.scale)
    return [value for value in values if isinstance(value, Weight)]
