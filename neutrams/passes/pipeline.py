"""Read pass pipelines such as ``fold-norms,split-fan-in{rows=64 neurons=32}``."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cache
from types import NoneType, UnionType
from typing import Any

from lark import Lark, Token, Tree, UnexpectedInput

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Span, error
from neutrams.passes.base import Pass
from neutrams.passes.table import PASSES, pass_class

FILE = "<pipeline>"
_BARE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*|[A-Za-z_][A-Za-z0-9_.]*")
"""Words that a pipeline takes without quotes."""


def parse_pipeline(text: str) -> list[Pass]:
    """Return the passes a text names, in order, with their options set.

    Raises:
        NeutramsError: NT0201 to NT0204, with every independent fault.
    """
    reader = _Reader(text)
    try:
        tree = _grammar().parse(text)
    except UnexpectedInput as fault:
        raise NeutramsError(reader.syntax_error(fault)) from None
    passes = [reader.read(child) for child in tree.children if isinstance(child, Tree)]
    if reader.faults:
        raise NeutramsError(*reader.faults)
    return [made for made in passes if made is not None]


def print_pipeline(passes: Iterable[Pass]) -> str:
    """Return the text that :func:`parse_pipeline` reads as these passes."""
    return ",".join(_show(made) for made in passes)


def _show(made: Pass) -> str:
    changed = [
        f"{_kebab(field.name)}={_spell(getattr(made, field.name))}"
        for field in dataclasses.fields(made)
        if getattr(made, field.name) != field.default
    ]
    return made.name + (f"{{{' '.join(changed)}}}" if changed else "")


def _spell(value: object) -> str:
    if isinstance(value, str) and not _BARE.fullmatch(value):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


@cache
def _grammar() -> Lark:
    return Lark.open("pipeline.lark", rel_to=__file__, parser="lalr", propagate_positions=True)


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.faults: list[Diagnostic] = []

    def read(self, node: Tree[Token]) -> Pass | None:
        name, *options = node.children
        assert isinstance(name, Token)
        if str(name) not in PASSES:
            self._fault("NT0201", f"no pass is called `{name}`", name, near=PASSES)
            return None
        cls = pass_class(str(name))
        before = len(self.faults)
        found: dict[str, Any] = {}
        for option in options:
            assert isinstance(option, Tree)
            key, value = option.children
            assert isinstance(key, Token)
            assert isinstance(value, Token)
            self._option(cls, key, value, found)
        return cls(**found) if len(self.faults) == before else None

    def _option(self, cls: type[Pass], key: Token, value: Token, found: dict[str, Any]) -> None:
        types = {_kebab(name): type for name, type in option_types(cls).items()}
        if str(key) not in types:
            self._fault("NT0202", f"`{cls.name}` has no option `{key}`", key, near=types)
            return
        try:
            found[str(key).replace("-", "_")] = _convert(value, types[str(key)])
        except ValueError:
            wanted = describe_type(types[str(key)])
            message = f"option `{key}` of `{cls.name}` cannot be `{value}`"
            self._fault("NT0203", message, value, label=f"expects {wanted}")

    def syntax_error(self, fault: UnexpectedInput) -> Diagnostic:
        line, column = max(fault.line, 1), max(fault.column, 1)
        token = getattr(fault, "token", None)
        ends = token is not None and token.type == "$END"
        if ends:
            line, column = len(self.lines), len(self.lines[-1]) + 1
        span = Span(
            FILE, line, column, 1 if ends or token is None else len(token), self.lines[line - 1]
        )
        label = "the text ends too early" if ends else "this does not belong here"
        return (
            error("NT0204", "this is not a pass pipeline")
            .at(span, label)
            .help('write passes as "fold-norms,split-fan-in{rows=64 neurons=32}"')
        )

    def _fault(
        self, code: str, message: str, token: Token, *, label: str = "", near: Iterable[str] = ()
    ) -> None:
        line, column = token.line or 1, token.column or 1
        span = Span(FILE, line, column, len(token), self.lines[line - 1])
        fault = error(code, message).at(span, label)
        known = sorted(near)
        if close := get_close_matches(str(token), known, n=1):
            fault = fault.help(f"did you mean `{close[0]}`?")
        elif known:
            fault = fault.note("known: " + ", ".join(known))
        self.faults.append(fault)


def option_types(cls: type[Pass]) -> dict[str, Any]:
    """Return the declared type of every option of a pass, by field name."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def describe_type(type: Any) -> str:
    """Return how an option's type is spelt for a user."""
    if typing.get_origin(type) is typing.Literal:
        return " or ".join(f"`{choice}`" for choice in typing.get_args(type))
    if typing.get_origin(type) is UnionType:
        return describe_type(_inner(type))
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    return names[type]


def _inner(type: Any) -> Any:
    return next(part for part in typing.get_args(type) if part is not NoneType)


def _convert(token: Token, type: Any) -> Any:
    text = str(token).strip('"')
    if typing.get_origin(type) is UnionType:
        type = _inner(type)
    if typing.get_origin(type) is typing.Literal:
        if text not in typing.get_args(type):
            raise ValueError(text)
        return text
    return _READERS[type](text)


def _read_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


_READERS: dict[Any, Callable[[str], Any]] = {bool: _read_bool, int: int, float: float, str: str}


def _kebab(name: str) -> str:
    return name.replace("_", "-")
