"""What files of compiled kernels are called: it follows from what they hold.

Numba numbers them, so processes that compile at once can put one's code where the other's is looked
for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from numba.core.caching import IndexDataCacheFile


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
