"""Reads ONNX files without trusting them: nothing in them is run."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto

from neutrams.frontends.onnx.limits import ImportLimits
from neutrams.ir.diagnostics import NeutramsError, Place, error

OLDEST_OPSET = 6

_LOOKS_LIKE = (
    (0, b"PK\x03\x04", "a zip archive, such as a torch checkpoint"),
    (0, b"\x80\x02", "a pickle, such as an old torch checkpoint"),
    (0, b"\x89HDF", "an HDF5 file, such as a Keras or NIR model"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"version https://git-lfs", "a Git LFS pointer: the model itself was not fetched"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"<", "a web page or XML"),
    (0, b"{", "JSON"),
)


def read_model(path: Path, *, limits: ImportLimits | None = None) -> ModelProto:
    """Return the model in a file; external data stays unread.

    Raises:
        NeutramsError: NT0601 if the file holds no ONNX model, NT0604 if it is too large.
    """
    limits = limits or ImportLimits()
    where = Place(str(path))
    try:
        size = path.stat().st_size
        if path.is_file() and size > limits.memory_bytes:
            raise NeutramsError(
                error("NT0604", f"the file has {size} bytes")
                .at(where)
                .note(f"a model may have {limits.memory_bytes} bytes")
            )
        data = path.read_bytes()
    except OSError as fault:
        reason = (fault.strerror or "it cannot be read").lower()
        raise NeutramsError(error("NT0601", f"cannot read the model: {reason}").at(where)) from None
    return parse_model(data, file=str(path))


def parse_model(data: bytes, *, file: str = "") -> ModelProto:
    """Return the model that ``data`` holds.

    Raises:
        NeutramsError: NT0601, it holds none.
    """
    where = Place(file or "(memory)")
    if not data:
        raise NeutramsError(error("NT0601", "the model file is empty").at(where))
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise _not_onnx(data, where) from None
    if not model.HasField("graph") or not model.graph.output:
        raise _not_onnx(data, where)
    if not _is_text(model):
        raise NeutramsError(error("NT0601", "names in the model are no text").at(where))
    return model


def _is_text(model: ModelProto) -> bool:
    """Say whether names are strings; where bytes are no UTF-8, protobuf hands out bytes."""
    graph = model.graph
    nodes = [*graph.node, *(node for function in model.functions for node in function.node)]
    names = [name for n in nodes for name in (n.name, n.op_type, n.domain, *n.input, *n.output)]
    names += [thing.name for thing in (*graph.initializer, *graph.input, *graph.output)]
    names += [opset.domain for opset in model.opset_import]
    return all(isinstance(name, str) for name in names)


def check_versions(model: ModelProto, where: Place) -> dict[str, int]:
    """Return the operator set versions a model imports, by domain.

    Raises:
        NeutramsError: NT0601 if it names none, NT0606 if one is too old or too new.
    """
    opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    if not opsets:
        raise NeutramsError(
            error("NT0601", "the model names no operator set, so it may be cut short").at(where)
        )
    if model.ir_version > onnx.IR_VERSION:
        raise NeutramsError(
            error("NT0606", f"the file has format version {model.ir_version}")
            .at(where)
            .note(f"onnx {onnx.__version__} reads up to {onnx.IR_VERSION}")
            .help("install a newer `onnx`, or export with an older one")
        )
    newest, version = onnx.defs.onnx_opset_version(), opsets.get("", OLDEST_OPSET)
    if OLDEST_OPSET <= version <= newest:
        return opsets
    diagnostic = error("NT0606", f"the model uses operator set {version}").at(where)
    diagnostic = diagnostic.note(
        f"supported: {OLDEST_OPSET} to {newest}, that of onnx {onnx.__version__}"
    )
    if version < OLDEST_OPSET:
        raise NeutramsError(diagnostic.help("convert it with `onnx.version_converter`"))
    raise NeutramsError(diagnostic.help("install a newer `onnx`, or export for an older set"))


def _not_onnx(data: bytes, where: Place) -> NeutramsError:
    diagnostic = error("NT0601", "the file is not a whole ONNX model").at(where)
    for offset, magic, kind in _LOOKS_LIKE:
        if data[offset:].startswith(magic):
            return NeutramsError(diagnostic.note(f"it looks like {kind}"))
    return NeutramsError(
        diagnostic.note(f"its {len(data)} bytes are cut short, nested too deeply or something else")
    )
