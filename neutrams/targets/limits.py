"""Limits on the command line, tighter than those of the chip: ``--limit fan-in=64``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import cast

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.target import Target
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
}
"""Names of the limits, in the order in which they are applied: narrower weights come before the
neurons that then fit."""

_UNBOUNDED = ("adc-bits", "partial-sums")
"""Limits of which 0 stands for more than any number."""

_FOLLOWS: dict[str, Key] = {
    "fan-in": ("core", "rows"),
    "neurons": ("core", "columns"),
    "output-bits": ("limits", "input_bits"),
}
"""What a limit follows from where the target does not state it."""


def parse_limits(texts: Iterable[str]) -> dict[str, int]:
    """Split ``name=number`` texts; of one name given twice the last counts.

    Raises:
        NeutramsError: NT0317, for each text that is no limit.
    """
    found: dict[str, int] = {}
    faults: list[Diagnostic] = []
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if value.isdecimal() and value.isascii() and len(value) < 10:
            found[name] = int(value)
            continue
        fault = error("NT0317", f"`{text}` is no limit").at(Place(f"--limit {text}"))
        faults.append(fault.help("write a name and a whole number: --limit fan-in=64"))
    if faults:
        raise NeutramsError(*faults)
    return checked_limits(found)


def checked_limits(limits: Mapping[str, int]) -> dict[str, int]:
    """Return limits by their names; ``fan_in`` stands for ``fan-in`` too.

    Raises:
        NeutramsError: NT0317, for each name that is no limit, and each value that is no number.
    """
    faults: list[Diagnostic] = []
    found: dict[str, int] = {}
    for given, value in limits.items():
        name, place = given.replace("_", "-"), Place(f"--limit {given}={value}")
        if name not in LIMITS:
            fault = error("NT0317", f"there is no limit `{given}`").at(place)
            faults.append(suggest(fault, name, LIMITS))
        elif type(value) is not int:
            faults.append(error("NT0317", f"`{given}` must be a whole number").at(place))
        else:
            found[name] = value
    if faults:
        raise NeutramsError(*faults)
    return found


def limited(
    stack: Stack,
    limits: Mapping[str, int],
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
        value, place = wanted[limit], Place(f"--limit {limit}={wanted[limit]}")
        if (fault := _loosened(stack, base, limit, value, place)) is not None:
            faults.append(fault)
            continue
        stack = _over(stack, key, value, place)
        if limit == "input-bits" and "output-bits" not in wanted:
            stack = _over(stack, LIMITS["output-bits"], min(base.limits.output_bits, value), place)
    if faults:
        raise NeutramsError(*faults)
    return build(stack, name=name, file=file, faults=[], warn=warn)


def tightened(target: Target, limits: Mapping[str, int]) -> Target:
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
    stack: Stack, base: Target, limit: str, value: int, place: Place
) -> Diagnostic | None:
    """Return the fault of a limit that asks for more than there is."""
    section, field = LIMITS[limit]
    now = cast(int, getattr(base.limits if section == "limits" else base.machine.core, field))
    ideal = 0 if limit in _UNBOUNDED else -1
    if now == ideal or ideal != value <= now:
        return None
    source = _source(stack, limit)
    most = f"is {now}" if source == LIMITS[limit] else f"allows {now}"
    if value == ideal:
        what = "an ideal converter" if limit == "adc-bits" else "any number"
        most += f", and 0 stands for {what}"
    fault = error("NT0318", f"`{limit}` can be {now} at most, not {value}").at(place)
    fault = fault.at(stack.where(source), most)
    return fault.note("a limit may only tighten what the chip has").help(
        f"another chip has more: --set {'.'.join(source)}=..."
    )


def _source(stack: Stack, limit: str) -> Key:
    section, field = LIMITS[limit]
    stated = field in cast(Tree, stack.tree[section])
    return LIMITS[limit] if stated else _FOLLOWS.get(limit, LIMITS[limit])


def _over(stack: Stack, key: Key, value: int, place: Place) -> Stack:
    tree: Tree = {key[0]: {key[1]: value}}
    return Stack((Layer(place.file, tree, {key: place}), *stack.layers))
