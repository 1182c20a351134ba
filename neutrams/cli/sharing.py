"""The verb that places several networks on one chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neutrams.ir.program import Program


def map_(
    programs: Annotated[
        list[str], typer.Argument(metavar="PROGRAM...", help="Compiled `.ntp` files for one chip.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FOLDER", help="Where the programs go.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Of the placement.")] = 0,
) -> None:
    """Place several networks on one chip: tiles of their own, one network between them."""
    from neutrams import driver
    from neutrams.cli.output import say

    folder = Path(output)
    for path in dict.fromkeys([folder.parent, *([folder] if folder.exists() else [])]):
        driver.check_writable(path / "program.ntp")
    placed = driver.together(load_all(programs), seed=seed)
    folder.mkdir(exist_ok=True)
    for name, program in placed.items():
        program.save(folder / f"{name}.ntp")
        say(f"wrote {folder / name}.ntp")


def load_all(paths: list[str]) -> dict[str, Program]:
    """Load programs by the names of their files, with a number where one is taken."""
    from neutrams.ir.program import Program

    found: dict[str, Program] = {}
    for path in paths:
        name, count = Path(path).stem, 1
        while name in found:
            count += 1
            name = f"{Path(path).stem}-{count}"
        found[name] = Program.load(path)
    return found
