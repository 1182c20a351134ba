"""Results of earlier compiles, by the hash of all they depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph, Module
from neutrams.ir.program import Program
from neutrams.ir.text import print_module
from neutrams.ir.types import Array, raw_bytes

LIMIT_BYTES = 1 << 30
"""What a cache may hold; the entries longest unused go first."""


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of program files named by their keys. A folder that cannot be used is no fault."""

    folder: Path

    @staticmethod
    def default() -> Cache:
        """Return the user's own: ``$NEUTRAMS_CACHE``, or ``neutrams`` in the cache folder."""
        if chosen := os.environ.get("NEUTRAMS_CACHE"):
            return Cache(Path(chosen))
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Cache(Path(home) / "neutrams")

    def get(self, key: str) -> Program | None:
        """Return what was stored under a key; a damaged entry counts as absent."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            found = Program.load(path)
        except NeutramsError:
            return None
        with suppress(OSError):
            os.utime(path)
        return found

    def put(self, key: str, program: Program) -> None:
        with suppress(OSError, NeutramsError):
            self.folder.mkdir(parents=True, exist_ok=True)
            program.save(self._path(key))
            self._trim()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.ntp"

    def _trim(self) -> None:
        entries = sorted(
            ((path.stat().st_mtime, path) for path in self.folder.glob("*.ntp")), reverse=True
        )
        total = 0
        for _, path in entries:
            total += path.stat().st_size
            if total > LIMIT_BYTES:
                path.unlink()


def key_of(*parts: object) -> str:
    """Return a key of JSON values and of the code that runs."""
    text = json.dumps([code_digest(), *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def graph_digest(graph: Graph) -> str:
    """Return the hash of a graph's text, which holds the hashes of its weights."""
    return hashlib.sha256(print_module(Module([graph]), {}).encode()).hexdigest()


def arrays_digest(arrays: Iterable[tuple[str, Array]]) -> str:
    """Return the hash of named arrays: names, types, shapes and bytes."""
    state = hashlib.sha256()
    for name, array in arrays:
        state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(raw_bytes(array))
    return state.hexdigest()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the hash of every source file of the package, so that a changed one reuses nothing."""
    root = Path(__file__).parents[1]
    linked = [root, *(entry for entry in root.iterdir() if entry.is_symlink())]
    files = {path for top in linked for kind in ("py", "lark") for path in top.rglob(f"*.{kind}")}
    state = hashlib.sha256()
    for path in sorted(files):
        state.update(f"{path.name}\n".encode())
        state.update(path.read_bytes())
    return state.hexdigest()
