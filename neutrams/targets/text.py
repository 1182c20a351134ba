"""Write a target as TOML that reads back as an equal target."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator

from neutrams.ir.target import Component, CoreKind, Range, Target


def dump(target: Target) -> str:
    """Return the resolved target: no ``inherits``, no reference, every limit written out."""
    machine = target.machine
    lines = [f"name = {_text(target.name)}", f"description = {_text(target.description)}"]
    lines += _section("limits", _fields(target.limits))
    lines += _section("core", _fields(machine.core))
    lines += _section("tile", _fields(machine.tile))
    lines += _section("network", _fields(machine.network))
    lines += _section(
        "chip", [("tiles", machine.tiles), ("io_gbytes_per_s", machine.io_gbytes_per_s)]
    )
    for kind in machine.smaller:
        lines += _section(f"cores.{_key(kind.name)}", _kind(kind))
    for component in target.costs:
        lines += _component(component)
    return "\n".join(lines) + "\n"


def _kind(kind: CoreKind) -> Iterator[tuple[str, object]]:
    yield from ((name, getattr(kind, name)) for name in ("rows", "columns", "per_tile"))
    yield from ((f"parts.{_key(name)}", count) for name, count in kind.parts)


def _component(component: Component) -> Iterator[str]:
    yield from ("", f"[costs.{_key(component.name)}]", f'per = "{component.place}"')
    yield f"count = {component.count}"
    for name in ("area_mm2", "power_mw", "static_mw"):
        yield f"{name} = {getattr(component, name)!r}"
    events = ", ".join(f"{event} = {energy!r}" for event, energy in component.energy_pj)
    yield f"energy_pj = {{ {events} }}" if events else "energy_pj = {}"
    yield f"source = {_text(component.source)}"
    yield f"assumed = [{', '.join(_text(path) for path in component.assumed)}]"


def _section(name: str, entries: Iterable[tuple[str, object]]) -> Iterator[str]:
    yield from ("", f"[{name}]")
    yield from (f"{key} = {_value(value)}" for key, value in entries)


def _fields(part: object) -> list[tuple[str, object]]:
    assert dataclasses.is_dataclass(part)
    values = [(field.name, getattr(part, field.name)) for field in dataclasses.fields(part)]
    return [(name, value) for name, value in values if value is not None]


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case Range():
            return f"[{value.low:.17g}, {value.high:.17g}, {value.step:.17g}]"
        case tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return repr(value)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _text(name)


def _text(text: str) -> str:
    """Quote a string; JSON's escapes are all TOML's, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
