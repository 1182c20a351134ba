"""The parity chain as a table and as JSON."""

from __future__ import annotations

from math import isfinite
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from neutrams.driver import Link, Verification
from neutrams.report.tables import table
from neutrams.report.units import count, percent

_STYLES = {"passed": "green", "broken": "bold red", "not run": "yellow"}


def verification_text(found: Verification) -> list[RenderableType]:
    """Return what ``verify`` shows: a row for each link, then whether the chain holds."""
    made = table("link", "", ">compared", ">largest difference", "~what")
    for link in found.links:
        made.add_row(
            link.name,
            Text(link.state, style=_STYLES[link.state]),
            count(link.compared) if link.compared else "",
            f"{link.difference:.4g}" if link.compared else "",
            Text(_what(link), style="dim"),
        )
    return [made, Text(), _verdict(found)]


def verification_json(found: Verification) -> dict[str, Any]:
    """Return what ``verify --format json`` emits."""
    return {
        "passed": found.passed,
        "samples": found.samples,
        "links": [
            {
                "name": link.name,
                "state": link.state,
                "compared": link.compared,
                "largest_difference": link.difference if isfinite(link.difference) else None,
                "first_difference": link.first or None,
                "retention": link.retention,
                "float_functions_compared": link.near,
                "float_functions_relative_difference": link.near_difference
                if isfinite(link.near_difference)
                else None,
                "note": link.note or None,
            }
            for link in found.links
        ],
    }


def _what(link: Link) -> str:
    parts = []
    if link.first:
        parts.append(f"first at `{link.first}`")
    if link.retention is not None:
        parts.append(f"{percent(link.retention)} kept")
    if link.near:
        parts.append(
            f"{count(link.near)} of them behind float functions, "
            f"within {link.near_difference:.2g} of the largest"
        )
    return "; ".join([*parts, link.note] if link.note else parts)


def _verdict(found: Verification) -> Text:
    samples = f"{count(found.samples)} sample" + ("s" if found.samples != 1 else "")
    broken = [link.name for link in found.links if link.state == "broken"]
    if broken:
        return Text.assemble(("broken", "bold red"), f" on {samples}: {', '.join(broken)}")
    skipped = sum(link.state == "not run" for link in found.links)
    rest = f"; {skipped} not run" if skipped else ""
    return Text.assemble(("the chain holds", "bold green"), f" on {samples}{rest}")
