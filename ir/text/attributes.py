"""Attributes in text: raw words and numbers in, values of the declared Python types out."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from lark import Token

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, attr_fields, attr_type
from neutrams.ir.text.names import unquote
from neutrams.ir.types import DType, Symbol, symbol, times

Node = Any
"""A tree of lark's, whose own types do not tell leaves from branches."""
Fault = Callable[[str, str, Token, str], None]
Called = Callable[[Token], Graph | None]
"""Finds the graph that a token names, or says that there is none."""


class Quoted(str):
    """A string that stood in quotes, told apart from a bare word."""

    __slots__ = ()


class Attributes:
    """Reads the ``{name = value, …}`` of one op class; faults go to a callback."""

    def __init__(self, cls: type[Op], fault: Fault, called: Called) -> None:
        self.cls = cls
        self.fault = fault
        self.called = called

    def read(self, op_token: Token, node: Node | None) -> dict[str, Any]:
        """Return the attributes as keyword arguments; missing required ones are faults."""
        found: dict[str, Any] = {}
        fields = {field.name: field for field in attr_fields(self.cls)}
        for attribute in node.children if node is not None else []:
            name, value = attribute.children
            if str(name) not in fields:
                near = get_close_matches(str(name), fields, n=1)
                hint = f"did you mean `{near[0]}`?" if near else "it has: " + ", ".join(fields)
                self.fault("NT0005", f"`{self.cls.name}` has no attribute `{name}`", name, hint)
                continue
            hint = attr_type(self.cls, str(name))
            if hint is Graph and value.data == "called":
                if (graph := self.called(value.children[0])) is not None:
                    found[str(name)] = graph
                continue
            try:
                found[str(name)] = convert(read_raw(value), hint)
            except (TypeError, ValueError):
                wanted = f"wanted {_spell(hint)}"
                self.fault("NT0005", f"attribute `{name}` is of the wrong kind", name, wanted)
        for name, field in fields.items():
            given = node is not None and any(str(a.children[0]) == name for a in node.children)
            if _required(field) and not given:
                self.fault("NT0005", f"`{self.cls.name}` needs attribute `{name}`", op_token, "")
        return found


def convert(raw: Any, hint: Any) -> Any:
    """Return a raw value as the declared type.

    Raises:
        TypeError, ValueError: it is not of that type.
    """
    if typing.get_origin(hint) is tuple:
        if not isinstance(raw, list):
            raise TypeError(raw)
        inner = typing.get_args(hint)[0]
        return tuple(convert(item, inner) for item in raw)
    if isinstance(hint, types.UnionType):
        return symbol(raw) if isinstance(raw, str) else _check(raw, int | Symbol)
    if typing.get_origin(hint) is typing.Literal:
        return str(_check(raw, str))
    if hint is Graph:
        raise TypeError(raw)
    if hint is bool:
        return {"true": True, "false": False}[_check(raw, str)] if raw in _TRUTH else _bad(raw)
    if hint is float:
        return float(_check(raw, int | float))
    if hint is DType:
        return DType(_check(raw, str))
    if hint is str:
        return str(_check(raw, Quoted))
    return _check(raw, hint)


_TRUTH = ("true", "false")


def read_raw(node: Any) -> Any:
    """Return a parsed attribute as int, float, Symbol, bare word, quoted string, or a list."""
    match node.data:
        case "number":
            return read_number(node)
        case "string":
            return Quoted(unquote(node.children[0]))
        case "word" | "called":
            return str(node.children[0])
        case "dim_product":
            total: int | Symbol = 1
            for token in node.children:
                total = times(total, int(token) if token.type == "INT" else symbol(str(token)))
            return total
        case _:
            return [read_raw(child) for child in node.children]


def read_number(node: Node) -> int | float:
    token = node.children[0]
    if token.startswith("nan"):  # whichever it is: only weights keep its bits
        return float("nan")
    return int(token) if token.type == "INT" else float(token)


def _check(raw: Any, kind: Any) -> Any:
    if not isinstance(raw, kind) or isinstance(raw, bool):
        raise TypeError(raw)
    return raw


def _bad(raw: Any) -> Any:
    raise TypeError(raw)


def _required(field: Any) -> bool:
    return field.default is dataclasses.MISSING


def _spell(hint: Any) -> str:
    names = {
        Graph: "the name of a graph, such as `@cell`",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a string",
    }
    if typing.get_origin(hint) is tuple:
        return "a list of " + _spell(typing.get_args(hint)[0])
    return names.get(hint, "a dimension" if isinstance(hint, types.UnionType) else str(hint))
