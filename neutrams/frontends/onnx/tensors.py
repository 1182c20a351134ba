"""Turns stored ONNX tensors into arrays; sizes are checked before anything is allocated."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from neutrams.frontends.onnx.limits import ImportLimits
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.types import Array, DType

WIDENED = {"int4": "i8", "uint4": "u8", "int2": "i8", "uint2": "u8"}
"""Types with no counterpart here whose integers fit a wider one."""


def dtype_of(elem_type: int, where: Place) -> DType:
    """Return the element type of an ONNX type number.

    Raises:
        NeutramsError: NT0101, there is no counterpart.
    """
    name = TensorProto.DataType.Name(elem_type) if elem_type in _KNOWN else str(elem_type)
    if name.lower() in WIDENED:
        return DType(WIDENED[name.lower()])
    try:
        return DType.of(onnx.helper.tensor_dtype_to_np_dtype(elem_type))
    except (NeutramsError, KeyError, TypeError):
        raise NeutramsError(
            error("NT0101", f"element type `{name}` is not supported")
            .at(where)
            .note("supported: " + ", ".join(d.value for d in DType))
        ) from None


_KNOWN = frozenset(TensorProto.DataType.values())


class TensorReader:
    """Reads the tensors of one model; external data only from inside the model's own folder."""

    def __init__(self, *, file: str, folder: Path | None, limits: ImportLimits) -> None:
        self.file = file
        self.folder = folder
        self.limits = limits
        self._bytes = 0

    def array(self, tensor: TensorProto, name: str = "") -> Array:
        """Return what the tensor holds.

        Args:
            tensor: a stored tensor, its data in the model or in a file beside it.
            name: what to call it in a diagnostic.

        Raises:
            NeutramsError: NT0101 for its type, NT0602 for where it is stored, NT0603 if its data
                does not fit its shape, NT0604 if it is too large.
        """
        where = self._place(tensor, name)
        dtype = dtype_of(tensor.data_type, where)
        size = self._charge(tensor, dtype, where)
        if tensor.data_location == TensorProto.EXTERNAL:
            return self._external(tensor, dtype=dtype, elements=size, where=where)
        self._check_data(tensor, elements=size, where=where)
        array = numpy_helper.to_array(tensor)
        return np.ascontiguousarray(array.astype(dtype.numpy, copy=False)).reshape(array.shape)

    def check_total(self, tensors: Iterable[TensorProto]) -> None:
        """Refuse tensors that are too large together, before any is read.

        Raises:
            NeutramsError: NT0604.
        """
        total = self._bytes
        for tensor in tensors:
            total += math.prod(max(d, 0) for d in tensor.dims) * _width(tensor.data_type)
            if total > self.limits.memory_bytes:
                raise self._too_large(tensor, total, self._place(tensor))

    def _charge(self, tensor: TensorProto, dtype: DType, where: Place) -> int:
        if any(d < 0 for d in tensor.dims):
            raise _fault("NT0603", f"the shape {list(tensor.dims)} has a negative size", where)
        size: int = math.prod(tensor.dims)
        self._bytes += size * dtype.bits // 8
        if self._bytes > self.limits.memory_bytes:
            raise self._too_large(tensor, self._bytes, where)
        return size

    def _place(self, tensor: TensorProto, name: str = "") -> Place:
        return Place(self.file, f"tensor {name or tensor.name or '(unnamed)'}")

    def _too_large(self, tensor: TensorProto, total: int, where: Place) -> NeutramsError:
        return NeutramsError(
            error("NT0604", f"the shape {list(tensor.dims)} takes too much memory")
            .at(where)
            .note(f"the weights up to here declare {total} bytes")
            .note(f"a model may have {self.limits.memory_bytes} bytes of weights")
        )

    def _check_data(self, tensor: TensorProto, *, elements: int, where: Place) -> None:
        if tensor.HasField("raw_data"):
            bits = _stored_bits(tensor.data_type)
            found, needed = len(tensor.raw_data), -(-elements * bits // 8)
            unit = "bytes"
        else:
            field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
            found, needed = len(getattr(tensor, field)), elements
            per_entry = (
                32 // _stored_bits(tensor.data_type) if _stored_bits(tensor.data_type) < 8 else 1
            )
            needed, unit = -(-needed // per_entry), "entries"
        if found != needed:
            message = f"the shape {list(tensor.dims)} needs {needed} {unit}, but {found} are stored"
            raise _fault("NT0603", message, where)

    def _external(self, tensor: TensorProto, *, dtype: DType, elements: int, where: Place) -> Array:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        path = self._inside(entries.get("location", ""), where)
        bits = _stored_bits(tensor.data_type)
        if bits != dtype.bits:
            raise _fault("NT0602", "packed integers are not read from external files", where)
        needed = elements * bits // 8
        offset = _natural(entries.get("offset", "0"), "offset", where)
        length = _natural(entries.get("length", str(needed)), "length", where)
        size = path.stat().st_size
        if length != needed:
            message = f"the shape {list(tensor.dims)} needs {needed} bytes, but {length} are stored"
            raise _fault("NT0603", message, where)
        if offset + length > size:
            message = f"`{path.name}` has {size} bytes, but the tensor ends at {offset + length}"
            raise _fault("NT0602", message, where)
        with path.open("rb") as stream:
            stream.seek(offset)
            data = np.frombuffer(stream.read(length), dtype=dtype.numpy.newbyteorder("<"))
        return data.astype(dtype.numpy, copy=False).reshape(tuple(tensor.dims))

    def _inside(self, location: str, where: Place) -> Path:
        """Return the real path of an external file, which must lie in the model's folder."""
        if self.folder is None:
            raise NeutramsError(
                error("NT0602", f"weights are kept in `{location}`, but the model has no folder")
                .at(where)
                .help("load the model by its path")
            )
        parts = PurePosixPath(location).parts + PureWindowsPath(location).parts
        absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
        if not location or absolute or ".." in parts or "\0" in location:
            raise _outside(location, where)
        root = Path(os.path.realpath(self.folder))
        path = Path(os.path.realpath(root / location))
        if not path.is_relative_to(root):
            raise _outside(location, where)
        if not path.is_file():
            raise _fault("NT0602", f"there is no file `{location}` beside the model", where)
        return path


def _width(elem_type: int) -> int:
    """Bytes of an element once read; 1 for types that are refused later."""
    if elem_type not in _KNOWN or elem_type in (TensorProto.UNDEFINED, TensorProto.STRING):
        return 1
    return max(_stored_bits(elem_type), 8) // 8


def _stored_bits(elem_type: int) -> int:
    name = TensorProto.DataType.Name(elem_type).lower()
    if name in ("int4", "uint4"):
        return 4
    if name in ("int2", "uint2"):
        return 2
    return int(onnx.helper.tensor_dtype_to_np_dtype(elem_type).itemsize) * 8


def _natural(text: str, name: str, where: Place) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _fault("NT0602", f"the external {name} `{text[:40]}` is no size", where)
    return int(text)


def _outside(location: str, where: Place) -> NeutramsError:
    return NeutramsError(
        error("NT0602", f"external data `{location}` is outside the model's folder")
        .at(where)
        .note("weights are read from files inside the folder of the model only")
    )


def _fault(code: str, message: str, where: Place) -> NeutramsError:
    return NeutramsError(error(code, message).at(where))
