"""Where compiled kernels are kept, and when they are renewed.

Numba itself renews a kernel when its own file changes. But kernels call those of other files, and
hold constants of theirs: here every file in a kernel's folder counts, and in the folders of kernels
that it calls.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator

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
