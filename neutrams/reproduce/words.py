"""Recipes in words: the page of all of them, a table for a terminal, JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from neutrams.reproduce.recipe import Result, Row

_HEADS = ("quantity", "published", "ours", "error", "bound", "holds")


def page(results: Sequence[Result], about: str) -> str:
    """Return a Markdown page: a summary, then one table a recipe."""
    rows = [row for result in results for row in result.rows]
    held = sum(row.holds for row in rows)
    without = sum(row.ours is None for row in rows)
    given = sum(bool(row.given) for row in rows if row.holds)
    told = f"{held} within their bound, {len(rows) - held - without} not, {without} not reproduced"
    told += f". {given} of those within are given: constants of ours are taken from them"
    lines = [about, f"{len(rows)} numbers: {told}.", ""]
    lines += ["| recipe | numbers | missed | not reproduced | source |", "|---|---|---|---|---|"]
    for result in results:
        recipe = result.recipe
        link = f"[{recipe.name}](#{recipe.name})"
        numbers = "not run" if result.absent else str(len(result.rows))
        without = sum(row.ours is None for row in result.rows)
        missed = len(result.missed) - without
        lines.append(f"| {link} | {numbers} | {missed} | {without} | {recipe.source} |")
    for result in results:
        lines += ["", *section(result)]
    return "\n".join(lines) + "\n"


def section(result: Result) -> list[str]:
    """Return the lines of one recipe: what it is, and its numbers."""
    recipe = result.recipe
    lines = [f"## {recipe.name}", "", f"{recipe.title}. Source: {recipe.source}.", ""]
    lines += [recipe.about, ""]
    if result.absent:
        return [*lines, f"Not run: {result.absent}."]
    lines += [f"| {' | '.join(_HEADS)} |", "|---|---:|---:|---:|---|---|"]
    notes = _notes(result.rows)
    lines += [f"| {' | '.join(_cells(row, notes, miss='**no**'))} |" for row in result.rows]
    return [*lines, *([""] if notes else []), *_listed(notes)]


def tables(results: Sequence[Result]) -> list[RenderableType]:
    """Return the recipes for a terminal."""
    parts: list[RenderableType] = []
    for result in results:
        recipe = result.recipe
        parts += [Text.assemble((recipe.name, "bold"), f"  {recipe.title}"), Text(recipe.source)]
        if result.absent:
            parts.append(Text(f"not run: {result.absent}"))
        else:
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
            for head in _HEADS:
                number = head in ("published", "ours", "error", "bound")
                table.add_column(
                    head, justify="right" if number else "left", no_wrap=head != _HEADS[0]
                )
            notes = _notes(result.rows)
            for row in result.rows:
                table.add_row(*_cells(row, notes, miss="no"))
            parts += [table, *(Text(line) for line in _listed(notes))]
        parts.append(Text())
    return parts


def as_json(results: Sequence[Result]) -> list[dict[str, object]]:
    return [
        {
            "name": result.recipe.name,
            "title": result.recipe.title,
            "source": result.recipe.source,
            "absent": result.absent,
            "rows": [
                {
                    "quantity": row.quantity,
                    "unit": row.unit,
                    "published": row.published,
                    "ours": row.ours,
                    "error": row.error,
                    "bound": row.within,
                    "most": row.most,
                    "holds": row.holds,
                    "why": row.why,
                    "given": row.given,
                    "note": row.note,
                }
                for row in result.rows
            ],
        }
        for result in results
    ]


def _notes(rows: Sequence[Row]) -> list[str]:
    """Return what there is to say of rows, each once: why they are missed, and other notes."""
    said = (text for row in rows for text in _of(row))
    return list(dict.fromkeys(said))


def _of(row: Row) -> list[str]:
    given = f"given: {row.given}" if row.given else ""
    return [text for text in ("" if row.holds else row.why, given, row.note) if text]


def _listed(notes: Sequence[str]) -> list[str]:
    return [f"{place}. {text}" for place, text in enumerate(notes, start=1)]


def _cells(row: Row, notes: Sequence[str], *, miss: str) -> list[str]:
    unit = f" {row.unit}" if row.unit else ""
    error = "-" if row.error is None else f"{100 * row.error:+.2f} %"
    bound = "all digits" if row.within is None else f"{100 * row.within:g} %"
    bound = "at most" if row.most else bound
    marks = "".join(f" ({notes.index(text) + 1})" for text in _of(row))
    return [
        row.quantity,
        row.published + unit,
        _ours(row) + (unit if row.ours is not None else ""),
        error,
        bound,
        ("yes" if row.holds else miss) + marks,
    ]


def _ours(row: Row) -> str:
    """Return our number with a digit more than the published one, where it has them."""
    if row.ours is None:
        return "-"
    if isinstance(row.ours, tuple):
        return ", ".join(map(str, row.ours))
    digits = len(row.published.partition(".")[2])
    finer = row.most or (row.within is not None and digits < 4)
    return f"{row.ours:,.{digits + finer}f}"
