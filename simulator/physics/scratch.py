"""Memory that a thread keeps from use to use: fresh pages cost as much as what is done in them."""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import numpy as np

from neutrams.ir.types import Array


class Scratch(threading.local):
    """Arrays by name, each valid until the name is asked for again in the same thread."""

    def array(self, name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        """Return an array that holds anything."""
        size = prod(shape) * np.dtype(dtype).itemsize
        held: Array | None = self.__dict__.get(name)
        if held is None or held.nbytes < size:
            held = self.__dict__[name] = np.empty(size, np.uint8)
        found: Array = held[:size].view(dtype).reshape(shape)
        return found


SCRATCH = Scratch()
