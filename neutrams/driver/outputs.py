"""Refuse a path that cannot be written before any work is done."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.files import is_stream, unwritable

LONGEST_NAME = 230
"""Bytes of a name that leave room for what a part of a file is called; most systems allow 255."""


def is_writable(path: str | Path) -> bool:
    """Return whether a file could be put at ``path``."""
    try:
        check_writable(path)
    except NeutramsError:
        return False
    return True


def check_writable(path: str | Path) -> None:
    """Raise NT0020 where a file could not be put at ``path``."""
    final = Path(path)
    if len(os.fsencode(final.name)) > LONGEST_NAME:
        fault = f"its name takes more than {LONGEST_NAME} bytes"
        raise unwritable(final, OSError(errno.ENAMETOOLONG, fault))
    if is_stream(final):
        if not os.access(final, os.W_OK):
            raise unwritable(final, OSError(errno.EACCES, "it takes nothing"))
        return
    if final.is_symlink():
        final = Path(os.path.realpath(final))
    folder = final.parent
    if final.is_dir():
        raise unwritable(final, OSError(errno.EISDIR, "it is a folder"))
    if not folder.is_dir():
        raise unwritable(final, OSError(errno.ENOENT, f"there is no folder `{folder}`"))
    if not os.access(folder, os.W_OK):
        raise unwritable(final, OSError(errno.EACCES, f"the folder `{folder}` is read-only"))
