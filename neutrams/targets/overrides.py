"""Values set on the command line, over those of a file: ``--set core.rows=64``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import cast

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.targets.layers import Layer, Stack, Tree, kind_of_number
from neutrams.targets.near import suggest
from neutrams.targets.schema import Key, is_text, keys_at


def parse_overrides(settings: Iterable[str]) -> dict[str, str]:
    """Split ``key=value`` texts; of one key given twice the last counts.

    Raises:
        NeutramsError: NT0310, for each text that is no ``key=value``.
    """
    found: dict[str, str] = {}
    faults: list[Diagnostic] = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        if equals and all(part.strip() for part in key.split(".")):
            found[key.strip()] = value.strip()
        else:
            fault = error("NT0310", f"`{setting}` sets nothing").at(Place(f"--set {setting}"))
            faults.append(fault.help("write a dotted key and a value: --set core.rows=64"))
    if faults:
        raise NeutramsError(*faults)
    return found


def overlay(stack: Stack, overrides: Mapping[str, str]) -> tuple[Stack, list[Diagnostic]]:
    """Put one layer for each override on the stack; those that fit nowhere come back as faults."""
    faults: list[Diagnostic] = []
    for dotted, text in overrides.items():
        key = tuple(part.strip() for part in dotted.split("."))
        place = Place(f"--set {dotted}={text}")
        value = _value(key, text)
        if (why := _misfit(stack.tree, key, value)) is not None:
            faults.append(error("NT0310", f"`{dotted}` cannot be set").at(place, why))
            continue
        if (names := _others(stack.tree, key)) is not None:
            fault = error("NT0310", f"there is no component `{key[1]}` to set a value of").at(place)
            faults.append(suggest(fault, key[1], names))
            continue
        stack = Stack((Layer(place.file, _nested(key, value), {key: place}), *stack.layers))
    return stack, faults


def _value(key: Key, text: str) -> object:
    """Read text as a TOML value, or as a bare word where it is none or a string is wanted."""
    try:
        tree = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = tree["value"]
    if len(tree) > 1 or (is_text(key) and not isinstance(value, str)):
        return text
    return value


def _misfit(tree: Tree, key: Key, value: object) -> str | None:
    if key[0] == "inherits":
        return "write a file that inherits; it cannot be chosen on the command line"
    node: object = tree
    for depth, part in enumerate(key):
        if not isinstance(node, dict):
            return f"`{'.'.join(key[:depth])}` is a value, not a table of values"
        if part not in node:
            return None  # what it may be is the schema's business
        node = cast(Tree, node)[part]
    number = isinstance(node, dict) and kind_of_number(cast(Tree, node)) is not None
    if isinstance(node, dict) and not number and not isinstance(value, dict):
        inner = keys_at(key) or sorted(cast(Tree, node))
        return "it is a table; set one of its keys: " + ", ".join(f"`{name}`" for name in inner)
    return None


def _others(tree: Tree, key: Key) -> list[str] | None:
    """Return the components there are, if the key is of one that is not there."""
    costs = tree.get("costs")
    if key[0] != "costs" or len(key) < 3 or not isinstance(costs, dict) or key[1] in costs:
        return None
    return list(costs)


def _nested(key: Key, value: object) -> Tree:
    for part in reversed(key):
        value = {part: value}
    return cast(Tree, value)
