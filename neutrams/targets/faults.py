"""Say what pydantic found wrong, in the words of the target file."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from neutrams.ir.diagnostics import Diagnostic, error
from neutrams.targets.layers import Stack
from neutrams.targets.near import suggest
from neutrams.targets.schema import TAG, Key, choices_at, keys_at

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_TABLES = dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "a table of values")
_WANTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "list_type": "a list",
    **_TABLES,
}
_BOUNDS = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "finite_number": "finite",
    "too_short": "not empty",
    "string_too_short": "not empty",
    "string_too_long": "at most {max_length} characters long",
}
_KINDS: dict[type, str] = {
    bool: "a truth value",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a table",
}


def translate(found: ValidationError, stack: Stack, prefix: Key) -> list[Diagnostic]:
    """Return one located diagnostic for each error that pydantic found in the table ``prefix``."""
    return [_translate(detail, stack, prefix) for detail in found.errors(include_url=False)]


def missing_table(key: Key, stack: Stack) -> Diagnostic:
    fault = error("NT0306", f"the table `{'.'.join(key)}` is missing").at(stack.where(key))
    return fault.help(f'add `[{".".join(key)}]`, or `inherits = "cim"` to take it from there')


def _translate(detail: ErrorDetails, stack: Stack, prefix: Key) -> Diagnostic:
    parts = (str(part) for part in detail["loc"] if not str(part).startswith(TAG))
    key = (*prefix, *parts)
    kind, value = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return unknown_key(key, stack)
    if kind == "missing":
        fault = error("NT0306", f"`{'.'.join(key)}` is missing")
        return fault.at(stack.where(key), f"has no `{key[-1]}`")
    if kind == "literal_error":
        return _no_choice(key, stack, value)
    if (bound := _BOUNDS.get(kind)) is not None:
        limit = bound.format(**cast(dict[str, object], detail.get("ctx", {})))
        fault = error("NT0305", f"`{'.'.join(key)}` must be {limit}")
        return fault.at(stack.where(key), f"is {_shown(value)}")
    return _wrong_kind(key, stack, value, _WANTED.get(kind, kind.replace("_", " ")))


def unknown_key(key: Key, stack: Stack) -> Diagnostic:
    holder = f"`{'.'.join(key[:-1])}`" if len(key) > 1 else "a target"
    fault = error("NT0303", f"unknown key `{'.'.join(key)}`")
    fault = fault.at(stack.where(key), f"{holder} has no `{key[-1]}`")
    return suggest(fault, key[-1], keys_at(key[:-1]))


def _no_choice(key: Key, stack: Stack, value: object) -> Diagnostic:
    choices = choices_at(key)
    if not isinstance(value, str):
        return _wrong_kind(key, stack, value, "a string")
    fault = error("NT0305", f"`{'.'.join(key)}` cannot be {_shown(value)}")
    return suggest(fault.at(stack.where(key), "not a choice"), value, choices)


def _wrong_kind(key: Key, stack: Stack, value: object, wanted: str) -> Diagnostic:
    found = _KINDS.get(type(value), "a date or time")
    if isinstance(value, float) and wanted == "an integer":
        found = "a fraction"
    fault = error("NT0304", f"`{'.'.join(key)}` must be {wanted}, not {found}")
    return fault.at(stack.where(key), f"is {_shown(value)}")


def _shown(value: object) -> str:
    match value:
        case str():
            text = f'"{value}"'
        case bool():
            text = str(value).lower()
        case dict():
            return "a table"
        case _:
            text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
