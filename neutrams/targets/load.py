"""Read a target by name, from a file, or from text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.target import Target
from neutrams.targets.build import build
from neutrams.targets.files import chain, follow
from neutrams.targets.layers import Stack
from neutrams.targets.limits import limited
from neutrams.targets.overrides import overlay
from neutrams.targets.source import parse


def _ignore(_: Diagnostic) -> None:
    pass


def load(
    name_or_path: str,
    overrides: Mapping[str, str] | None = None,
    *,
    limits: Mapping[str, object] | None = None,
    warn: Callable[[Diagnostic], None] = _ignore,
) -> Target:
    """Read a built-in target by its name, or any target by the path of its file.

    ``overrides`` maps dotted keys to values as text (``{"core.rows": "64"}``); ``limits`` maps
    names of :data:`neutrams.targets.limits.LIMITS` to values that may only tighten what is there;
    ``warn`` is given the constants that are hard to believe.

    Raises:
        NeutramsError: NT0301 to NT0318, one diagnostic for each independent fault.
    """
    layers = chain(name_or_path)
    stack, faults = overlay(Stack(tuple(layers)), overrides or {})
    name = Path(layers[0].file).stem
    file = layers[0].file
    if limits and not faults:
        return limited(stack, limits, name=name, file=file, warn=warn)
    return build(stack, name=name, file=file, faults=faults, warn=warn)


def loads(text: str, *, file: str = "<text>") -> Target:
    """Read a target from TOML text, such as :func:`neutrams.targets.dump` writes.

    It may inherit from built-in targets only, so that text from elsewhere opens no file.

    Raises:
        NeutramsError: as :func:`load`; ``file`` is what its diagnostics call the text.
    """
    stack = Stack(tuple(follow(parse(text, file), None)))
    return build(stack, name="unnamed", file="", faults=[], warn=_ignore)
