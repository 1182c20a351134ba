"""Read a target file as TOML, and find where in its text each key stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, Span, error
from neutrams.targets.layers import Layer
from neutrams.targets.schema import Key

_PART = r"""(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\s*({_DOTTED})\s*\]")
_ENTRY = re.compile(rf"\s*({_DOTTED})\s*=")
_INNER = re.compile(rf"({_DOTTED})\s*=")
_QUIET = re.compile(r'"(?:\\.|[^"\\])*"(?!\s*[=.])|\'[^\']*\'(?!\s*[=.])|#.*')
_FENCE = re.compile(r'"""|\'\'\'')
_POSITION = re.compile(r" ?\(at line (\d+), column (\d+)\)$")


def parse(text: str, file: str) -> Layer:
    """Read the text of a target file.

    Raises:
        NeutramsError: NT0302, the text is not valid TOML.
    """
    try:
        tree = tomllib.loads(text)
    except ValueError as fault:  # also what an integer of thousands of digits raises
        raise NeutramsError(_syntax_fault(text, file, str(fault))) from fault
    except RecursionError as fault:
        diagnostic = error("NT0302", f"`{file}` is not valid TOML").at(Place(file))
        raise NeutramsError(diagnostic.note("its values are nested too deeply")) from fault
    return Layer(file, tree, dict(_places(text, file)))


def _syntax_fault(text: str, file: str, message: str) -> Diagnostic:
    diagnostic = error("NT0302", f"`{file}` is not valid TOML")
    reason = _POSITION.sub("", message)
    reason = reason[:1].lower() + reason[1:]
    found = _POSITION.search(message)
    lines = text.splitlines()
    if found is None or int(found[1]) > len(lines):
        return diagnostic.at(Place(file), reason)
    line, column = int(found[1]), int(found[2])
    source = lines[line - 1]
    return diagnostic.at(Span(file, line, min(column, len(source) + 1), 1, source), reason)


def _places(text: str, file: str) -> Iterator[tuple[Key, Span]]:
    """Yield every key with the place of its name; tables with that of their header."""
    table: Key = ()
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        was_fenced = fenced
        fenced ^= len(_FENCE.findall(line)) % 2 == 1
        if was_fenced:
            continue
        if (header := _HEADER.match(line)) is not None:
            table = _split(header[1])
            yield table, _span(file, number, line, header)
        elif (entry := _ENTRY.match(line)) is not None:
            key = (*table, *_split(entry[1]))
            yield key, _span(file, number, line, entry)
            rest = _QUIET.sub(lambda quiet: " " * len(quiet[0]), line[entry.end() :])
            for inner in _INNER.finditer(" " * entry.end() + rest):
                yield (*key, *_split(inner[1])), _span(file, number, line, inner)


def _span(file: str, number: int, line: str, found: re.Match[str]) -> Span:
    return Span(file, number, found.start(1) + 1, len(found[1]), line)


def _split(dotted: str) -> Key:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))
