"""How the numbers of a weight are spelt: listed, one for all, only a shape, or in another file."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping

import numpy as np

from neutrams.ir.op import Weight
from neutrams.ir.text.names import quote
from neutrams.ir.types import Array, TensorType, raw_bytes

INLINE = 64
"""Weights of at most this many elements are listed in the text."""

_BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def digest(array: Array) -> str:
    """Return the SHA-256 of an array's bytes in C order, little endian."""
    return hashlib.sha256(raw_bytes(array)).hexdigest()


def show(weight: Weight, key: str, store: MutableMapping[str, Array] | None) -> str:
    """Return the text after ``=``; larger arrays go to ``store`` under ``key``."""
    data = weight.data
    if data is None:
        return "abstract"
    flat = np.ascontiguousarray(data).reshape(-1)
    if flat.size > 1 and _all_equal_bits(flat):
        return f"splat {element(flat[0])}"
    if flat.size <= INLINE:
        return "[" + ", ".join(element(item) for item in flat) + "]"
    if store is not None:
        store[key] = data
    return f'external({quote(key)}, "{digest(data)}")'


def _all_equal_bits(flat: Array) -> bool:
    raw = flat.view(np.uint8).reshape(flat.size, -1)
    few = raw[:: max(1, flat.size // INLINE)]  # most arrays differ among these
    return bool((few == raw[0]).all() and (raw == raw[0]).all())


def element(item: np.generic) -> str:
    """Return one number so that it reads back bit for bit."""
    if not isinstance(item, np.floating):
        return str(int(item))
    if np.isnan(item):
        return f"nan(0x{int(item.view(_BITS[item.itemsize])):x})"
    text = str(item)
    return text[:-2] if text.endswith(".0") and text != "-0.0" else text


def read_elements(texts: list[str], type: TensorType) -> Array:
    """Return the listed numbers as an array of the type."""
    shape = type.static_shape()
    array = np.empty(len(texts), type.dtype.numpy)
    for index, text in enumerate(texts):
        if type.dtype.is_float and text.startswith("nan(0x"):
            bits = _BITS[array.itemsize]
            array.view(bits)[index] = bits(int(text[4:-1], 16))
        else:
            array[index] = float(text) if type.dtype.is_float else int(text)
    return array.reshape(shape)


def read_splat(text: str, type: TensorType) -> Array:
    one = read_elements([text], TensorType(type.dtype, (1,)))
    return np.broadcast_to(one, (int(np.prod(type.static_shape())),)).reshape(type.static_shape())
