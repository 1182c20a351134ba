"""What is told to a user: a fault, where it is, why it is one, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one line of a text file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    length: int
    text: str
    """The whole source line, without its newline."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in a file without text: a model file and, where known, one of its nodes."""

    file: str
    node: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.node}" if self.node else self.file


Location = Span | Place


@dataclass(frozen=True, slots=True)
class Label:
    where: Location
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault; build it fluently: ``error("NT0101", "…").at(span, "…").note("…").help("…")``."""

    severity: Severity
    code: str
    message: str
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()

    def at(self, where: Location | None, text: str = "") -> Diagnostic:
        """Add a place; ``None`` (a graph built in memory) adds nothing."""
        if where is None:
            return self
        return replace(self, labels=(*self.labels, Label(where, text)))

    def note(self, text: str) -> Diagnostic:
        return replace(self, notes=(*self.notes, text))

    def help(self, text: str) -> Diagnostic:
        return replace(self, helps=(*self.helps, text))

    def render(self) -> str:
        """Return the diagnostic as text, in the layout of the Rust compiler."""
        lines = [f"{self.severity}[{self.code}]: {self.message}"]
        gutter = max((len(str(s.line)) for s in self._spans()), default=1)
        for index, label in enumerate(self.labels):
            arrow = "-->" if index == 0 else ":::"
            mark = "^" if index == 0 else "-"
            lines += _render_label(label, arrow, mark, gutter)
        pad = " " * (gutter + 2)
        if not self.notes and not self.helps and lines[-1].strip() == "|":
            lines.pop()
        lines += [f"{pad}= note: {text}" for text in self.notes]
        lines += [f"{pad}= help: {text}" for text in self.helps]
        return "\n".join(lines)

    def _spans(self) -> Iterable[Span]:
        return (label.where for label in self.labels if isinstance(label.where, Span))


def _render_label(label: Label, arrow: str, mark: str, gutter: int) -> list[str]:
    pad = " " * gutter
    lines = [f"{pad}{arrow} {label.where}"]
    if not isinstance(label.where, Span):
        return lines + ([f"{pad}  = {label.text}"] if label.text else [])
    span = label.where
    underline = " " * (span.column - 1) + mark * max(span.length, 1)
    return [
        *lines,
        f"{pad}  |",
        f" {span.line:>{gutter}} | {span.text}",
        f"{pad}  | {underline} {label.text}".rstrip(),
        f"{pad}  |",
    ]


def error(code: str, message: str) -> Diagnostic:
    return Diagnostic("error", code, message)


def warning(code: str, message: str) -> Diagnostic:
    return Diagnostic("warning", code, message)


class NeutramsError(Exception):
    """Something the user can mend; it carries every independent fault found."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("\n\n".join(d.render() for d in diagnostics))
        self.diagnostics = diagnostics
