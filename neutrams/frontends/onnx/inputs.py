"""Types of a model's inputs: which dimensions are numbers, and which stay symbols."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from onnx import ValueInfoProto

from neutrams.frontends.onnx.tensors import dtype_of
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.types import Dim, TensorType, symbol

BATCH = "N"
"""The symbol of a first dimension that has no name."""


def input_types(
    inputs: Sequence[ValueInfoProto],
    *,
    dims: Mapping[str, int],
    batch: Mapping[str, int],
    file: str,
) -> dict[str, TensorType]:
    """Return the type of every input, by name.

    Args:
        inputs: as the model declares them.
        dims: sizes for named dimensions.
        batch: axes of size 1, by input, that become the batch symbol instead.
        file: for diagnostics.

    Raises:
        NeutramsError: NT0101 or NT0617 for its kind, NT0614 for a size nothing asks for.
    """
    found, used = {}, set()
    for value in inputs:
        where = Place(file or "(memory)", f"input {value.name}")
        tensor = value.type.tensor_type
        if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
            raise NeutramsError(
                error("NT0617", f"input `{value.name}` is no tensor of known rank").at(where)
            )
        shape: list[Dim] = []
        for axis, dim in enumerate(tensor.shape.dim):
            if batch.get(value.name) == axis:
                shape.append(symbol(BATCH))
                continue
            if dim.dim_value > 0 or (dim.HasField("dim_value") and dim.dim_value == 0):
                shape.append(dim.dim_value)
                continue
            name = dim_name(dim.dim_param, input=value.name, axis=axis)
            used.add(name)
            shape.append(dims[name] if name in dims else symbol(name))
        found[value.name] = TensorType(dtype_of(tensor.elem_type, where), tuple(shape))
    if unused := sorted(set(dims) - used):
        raise _unused(unused[0], sorted(used), file)
    return found


def dim_name(param: str, *, input: str, axis: int) -> str:
    """Return the symbol of a dimension without a size, an identifier."""
    if param:
        name = re.sub(r"\W+", "_", param, flags=re.ASCII)
        return name if not name[0].isdigit() else f"_{name}"
    return BATCH if axis == 0 else re.sub(r"\W+", "_", f"{input}_{axis}", flags=re.ASCII)


def _unused(name: str, known: Sequence[str], file: str) -> NeutramsError:
    diagnostic = error("NT0614", f"no input has an open dimension `{name}`")
    diagnostic = diagnostic.at(Place(file or "(memory)"))
    if near := difflib.get_close_matches(name, known, n=1):
        return NeutramsError(diagnostic.help(f"did you mean `{near[0]}`?"))
    return NeutramsError(diagnostic.note(f"open dimensions: {', '.join(known) or 'none'}"))
