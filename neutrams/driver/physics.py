"""Physics of a run as text: a preset or a file, then single values."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import fields, replace
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Any, cast

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.simulator.physics import PRESETS, Physics, check_physics

_FIELDS = {each.name.replace("_", "-"): each.name for each in fields(Physics)}


def load_physics(text: str | Physics) -> Physics:
    """Read ``rram-wan``, ``my.toml``, or either and values: ``pcm,time-s=3600,read-additive=0.01``.

    Raises:
        NeutramsError: NT0571, an unknown name or a wrong value; NT0572, no such combination.
    """
    if isinstance(text, Physics):
        check_physics(text)
        return text
    if not isinstance(text, str):
        kind = type(text).__name__
        raise NeutramsError(error("NT0571", f"physics are a text or a `Physics`, not of `{kind}`"))
    first, *rest = (part.strip() for part in text.split(","))
    if "=" in first:
        first, rest = "ideal", [first, *rest]
    base = _file(Path(first)) if first.endswith(".toml") else _preset(first)
    found = _changed(base, [_pair(part) for part in rest], None)
    check_physics(found)
    return found


def _pair(part: str) -> tuple[str, str]:
    key, equals, value = (each.strip() for each in part.partition("="))
    if not equals:
        raise NeutramsError(
            error("NT0571", f"`{part}` is no `key=value`").help(
                "a preset or a file comes first and alone, then values: pcm,read-additive=0.01"
            )
        )
    return key, value


def _preset(name: str) -> Physics:
    if name in PRESETS:
        return PRESETS[name]
    known = ", ".join(f"`{each}`" for each in PRESETS)
    fault = error("NT0571", f"there are no physics called `{name}`")
    raise NeutramsError(fault.help(f"known: {known}; or a `.toml` file, or key=value"))


def _file(path: Path) -> Physics:
    """Read a table of values; ``preset`` names what they start from."""
    place = Place(str(path))
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        why = getattr(fault, "strerror", None) or fault
        raise NeutramsError(error("NT0571", f"physics cannot be read: {why}").at(place)) from None
    base = _preset(str(values.pop("preset", "ideal")))
    return _changed(base, values.items(), place)


def _changed(base: Physics, values: Iterable[tuple[str, Any]], place: Place | None) -> Physics:
    changes: dict[str, Any] = {}
    faults: list[Diagnostic] = []
    for key, value in values:
        name = _FIELDS.get(key.replace("_", "-"))
        if name is None or name in changes:
            fault = _unknown(key) if name is None else error("NT0571", f"`{key}` is given twice")
            faults.append(fault.at(place) if place else fault)
            continue
        kind = type(getattr(base, name))
        try:
            changes[name] = _read(value, kind)
        except (TypeError, ValueError):
            wanted = {bool: "true or false", float: "a number"}.get(kind, "a name")
            fault = error("NT0571", f"`{key}` is `{value}`; it must be {wanted}")
            faults.append(fault.at(place) if place else fault)
    if faults:
        raise NeutramsError(*faults)
    return replace(base, **changes)


def _unknown(key: str) -> Diagnostic:
    fault = error("NT0571", f"physics have no `{key}`")
    near = get_close_matches(key.lower(), _FIELDS, n=1)
    return fault.help(f"did you mean `{near[0]}`?" if near else "known: " + ", ".join(_FIELDS))


def _read(value: object, kind: type) -> object:
    """Return a value of the kind of a field; raise an error of value or type where it is none."""
    if kind is float and not isinstance(value, bool):
        return float(cast(str, value))
    if kind is str:
        return str(value)
    text = str(value).lower()
    if kind is bool and text in ("true", "false"):
        return text == "true"
    raise ValueError


def described(physics: Physics) -> dict[str, float | str | bool]:
    """Return what differs from ideal, by the names of the command line."""
    default = Physics()
    return {
        key: _finite(getattr(physics, name))
        for key, name in _FIELDS.items()
        if getattr(physics, name) != getattr(default, name)
    }


def _finite(value: Any) -> float | str | bool:
    return "inf" if value == inf else cast("float | str | bool", value)
