"""Consoles, JSON, progress bars: data to stdout, the rest to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from neutrams.ir.diagnostics import Diagnostic

PLAIN_WIDTH = 120
"""Columns of what goes to a file or a pipe."""


def console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def show(*parts: RenderableType) -> None:
    """Print tables and text to stdout, without the blanks that tables end their lines with."""
    out = console()
    with out.capture() as held:
        for part in parts:
            out.print(part)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in held.get().splitlines()))


def show_lines(lines: Iterable[str]) -> None:
    """Print lines as they are to stdout."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def width() -> int:
    """Return the columns that tables may take."""
    return console().width


def show_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """Print a line of plain text to stderr."""
    print(text, file=sys.stderr)


def show_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    err = console(stderr=True)
    for index, diagnostic in enumerate(diagnostics):
        err.print(*([""] if index else []), _coloured(diagnostic), soft_wrap=True, sep="\n")


_COLOURS = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def _coloured(diagnostic: Diagnostic) -> Text:
    text = Text(diagnostic.render())
    head = f"{diagnostic.severity}[{diagnostic.code}]"
    text.stylize(_COLOURS[diagnostic.severity], 0, len(head))
    text.stylize("bold", len(head), len(head) + 2 + len(diagnostic.message))
    text.highlight_regex(r"(?m)^ *(-->|:::|\||= \w+:)", "blue")
    text.highlight_regex(r"(?m)\^+.*$", "red")
    return text


class Bar:
    """A progress bar on a terminal's stderr; elsewhere it is silent.

    It is a :data:`neutrams.driver.Progress`, and a context in which the bar stands.
    """

    def __init__(self) -> None:
        err = console(stderr=True)
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[count]}", style="dim"),
            TimeElapsedColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task = self._bars.add_task("starting", total=None, count="")

    def __enter__(self) -> Bar:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._bars.tasks[0].total = total or None
        count = f"{done:,}/{total:,}" if total else ""
        self._bars.update(self._task, description=stage, completed=done, count=count)
