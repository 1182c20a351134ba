"""Write arrays of any name to an ``.npz``, the same bytes each time."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neutrams.ir.files import atomic_write
from neutrams.ir.types import Array

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_npz(path: str | Path, arrays: Mapping[str, Array], *, small: bool = True) -> None:
    """Write arrays under their names; the file appears whole or not at all.

    ``numpy.savez`` takes names as keywords, and so fails where one is called ``file``.

    ``small`` costs time: arrays are compressed.

    Raises:
        NeutramsError: NT0020, it cannot be written.
    """
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
