"""Print graphs: one op a line, attributes in declared order, floats in their shortest form."""

from __future__ import annotations

import dataclasses
from collections.abc import MutableMapping
from typing import Any

from neutrams.ir.graph import Graph, Module
from neutrams.ir.op import Op, Value, Weight, attr_fields
from neutrams.ir.text.contents import show
from neutrams.ir.text.names import quote, spell
from neutrams.ir.types import Array, DType, show_number

VERSION = 1
"""Version of the text form; a reader refuses a newer one."""


def print_module(module: Module, store: MutableMapping[str, Array] | None = None) -> str:
    """Return a module as text; arrays too large to list are put into ``store``, where given."""
    graphs = [_one_graph(graph, store) for graph in module.every_graph()]
    return f"neutrams {VERSION}\n\n" + "\n".join(graphs)


def print_graph(graph: Graph, store: MutableMapping[str, Array] | None = None) -> str:
    """Return one graph as text, and after it the graphs it calls."""
    return "\n".join(_one_graph(each, store) for each in Module([graph]).every_graph())


def _one_graph(graph: Graph, store: MutableMapping[str, Array] | None) -> str:
    level = "" if graph.level == "nn" else f" {graph.level} "
    params = ", ".join(f"{reference(v)}: {_type(v)}" for v in graph.inputs)
    lines = [f"graph @{spell(graph.name)}{level}({params}) {{"]
    for weight in graph.weights.values():
        contents = show(weight, f"{graph.name}.{weight.name}", store)
        lines.append(f"  weight {reference(weight)} : {_type(weight)} = {contents}")
    lines += [f"  {print_op(op)}" for op in graph.ops]
    if graph.outputs:
        lines.append("  return " + ", ".join(_returned(graph)))
    return "\n".join([*lines, "}", ""])


def print_op(op: Op) -> str:
    """Return the one line that stands for an op."""
    results = ", ".join(reference(value) for value in op.results)
    operands = list(op.operands)
    while operands and operands[-1] is None:
        operands.pop()
    arguments = ", ".join("_" if value is None else reference(value) for value in operands)
    types = ", ".join(_type(value) for value in op.results)
    text = f"{op.name}({arguments}){_attributes(op)}"
    return f"{results} = {text} : {types}" if results else text


def reference(value: Value) -> str:
    """Return how the text form names a value."""
    return ("@" if isinstance(value, Weight) else "%") + spell(value.name)


def _returned(graph: Graph) -> list[str]:
    pairs = zip(graph.outputs, graph.output_names, strict=True)
    return [
        reference(value) + ("" if name == value.name else f" as {quote(name)}")
        for value, name in pairs
    ]


def _attributes(op: Op) -> str:
    shown = []
    for field in attr_fields(type(op)):
        value = getattr(op, field.name)
        if field.default is dataclasses.MISSING or not _same(value, field.default):
            shown.append(f"{field.name} = {_attribute(value)}")
    return f" {{{', '.join(shown)}}}" if shown else ""


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)


def _attribute(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return show_number(value)
        case str():
            return quote(value)
        case DType():
            return value.value
        case Graph():
            return f"@{spell(value.name)}"
        case tuple():
            return "[" + ", ".join(_attribute(item) for item in value) + "]"
        case _:
            return str(value)


def _type(value: Value) -> str:
    origin = f" from {quote(value.origin)}" if value.origin else ""
    return f"{value.type}{origin}"
