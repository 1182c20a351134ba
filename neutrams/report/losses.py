"""What each pass lost, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from neutrams.passes import PassLoss
from neutrams.report.tables import table


def losses_text(losses: Sequence[PassLoss]) -> list[RenderableType]:
    """Return a line a pass; nothing where losses were not taken down."""
    if not losses:
        return []
    known = any(loss.accuracy is not None for loss in losses)
    heads = (">change of outputs", ">answers kept", ">as the original", ">accuracy", ">took")
    made = table("pass", *(head for head in heads if known or head != ">accuracy"))
    for loss in losses:
        cells = [f"{loss.change:.2g}", _percent(loss.kept), _percent(loss.agreement)]
        if known:
            cells.append("" if loss.accuracy is None else _percent(loss.accuracy))
        made.add_row(loss.name, *cells, f"{loss.seconds:.2f} s")
    return [made, Text()]


def losses_json(losses: Sequence[PassLoss]) -> dict[str, Any]:
    """Return what ``compile --loss-per-pass --format json`` adds; nothing without losses."""
    rows = [
        {key: None if isinstance(cell, float) and not isfinite(cell) else cell
         for key, cell in asdict(loss).items()}
        for loss in losses
    ]  # fmt: skip
    return {"loss_per_pass": rows} if rows else {}


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
