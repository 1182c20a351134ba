"""What a handler sees of one ONNX node: its operator, attributes and inputs, located."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.shapes import insert_batch, keep_batch
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.op import Value
from neutrams.ir.types import Array, Dim

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One node, its inputs already imported.

    ``node[i]`` is a required input, ``node.get(i)`` an optional one, ``node.const(i)`` one that
    must be known now, and ``node.dims(i)`` one that holds a shape, whose entries may be symbols.
    """

    op_type: str
    name: str
    attrs: Mapping[str, Any]
    """By name: int, float, str, array (tensors), or a tuple of one of them."""
    version: int
    """The opset version of the node's domain that the model imports."""
    inputs: tuple[Value | None, ...]
    outputs: int
    """How many outputs the node lists, unused ones in the middle included."""
    where: Place
    build: Builder = field(repr=False)
    domain: str = ""
    output_names: tuple[str, ...] = ()
    """ONNX names of the outputs; empty where an output is not used."""

    def __len__(self) -> int:
        """How many inputs the node lists, absent ones in the middle included."""
        return len(self.inputs)

    def __getitem__(self, index: int) -> Value:
        """Return a required input.

        Raises:
            NeutramsError: NT0611, the node does not have it.
        """
        value = self.get(index)
        if value is None:
            raise self.fault("NT0611", f"`{self.op_type}` needs an input {index}, but has none")
        return value

    def get(self, index: int) -> Value | None:
        """Return an optional input, ``None`` where the node leaves it out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def const(self, index: int) -> Array:
        """Return a required input as an array known while compiling.

        Raises:
            NeutramsError: NT0605, it depends on the inputs of the model.
        """
        data = self.build.const_of(self[index])
        if data is None:
            raise self._unknown(index, "depends on the inputs of the model")
        return data

    def const_or(self, index: int, default: T) -> Array | T:
        """Return an optional input as a constant array, or ``default`` where it is left out."""
        return default if self.get(index) is None else self.const(index)

    def dims(self, index: int) -> tuple[Dim, ...]:
        """Return a required input that holds integers known but for symbols such as the batch.

        Use it for shapes: ``Shape(x)[0]`` comes back as the symbol, ``-1`` and ``0`` as they are.

        Raises:
            NeutramsError: NT0605, some entry depends on data.
        """
        dims = self.build.dims_of(self[index])
        if dims is None:
            raise self._unknown(index, "is a shape that depends on data")
        match self.op_type if self.build.batch else "":
            case "Reshape":
                return insert_batch(dims, self[0].type.shape, self.build.batch)
            case "Resize" if "axes" not in self.attrs:
                return keep_batch(dims, self[0].type.shape, self.build.batch)
        return dims

    def attr(self, name: str, default: T) -> Any | T:
        """Return an attribute, or ``default`` where the node does not set it."""
        return self.attrs.get(name, default)

    def required(self, name: str) -> Any:
        """Return an attribute the node must have.

        Raises:
            NeutramsError: NT0611, it is missing.
        """
        if name not in self.attrs:
            raise self.fault("NT0611", f"`{self.op_type}` needs an attribute `{name}`")
        return self.attrs[name]

    def fault(self, code: str, message: str, *, note: str = "") -> NeutramsError:
        """Return an error located at this node; use NT0610 for what is not supported."""
        diagnostic = error(code, message).at(self.where)
        return NeutramsError(diagnostic.note(note) if note else diagnostic)

    def _unknown(self, index: int, why: str) -> NeutramsError:
        value = self[index]
        diagnostic = error(
            "NT0605", f"input {index} of `{self.op_type}` must be known when compiling"
        )
        return NeutramsError(
            diagnostic.at(self.where, f"`{value.origin or value.name}` {why}").help(
                "fix the shapes when exporting the model, or give sizes with `--dim NAME=SIZE`"
            )
        )
