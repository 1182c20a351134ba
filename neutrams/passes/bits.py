"""Precision of each layer: how many bits its weights and its inputs have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import quote, unquote

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.target import Target

REST = "*"
"""Name that stands for all layers that a plan does not name."""
PLAIN = "".join(c for c in map(chr, range(32, 127)) if c not in '%,="')
"""ASCII characters of a name that a text shows as they are."""


@dataclass(frozen=True, slots=True, order=True)
class Bits:
    """Widths of one layer."""

    weights: int
    inputs: int

    def __str__(self) -> str:
        return f"{self.weights}/{self.inputs}"


BitPlan = dict[str, Bits]
"""Bits by the name of what a layer makes; :data:`REST` for all others."""


def parse_bits(text: str) -> BitPlan:
    """Read ``conv1=8/8,fc=4/4``: weight and input bits by layer.

    Raises:
        NeutramsError: NT0240, for each part that is no such pair.
    """
    pairs = [part.strip().rpartition("=") for part in text.split(",") if part.strip()]
    return read_bits({unquote(name.strip()): bits for name, _, bits in pairs})


def read_bits(given: Mapping[str, object]) -> BitPlan:
    """Read bits from a mapping of names to ``"8/4"``, a pair, one number, or :class:`Bits`.

    Raises:
        NeutramsError: NT0240, for each value that is no such pair.
    """
    found: BitPlan = {}
    faults: list[Diagnostic] = []
    for name, value in given.items():
        bits = _pair(value)
        if bits is None or not name:
            shown = f"{name}={value}" if name else str(value)
            fault = error("NT0240", f"`{shown}` gives no layer its bits")
            faults.append(
                fault.note("weights take 2 to 16 bits, inputs 1 to 16").help(
                    "write weight bits and input bits by layer: conv1=8/8,fc=4/4"
                )
            )
        else:
            found[name] = bits
    if faults:
        raise NeutramsError(*faults)
    return found


def print_bits(plan: Mapping[str, Bits]) -> str:
    """Return the text that :func:`parse_bits` reads as this plan."""
    return ",".join(f"{_escaped(name)}={bits}" for name, bits in plan.items())


def check_bits(
    plan: BitPlan, layers: Iterable[str], target: Target | None, *, digits: bool = False
) -> None:
    """Check that a plan names layers there are, and stays within a target.

    With ``digits`` there may be more bits than a target has.

    Raises:
        NeutramsError: NT0241 and NT0242, every fault at once.
    """
    known = list(layers)
    faults = [_unknown(name, known) for name in plan if name != REST and name not in known]
    if target is not None and not digits:
        faults += [fault for name, bits in plan.items() for fault in _beyond(name, bits, target)]
    if faults:
        raise NeutramsError(*faults)


def _beyond(name: str, bits: Bits, target: Target) -> Iterator[Diagnostic]:
    limits = target.limits
    pairs = (
        ("weights", bits.weights, limits.weight_bits),
        ("inputs", bits.inputs, limits.input_bits),
    )
    for what, given, most in pairs:
        if given > most:
            message = f"`{name}` asks for {given}-bit {what}; `{target.name}` allows {most}"
            fault = error("NT0242", message)
            fault = fault.help(f"ask for {most} bits at most, or choose another chip")
            yield fault.help("or have them in digits, for more crossbars: --widen digits:named")


def _pair(value: object) -> Bits | None:
    if isinstance(value, Bits):
        numbers: list[object] = [value.weights, value.inputs]
    elif isinstance(value, str):
        parts = [part.strip() for part in value.split("/")]
        numbers = [int(p) if p.isdecimal() and len(p) < 3 else None for p in parts]
    else:
        numbers = list(value) if isinstance(value, list | tuple) else [value]
    numbers = numbers * 2 if len(numbers) == 1 else numbers
    match numbers:
        case [int(weights), int(inputs)] if 2 <= weights <= 16 and 1 <= inputs <= 16:
            return Bits(weights, inputs)
    return None


def _escaped(name: str) -> str:
    return "".join(c if c in PLAIN or ord(c) > 127 else quote(c, safe="") for c in name)


def _unknown(name: str, known: list[str]) -> Diagnostic:
    fault = error("NT0241", f"no layer on crossbars is called `{name}`")
    if close := get_close_matches(name, known, n=1):
        return fault.help(f"did you mean `{close[0]}`?")
    return fault.note("there are: " + (", ".join(known) or "none"))
