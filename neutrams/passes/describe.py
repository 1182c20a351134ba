"""What `neutrams passes` shows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from neutrams.passes.base import Pass
from neutrams.passes.pipeline import describe_type, option_types
from neutrams.passes.table import PASSES, pass_class

COMMON = {field.name for field in dataclasses.fields(Pass)}
"""Options that every pass has."""


@dataclass(frozen=True, slots=True)
class PassInfo:
    """What ``neutrams passes`` shows of a pass."""

    name: str
    summary: str
    options: tuple[tuple[str, str, str], ...]
    """Name, type and default of each option, as spelt in a pipeline."""


def describe() -> list[PassInfo]:
    """Return name, first docstring line and options of every pass, by name."""
    found = []
    for name in sorted(PASSES):
        cls = pass_class(name)
        types = option_types(cls)
        options = tuple(
            (field.name.replace("_", "-"), describe_type(types[field.name]), _spell(field.default))
            for field in dataclasses.fields(cls)
            if field.name not in COMMON
        )
        found.append(PassInfo(name, (cls.__doc__ or "").partition("\n")[0], options))
    return found


def _spell(value: object) -> str:
    if value is None:
        return "from the target"
    return str(value).lower() if isinstance(value, bool) else str(value)
