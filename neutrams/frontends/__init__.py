"""Readers of models: ONNX files, torch modules and graphs in text."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.types import Array

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto

SUFFIXES = (".onnx", ".nt")


def load_model(
    source: object,
    *,
    examples: object = None,
    dims: Mapping[str, int] | None = None,
    fixed: Mapping[str, Array] | None = None,
    remarks: list[Diagnostic] | None = None,
) -> Graph:
    """Return the graph of a model.

    Args:
        source: a path to ``.onnx`` or ``.nt`` (text; its first graph is taken), an ONNX model, a
            torch module, or a graph, which is returned as it is.
        examples: for a torch module, one input it takes, a tuple of them, or a mapping by name;
            first axis the batch.
        dims: sizes for symbolic dimensions of the inputs.
        fixed: inputs that become constants, such as a sampling rate.
        remarks: is given notes on what was decided, such as what became of the batch.

    Raises:
        NeutramsError: NT0601 to NT0617 for models, NT00xx for text, NT0616 for anything else.
    """
    notes = remarks if remarks is not None else []
    if isinstance(source, Graph):
        return source
    if isinstance(source, str | os.PathLike):
        return _load_file(Path(source), dims=dims or {}, fixed=fixed or {}, notes=notes)
    if _is_module(source):
        from neutrams.frontends.torch import export_module

        source = export_module(source, examples)
    if _is_proto(source):
        return _load_onnx(source, dims=dims or {}, fixed=fixed or {}, notes=notes)
    raise NeutramsError(
        error("NT0616", f"a `{type(source).__name__}` is no model").help(
            "give a path, an `onnx.ModelProto`, a `torch.nn.Module` or a `Graph`"
        )
    )


def _load_file(
    path: Path,
    *,
    dims: Mapping[str, int],
    fixed: Mapping[str, Array],
    notes: list[Diagnostic],
) -> Graph:
    if path.suffix.lower() == ".nt":
        from neutrams.ir.text import parse

        return parse(_read_text(path), file=str(path)).main
    if path.suffix.lower() == ".onnx":
        from neutrams.frontends.onnx.loading import read_model

        model = read_model(path)
        return _load_onnx(model, dims=dims, fixed=fixed, notes=notes, path=path)
    raise NeutramsError(
        error("NT0616", f"`{path.suffix or path.name}` is no kind of model file that is known")
        .at(Place(str(path)))
        .note("known: " + ", ".join(SUFFIXES))
    )


def _load_onnx(
    model: ModelProto,
    *,
    dims: Mapping[str, int],
    fixed: Mapping[str, Array],
    notes: list[Diagnostic],
    path: Path | None = None,
) -> Graph:
    from neutrams.frontends.onnx.batch import import_batched
    from neutrams.frontends.onnx.importer import ImportOptions

    options = ImportOptions(
        file="" if path is None else str(path),
        folder=None if path is None else path.parent,
        dims=dims,
        fixed=fixed,
    )
    graph, note = import_batched(model, options)
    notes.append(note)
    return graph


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as fault:
        reason = (fault.strerror or "it cannot be read").lower()
    except UnicodeDecodeError:
        reason = "it is not text"
    raise NeutramsError(error("NT0601", f"cannot read the model: {reason}").at(Place(str(path))))


def _is_module(source: object) -> TypeGuard[torch.nn.Module]:
    """Say whether an object is a torch module; nothing is, while torch is not imported."""
    library = sys.modules.get("torch")
    return library is not None and isinstance(source, library.nn.Module)


def _is_proto(source: object) -> TypeGuard[ModelProto]:
    library = sys.modules.get("onnx")
    return library is not None and isinstance(source, library.ModelProto)
