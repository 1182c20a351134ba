"""``-`` stands for stdin or stdout."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def readable(path: str, *, suffix: str) -> Iterator[Path]:
    """Yield a path to read: stdin is first copied to a temporary file."""
    if path != "-":
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="neutrams-") as folder:
        copy = Path(folder) / f"stdin{suffix}"
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield copy


@contextmanager
def writable(path: str, *, suffix: str) -> Iterator[Path]:
    """Yield a path to write: for stdout a temporary file, copied when it is whole."""
    if path != "-":
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="neutrams-") as folder:
        copy = Path(folder) / f"stdout{suffix}"
        yield copy
        with copy.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
