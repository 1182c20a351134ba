"""Writing files so that a reader sees the whole file or none of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from neutrams.ir.diagnostics import NeutramsError, Place, error


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Yield a binary file that takes its place under ``path`` only if the block ends well.

    A link stays, and what it leads to is written; so is a device or a pipe, which cannot be whole
    or not at all.

    Raises:
        NeutramsError: NT0020, the folder is missing or cannot be written.
    """
    final = Path(path)
    if is_stream(final):
        with _stream(final) as stream:
            yield stream
        return
    if final.is_symlink():
        final = Path(os.path.realpath(final))
    try:
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name}.", suffix=".part")
    except OSError as fault:
        raise unwritable(final, fault) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, final)
    except OSError as fault:
        _discard(name)
        raise unwritable(final, fault) from None
    except BaseException:
        _discard(name)
        raise


def is_stream(path: Path) -> bool:
    """Return whether there is something at a path that is neither a file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def _stream(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("wb") as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as fault:
        raise unwritable(path, fault) from None


def unwritable(path: Path, fault: OSError) -> NeutramsError:
    diagnostic = error("NT0020", f"cannot write `{path}`").at(Place(str(path)))
    return NeutramsError(diagnostic.note(fault.strerror or str(fault)))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _discard(name: str) -> None:
    Path(name).unlink(missing_ok=True)
