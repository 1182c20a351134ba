"""The verb that holds published numbers against ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neutrams.cli import options as shared


def reproduce(
    names: Annotated[list[str] | None, typer.Argument(help="Recipes; see --list.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the recipes.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Run every recipe and write the page of them.")
    ] = False,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where --all writes the page; docs/validation.md if not said.",
        ),
    ] = "",
    format: shared.Format = "text",
) -> None:
    """Compute published tables with our own targets: the published number, ours, the error."""
    from neutrams import reproduce as known
    from neutrams.cli.output import Bar, say, show, show_json
    from neutrams.driver import check_writable

    shared.checked_format(format)
    if listed:
        _list(format)
        return
    if bool(names) == everything:
        raise typer.BadParameter("name recipes, or say --list or --all")
    if output and not everything:
        raise typer.BadParameter("only --all writes a page", param_hint="--output")
    page = Path(output or "docs/validation.md")
    if everything:
        check_writable(page)
    chosen = known.RECIPES if everything else known.recipes_named(names or [])
    results = []
    with Bar() as bar:
        for index, recipe in enumerate(chosen):
            bar(recipe.name, index, len(chosen))
            results.append(known.run(recipe))
    if format == "json":
        show_json(known.as_json(results))
    elif not everything:
        show(*known.tables(results))
    if everything:
        known.write_page(results, page)
        missed = sum(len(result.missed) for result in results)
        say(f"wrote {page}: {len(results)} recipes, {missed} numbers missed")


def _list(format: str) -> None:
    from rich.table import Table

    from neutrams.cli.output import show, show_json
    from neutrams.reproduce import RECIPES

    if format == "json":
        show_json([{"name": r.name, "title": r.title, "source": r.source} for r in RECIPES])
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for recipe in RECIPES:
        table.add_row(f"[bold]{recipe.name}[/]", recipe.title, f"[dim]{recipe.source}[/]")
    show(table)
