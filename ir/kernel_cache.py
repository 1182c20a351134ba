"""Where compiled kernels are kept, and when they are renewed.

Numba itself renews a kernel when its own file changes. But kernels call those of other files, and
hold constants of theirs: here every file in a kernel's folder counts, and in the folders of kernels
that it calls. And what a file of compiled code is called follows from what it holds: Numba numbers
them, so that processes which compile at once can put one's code where the other's is looked for.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from numba.core.caching import (
    IndexDataCacheFile,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)

from neutrams.ir.kernel import Kernel

Function = Callable[..., object]


def folders(function: Function) -> set[Path]:
    """Return the folders of a function and of all kernels that it calls by name, however deep."""
    found: set[Path] = set()
    left, seen = [function], {function}
    while left:
        now = left.pop()
        found.add(Path(inspect.getfile(now)).parent)
        scope: dict[str, object] = getattr(now, "__globals__", {})
        for name in now.__code__.co_names:
            called = scope.get(name)
            if isinstance(called, Kernel) and called.py_func not in seen:
                seen.add(called.py_func)
                left.append(called.py_func)
    return found


@lru_cache
def _digest(folder: Path) -> bytes:
    """Return what changes with any Python file right in a folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.digest()


class _Renewed:
    """What is kept is good while no file in any of the folders has changed."""

    def __init__(self, function: Function, file: str) -> None:
        super().__init__(function, file)  # type: ignore[call-arg]
        self._function = function

    def get_source_stamp(self) -> Any:
        return tuple(_digest(folder) for folder in sorted(folders(self._function)))


class Provided(_Renewed, UserProvidedCacheLocator):
    """In the folder that ``NUMBA_CACHE_DIR`` names."""


class InTree(_Renewed, InTreeCacheLocator):
    """In ``__pycache__`` beside the file."""


class UserWide(_Renewed, UserWideCacheLocator):
    """In the user's folder, where that beside the file cannot be written."""


class Files(IndexDataCacheFile):
    """The files of one kernel: an index, and compiled code by the types of its arguments.

    Of processes that write the index at once one is heard; the other's code is compiled again.
    """

    def __init__(self, folder: str | Path, name: str, stamp: object) -> None:
        """Use a folder, the names of files before their suffix, and what changes with sources."""
        super().__init__(str(folder), name, stamp)  # type: ignore[no-untyped-call]

    @staticmethod
    def of(kept: Any) -> Files:
        """Return what does for those that Numba made."""
        return Files(kept._cache_path, Path(kept._index_name).stem, kept._source_stamp)

    def load(self, key: object) -> Any:
        """Return the code of some types, if it is kept."""
        return super().load(key)  # type: ignore[no-untyped-call]

    def save(self, key: object, data: object) -> None:
        """Keep code before the index tells of it."""
        overloads = self._load_index()  # type: ignore[no-untyped-call]
        if not overloads:
            self._forget()
        stamp = repr((self._source_stamp, key)).encode()
        overloads[key] = self._data_name(hashlib.sha256(stamp).hexdigest()[:24])
        self._save_data(overloads[key], data)  # type: ignore[no-untyped-call]
        self._save_index(overloads)  # type: ignore[no-untyped-call]

    def _data_name(self, number: object) -> str:
        return f"{Path(self._index_name).stem}.{number}.nbc"

    def _forget(self) -> None:
        """Delete code of other sources."""
        for old in Path(self._cache_path).glob(self._data_name("*")):
            old.unlink(missing_ok=True)
