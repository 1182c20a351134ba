"""The safetensors format without copies: written piece by piece, read as views of what is mapped.

A file is the length of a header (8 bytes, little endian), the header (JSON: type, shape and place
of each array by its name), and the arrays in C order, without gaps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from neutrams.ir.types import Array, DType, raw_bytes

ALIGNMENT = 64
"""The arrays begin at a multiple of this; those of wider elements come first, so that each of
them lies where its elements may."""

_TYPES = {dtype.name: dtype.numpy for dtype in DType}


def pack(arrays: Mapping[str, Array]) -> Iterator[bytes | memoryview]:
    """Yield the pieces of a file that holds the arrays; equal arrays give equal bytes."""
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header, start = {}, 0
    for name in names:
        array = arrays[name]
        stop = start + array.nbytes
        kind = DType.of(array.dtype).name
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": (start, stop)}
        start = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    yield len(text).to_bytes(8, "little")
    yield text
    for name in names:
        yield raw_bytes(arrays[name])


def unpack(data: memoryview) -> dict[str, Array]:
    """Return views of the arrays that a file holds; copies of those that lie askew.

    Raises:
        ValueError: it is no such file, or says what its length does not bear out.
    """
    begin = 8 + int.from_bytes(data[:8], "little")
    if not 8 <= begin <= len(data):
        raise ValueError("the header of the weights is longer than their file")
    header = json.loads(bytes(data[8:begin]))
    if not isinstance(header, dict):
        raise ValueError("the header of the weights is no table")
    rest = data[begin:]
    return {name: _view(rest, facts) for name, facts in header.items() if name != "__metadata__"}


def _view(data: memoryview, facts: object) -> Array:
    match facts:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(low), int(high)]}:
            sizes = [size for size in shape if type(size) is int and size >= 0]
            if kind in _TYPES and len(sizes) == len(shape) and 0 <= low <= high <= len(data):
                dtype = _TYPES[kind]
                if high - low == prod(sizes) * dtype.itemsize:
                    view = np.frombuffer(data[low:high], dtype).reshape(sizes)
                    return np.require(view, requirements="A")
    raise ValueError(f"the weights' header is wrong: {str(facts)[:80]}")
