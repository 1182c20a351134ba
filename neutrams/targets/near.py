"""Guess what a mistyped word was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from neutrams.ir.diagnostics import Diagnostic


def suggest(diagnostic: Diagnostic, word: str, known: Iterable[str]) -> Diagnostic:
    """Add the nearest known words as a help, or all of them where none is near."""
    words = list(known)
    near = difflib.get_close_matches(word, words, n=2)
    if near:
        return diagnostic.help(f"did you mean {listed(near, 'or')}?")
    return diagnostic.help(f"known are {listed(words, 'and')}") if words else diagnostic


def listed(words: list[str], link: str) -> str:
    quoted = [f"`{word}`" for word in words]
    return f" {link} ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
