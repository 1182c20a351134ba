"""Limits on the command line, tighter than those of the chip: ``--limit fan-in=64``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import cast

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.target import ALL, Range, Target
from neutrams.targets.build import build
from neutrams.targets.layers import Layer, Stack, Tree
from neutrams.targets.near import suggest
from neutrams.targets.schema import Key
from neutrams.targets.source import parse
from neutrams.targets.text import dump

LIMITS: dict[str, Key] = {
    "fan-in": ("limits", "fan_in"),
    "weight-bits": ("limits", "weight_bits"),
    "input-bits": ("limits", "input_bits"),
    "output-bits": ("limits", "output_bits"),
    "accumulator-bits": ("limits", "accumulator_bits"),
    "partial-sums": ("limits", "partial_sums"),
    "adc-bits": ("core", "adc_bits"),
    "neurons": ("limits", "neurons"),
    "weight-range": ("limits", "weight_range"),
    "input-range": ("limits", "input_range"),
    "output-range": ("limits", "output_range"),
    "bias-range": ("limits", "bias_range"),
    "fan-out": ("limits", "fan_out"),
    "crossbar-fan-out": ("limits", "crossbar_fan_out"),
    "functions": ("limits", "functions"),
    "lut-entries": ("limits", "lut_entries"),
}
"""Names of the limits, in the order in which they are applied: narrower weights come before the
neurons that then fit, and before their range."""

Limit = int | tuple[float, ...] | tuple[str, ...]
"""A whole number, a range (low, high and perhaps a step), or functions."""

_UNBOUNDED = ("adc-bits", "partial-sums", "fan-out", "crossbar-fan-out", "lut-entries")
"""Limits of which 0 stands for more than any number."""
_FOLLOWS: dict[str, Key] = {
    "fan-in": ("core", "rows"),
    "neurons": ("core", "columns"),
    "output-bits": ("limits", "input_bits"),
}
"""What a limit follows from where the target does not state it."""


def parse_limits(texts: Iterable[str]) -> dict[str, Limit]:
    """Split ``name=value`` texts; of one name given twice the last counts.

    Raises:
        NeutramsError: NT0317, for each text that is no limit.
    """
    found: dict[str, Limit] = {}
    faults: list[Diagnostic] = []
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if (limit := read_limit(name, value)) is not None:
            found[name] = limit
            continue
        fault = error("NT0317", f"`{text}` is no limit").at(Place(f"--limit {text}"))
        faults.append(fault.help(f"write a name and a value: --limit {_EXAMPLES[_kind(name)]}"))
    if faults:
        raise NeutramsError(*faults)
    return checked_limits(found)


def read_limit(name: str, text: str) -> Limit | None:
    """Return what a text says of a limit: ``64``, ``-7:7`` or ``relu+lut``; else ``None``."""
    kind = _kind(name)
    if kind == "functions":
        words = tuple(word.strip().replace("-", "_") for word in text.split("+"))
        return words if all(words) else None
    if kind == "range":
        parts = text.split(":")
        return tuple(map(float, parts)) if all(map(_NUMBER.fullmatch, parts)) else None
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else None


def checked_limits(limits: Mapping[str, object]) -> dict[str, Limit]:
    """Return limits by their names; ``fan_in`` stands for ``fan-in`` too.

    Raises:
        NeutramsError: NT0317, for each name that is no limit, and each value that none can have.
    """
    faults: list[Diagnostic] = []
    found: dict[str, Limit] = {}
    for given, value in limits.items():
        if value is None:  # as a target in memory spells a range that it does not state
            continue
        name, place = given.replace("_", "-"), Place(f"--limit {given}={_spelt(value)}")
        if name not in LIMITS:
            fault = error("NT0317", f"there is no limit `{given}`").at(place)
            faults.append(suggest(fault, name, LIMITS))
        elif (limit := _as_limit(name, value)) is None:
            wanted = _WANTED[_kind(name)]
            faults.append(error("NT0317", f"`{given}` must be {wanted}").at(place))
        else:
            found[name] = limit
    if faults:
        raise NeutramsError(*faults)
    return found


def is_text(name: str) -> bool:
    """Say whether a limit is a range or functions rather than a number."""
    return _kind(name) != "number"


def _as_limit(name: str, value: object) -> Limit | None:
    kind = _kind(name)
    if isinstance(value, str):
        return read_limit(name, value)
    if kind == "number":
        return value if type(value) is int else None
    if not isinstance(value, tuple | list):
        return None
    if kind == "functions":
        return tuple(value) if value and all(isinstance(word, str) for word in value) else None
    numbers = all(isinstance(part, int | float) for part in value)
    return tuple(map(float, value)) if numbers and len(value) in (2, 3) else None


def _kind(name: str) -> str:
    if name.replace("_", "-") == "functions":
        return "functions"
    return "range" if name.replace("_", "-").endswith("-range") else "number"


_NUMBER = re.compile(r"[+-]?\d{1,10}(\.\d{1,10})?")
_EXAMPLES = {
    "number": "fan-in=64",
    "range": "weight-range=-7:7",
    "functions": "functions=relu+lut",
}
_WANTED = {
    "number": "a whole number",
    "range": "a range: low, high and perhaps a step",
    "functions": "functions, one at least",
}


def _spelt(value: object) -> str:
    if not isinstance(value, tuple | list):
        return str(value)
    if all(isinstance(part, str) for part in value):
        return "+".join(value)
    return ":".join(f"{part:g}" for part in value)


def limited(
    stack: Stack,
    limits: Mapping[str, object],
    *,
    name: str,
    file: str,
    warn: Callable[[Diagnostic], None],
) -> Target:
    """Return the target of a stack with limits over it, which may only tighten it.

    Raises:
        NeutramsError: NT0317 and NT0318, and what :func:`build` raises.
    """
    wanted = checked_limits(limits)
    faults: list[Diagnostic] = []
    for limit, key in LIMITS.items():
        if limit not in wanted:
            continue
        base = build(stack, name=name, file=file, faults=[], warn=lambda _: None)
        value = wanted[limit]
        place = Place(f"--limit {limit}={_spelt(value)}")
        if (fault := _loosened(stack, base, limit, value, place)) is not None:
            faults.append(fault)
            continue
        stack = _over(stack, key, value, place)
        if limit == "input-bits" and "output-bits" not in wanted and isinstance(value, int):
            stack = _over(stack, LIMITS["output-bits"], min(base.limits.output_bits, value), place)
    if faults:
        raise NeutramsError(*faults)
    return build(stack, name=name, file=file, faults=[], warn=warn)


def tightened(target: Target, limits: Mapping[str, object]) -> Target:
    """Return a target in memory under tighter limits.

    Raises:
        NeutramsError: as :func:`limited`; NT0318 too for ``adc-bits``, on which costs depend that
            are worked out already.
    """
    if "adc-bits" in checked_limits(limits):
        fault = error("NT0318", f"the converters of `{target.name}` cannot be limited in memory")
        fault = fault.note("their costs were worked out when the target was read")
        raise NeutramsError(fault.help('read it again: load_target(..., {"core.adc_bits": "6"})'))
    layer = parse(dump(target), target.source or target.name)
    stated = cast(Tree, layer.tree["limits"])
    if target.limits.neurons == target.machine.core.columns // target.columns_per_neuron:
        del stated["neurons"]
    stack = Stack((layer,))
    made = limited(stack, limits, name=target.name, file=layer.file, warn=lambda _: None)
    return replace(made, source=target.source)


def _loosened(
    stack: Stack, base: Target, limit: str, value: Limit, place: Place
) -> Diagnostic | None:
    """Return the fault of a limit that asks for more than there is."""
    now, looser = _compared(base, limit, value)
    if not looser:
        return None
    source = _source(stack, limit)
    most = f"is {now}" if source == LIMITS[limit] else f"allows {now}"
    if value == 0 and limit in _UNBOUNDED:
        most += ", and 0 stands for " + (
            "an ideal converter" if limit == "adc-bits" else "any number"
        )
    fault = error("NT0318", f"`{limit}` can be {now} at most, not {_spelt(value)}").at(place)
    fault = fault.at(stack.where(source), most)
    return fault.note("a limit may only tighten what the chip has").help(
        f"another chip has more: --set {'.'.join(source)}=..."
    )


def _compared(base: Target, limit: str, value: Limit) -> tuple[str, bool]:
    """Return what the chip has, and whether a limit asks for more."""
    section, field = LIMITS[limit]
    now = getattr(base.limits if section == "limits" else base.machine.core, field)
    if isinstance(value, int):
        open_end = 0 if limit in _UNBOUNDED else -1
        return str(now), now != open_end and not open_end != value <= now
    if limit == "functions":
        return _spelt(now), ALL not in now and not set(value) <= set(now)
    if now is None or len(value) not in (2, 3) or not all(value[2:]):
        return "", False  # what a range may be is the schema's business
    low, high = Range(*cast(tuple[float, ...], value)).codes
    least, most = now.codes
    shown = _spelt((now.low, now.high, *([now.step] if now.step != 1 else [])))
    return shown, low < least or high > most


def _source(stack: Stack, limit: str) -> Key:
    section, field = LIMITS[limit]
    stated = field in cast(Tree, stack.tree[section])
    return LIMITS[limit] if stated else _FOLLOWS.get(limit, LIMITS[limit])


def _over(stack: Stack, key: Key, value: Limit, place: Place) -> Stack:
    held = value if isinstance(value, int) else list(value)
    tree: Tree = {key[0]: {key[1]: held}}
    return Stack((Layer(place.file, tree, {key: place}), *stack.layers))
