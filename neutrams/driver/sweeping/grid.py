"""The grid of a sweep: what each axis changes, and every point of it."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from itertools import product

from neutrams.driver.options import Options
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.targets import LIMITS
from neutrams.targets.limits import is_text

Setting = bool | int | float | str
Axes = Mapping[str, Sequence[Setting]]

TARGET = "target"
PRECISION = "precision"
"""An axis over pairs such as ``4/8``: bits of weights and of inputs, changed together."""
_OWN = ("keep_float", "verify_each", "timing", "passes", "loss_per_pass")
"""Options that a sweep sets itself, or that no axis can hold."""
LOWERING = ("observer", "strategy", "widen", "retrain")
"""Options that choose the passes, so that they say nothing where passes are given."""


_BITS = re.compile("[1-9][0-9]?/[1-9][0-9]?")
_PAIR = {PRECISION: ("weight-bits", "input-bits")}
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Point:
    """What one point of a grid changes."""

    settings: dict[str, Setting]
    """By axis, in the order of the axes."""
    target: str = ""
    """Another chip; empty for that of the sweep."""
    overrides: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Setting] = field(default_factory=dict)
    options: dict[str, Setting] = field(default_factory=dict)
    """Fields of :class:`Options`."""

    def apply(self, options: Options) -> Options:
        return replace(options, **self.options)  # type: ignore[arg-type]


def parse_axes(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Split ``name=value,value`` texts.

    Raises:
        NeutramsError: NT0544, for each text that is no axis.
    """
    found: dict[str, tuple[str, ...]] = {}
    faults = []
    for text in texts:
        name, _, values = text.partition("=")
        parts = tuple(part.strip() for part in values.split(","))
        if not name.strip() or not all(parts) or name.strip() in found:
            fault = error("NT0544", f"`{text}` is no axis").at(Place(f"--over {text}"))
            faults.append(fault.help("write a name, once, and its values: --over fan-in=32,64,128"))
            continue
        found[name.strip()] = parts
    if faults:
        raise NeutramsError(*faults)
    return found


def points(over: Axes) -> list[Point]:
    """Return every point of a grid; the last axis changes fastest.

    An axis is a limit (``fan-in``), ``precision`` (bits of weights and of inputs: ``4/8``), a key
    of the target (``core.rows``), ``target``, or an option of a compile (``strategy``,
    ``observer``, ``retrain``, ``seed``).

    Raises:
        NeutramsError: NT0544, for each axis that is none of these or holds a value it cannot.
    """
    faults: list[Diagnostic] = []
    axes = {
        name.strip(): list(_read(name.strip(), values, faults)) for name, values in over.items()
    }
    if not axes and not faults:
        fault = error("NT0544", "a sweep needs an axis")
        faults.append(fault.help("name one: --over fan-in=32,64,128"))
    names = [_canonical(name) for name in axes]
    changed = [each for name in names for each in _PAIR.get(name, (name,))]
    if twice := [name for name in dict.fromkeys(changed) if changed.count(name) > 1]:
        faults.append(error("NT0544", f"two axes change `{twice[0]}`"))
    if faults:
        raise NeutramsError(*faults)
    return [_point(dict(zip(names, chosen, strict=True))) for chosen in product(*axes.values())]


def _point(settings: dict[str, Setting]) -> Point:
    made = Point(settings, target=str(settings.get(TARGET, "")))
    for name, value in settings.items():
        if name in LIMITS:
            made.limits[name] = value
        elif name == PRECISION:
            bits = map(int, str(value).split("/"))
            made.limits.update(zip(_PAIR[PRECISION], bits, strict=True))
        elif "." in name:
            made.overrides[name] = str(value).lower() if isinstance(value, bool) else str(value)
        elif name != TARGET:
            made.options[name.replace("-", "_")] = _WORDS.get(str(value), value)
    return made


def _canonical(name: str) -> str:
    return name if "." in name else name.replace("_", "-")


def _read(name: str, values: Sequence[Setting], faults: list[Diagnostic]) -> Iterator[Setting]:
    """Yield the values of an axis, each once, as what the axis holds."""
    where = Place(f"--over {name}")
    kind = _kind(name)
    if kind is None:
        known = [*LIMITS, PRECISION, TARGET, *(key.replace("_", "-") for key in option_types())]
        near = get_close_matches(_canonical(name), known, n=2) or [*known, "keys such as core.rows"]
        fault = error("NT0544", f"a sweep cannot go over `{name}`").at(where)
        faults.append(fault.help("known: " + ", ".join(near)))
        return
    if isinstance(values, str):
        values = values.split(",")
    if not len(values):
        faults.append(error("NT0544", f"the axis `{name}` has no values").at(where))
    for value in dict.fromkeys(values):
        found = _value(value, kind)
        if _canonical(name) == PRECISION and not _BITS.fullmatch(str(value)):
            found = None
        if found is None:
            wanted = {int: "whole numbers", bool: "true or false"}.get(kind, "bits such as 4/8")
            fault = error("NT0544", f"`{name}` goes over {wanted}, not `{value}`").at(where)
            faults.append(fault)
        else:
            yield found


def _kind(name: str) -> type | None:
    canonical = _canonical(name)
    if canonical in LIMITS:
        return str if is_text(canonical) else int
    if canonical in (PRECISION, TARGET) or "." in name:
        return str
    return option_types().get(canonical.replace("-", "_"))


def _value(value: Setting, kind: type) -> Setting | None:
    if kind is str:
        return value if "." in str(value) or not str(value).isdecimal() else int(value)
    if type(value) is kind:
        return value
    text = str(value)
    if kind is int:
        return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else None
    return _WORDS.get(text)


@cache
def option_types() -> dict[str, type]:
    """Return the fields of :class:`Options` that an axis can hold, and their types."""
    hints = typing.get_type_hints(Options)
    kinds: dict[object, type] = {str: str, int: int, bool: bool, bool | str: str, int | str: str}
    return {k: kinds[hint] for k, hint in hints.items() if hint in kinds and k not in _OWN}
