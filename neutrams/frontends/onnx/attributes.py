"""Reads the attributes of a node into Python values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from onnx import AttributeProto, helper

from neutrams.frontends.onnx.tensors import TensorReader
from neutrams.ir.diagnostics import NeutramsError, Place, error

_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
_PLAIN = frozenset(
    {
        AttributeProto.FLOAT,
        AttributeProto.INT,
        AttributeProto.FLOATS,
        AttributeProto.INTS,
    }
)


def read_attributes(
    attributes: Iterable[AttributeProto],
    *,
    bound: Mapping[str, AttributeProto],
    reader: TensorReader,
    where: Place,
) -> dict[str, Any]:
    """Return attributes by name: int, float, str, array, or a tuple of one of them.

    Args:
        attributes: as the node lists them; inner graphs are left out.
        bound: what references to a function's attributes stand for.
        reader: reads tensors.
        where: the node.

    Raises:
        NeutramsError: NT0617 for kinds that hold no dense numbers; faults of tensors.
    """
    found: dict[str, Any] = {}
    for attribute in resolved(attributes, bound):
        if attribute.type in _GRAPHS:
            continue
        found[attribute.name] = _value(attribute, reader, where)
    return found


def resolved(
    attributes: Iterable[AttributeProto], bound: Mapping[str, AttributeProto]
) -> list[AttributeProto]:
    """Return attributes with references to a function's attributes replaced by what is bound.

    One that refers to an attribute the caller did not set is left out: the default holds.
    """
    found = []
    for attribute in attributes:
        if not attribute.ref_attr_name:
            found.append(attribute)
            continue
        if attribute.ref_attr_name in bound:
            copy = AttributeProto()
            copy.CopyFrom(bound[attribute.ref_attr_name])
            copy.name = attribute.name
            found.append(copy)
    return found


def _value(attribute: AttributeProto, reader: TensorReader, where: Place) -> Any:
    if attribute.type in _PLAIN:
        value = helper.get_attribute_value(attribute)
        return value if isinstance(value, int | float) else tuple(value)
    match attribute.type:
        case AttributeProto.STRING:
            return attribute.s.decode("utf-8", "replace")
        case AttributeProto.STRINGS:
            return tuple(text.decode("utf-8", "replace") for text in attribute.strings)
        case AttributeProto.TENSOR:
            return reader.array(attribute.t, f"{attribute.name} of {where.node}")
        case AttributeProto.TENSORS:
            return tuple(reader.array(t, attribute.name) for t in attribute.tensors)
    kind = AttributeProto.AttributeType.Name(attribute.type).lower().replace("_", " ")
    raise NeutramsError(error("NT0617", f"attribute `{attribute.name}` is a {kind}").at(where))
