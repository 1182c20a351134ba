"""Results of cases, one JSON line each, by the hash of all they depend on."""

from __future__ import annotations

import base64
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neutrams.ir.types import Array

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Store:
    """A file that only grows. Files of several runs may be joined; a later line wins."""

    path: Path

    def read(self) -> dict[str, Result]:
        """Return the last result of each case by the case's name; torn lines count as absent."""
        found: dict[str, Result] = {}
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                try:
                    result = json.loads(line)
                except ValueError:
                    continue
                found[result["case"]] = result
        return found

    def add(self, result: Result) -> None:
        """Append one line, in one write; it begins a new one where a run was cut off inside one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            torn = False
            if file.tell():
                file.seek(-1, os.SEEK_END)
                torn = file.read(1) != b"\n"
            file.write(b"\n" * torn + json.dumps(result).encode() + b"\n")


def packed(losses: Array) -> str:
    return base64.b64encode(zlib.compress(losses.astype(np.float16).tobytes(), 9)).decode()


def unpacked(text: str) -> Array:
    stored = zlib.decompress(base64.b64decode(text))
    return np.frombuffer(stored, np.float16).astype(np.float32)
