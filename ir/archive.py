"""ZIP archives of stored members that can be mapped into memory."""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections.abc import Iterable
from typing import IO

from neutrams.ir.tensor_file import ALIGNMENT

_PADDING = 0xD935
"""Number of an extra field that only moves what comes after it."""
_HEADER = 30
_LARGE = 1 << 30
"""Bytes from which a member's header has room for sizes of 64 bits, which takes 20 bytes more."""


def add_member(archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes | memoryview]) -> None:
    """Append a member that begins at a multiple of :data:`ALIGNMENT`, dated alike each time."""
    held = list(pieces)
    size = sum(len(piece) for piece in held)
    large = size > _LARGE
    assert archive.fp is not None
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.file_size = size
    start = archive.fp.tell() + _HEADER + len(name.encode()) + 4 + 20 * large
    info.extra = struct.pack("<HH", _PADDING, -start % ALIGNMENT) + bytes(-start % ALIGNMENT)
    with archive.open(info, "w", force_zip64=large) as out:
        for piece in held:
            out.write(piece)


def map_member(file: IO[bytes], info: zipfile.ZipInfo) -> memoryview:
    """Return the bytes of a stored member, read when they are touched, and shared by processes.

    Raises:
        zipfile.BadZipFile: the file is shorter than it says.
    """
    whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    low = info.header_offset
    if not 0 <= low <= len(whole) - _HEADER:
        raise zipfile.BadZipFile(f"{info.filename} begins outside the file")
    name, extra = struct.unpack("<HH", whole[low + 26 : low + _HEADER])
    start = low + _HEADER + name + extra
    if start + info.file_size > len(whole):
        raise zipfile.BadZipFile(f"{info.filename} is cut short")
    return whole[start : start + info.file_size]
