"""Numbers as people read them."""

from __future__ import annotations

_PREFIXES = tuple((10.0 ** (9 - 3 * i), prefix) for i, prefix in enumerate("GMk mµnpf"))


def quantity(value: float, unit: str) -> str:
    """Return three significant digits with a prefix: ``quantity(2.5e-6, "s")`` is ``2.5 µs``."""
    if not value:
        return f"0 {unit}".rstrip()
    for size, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * size:
            return f"{_digits(value / size)} {prefix.strip()}{unit}".rstrip()
    return f"{value:.3g} {unit}"


def count(value: float) -> str:
    """Return a whole number in groups of three, or with a prefix where it is large."""
    return f"{value:,.0f}" if abs(value) < 1e6 else quantity(value, "")


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def area(mm2: float) -> str:
    """Return mm², or µm² where that is little; or 0."""
    if not mm2:
        return "0 mm²"
    return f"{_digits(mm2)} mm²" if mm2 >= 0.01 else f"{mm2 * 1e6:,.0f} µm²"


def _digits(value: float) -> str:
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 9.995 else f"{value:.1f}"
