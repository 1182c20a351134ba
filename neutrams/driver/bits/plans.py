"""Plans of bits as a user gives them: a text, a file, a mapping."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.passes.bits import BitPlan, parse_bits, read_bits

BitSource = str | Path | Mapping[str, object]
"""``conv1=8/8,fc=4/4``, a ``.toml`` or ``.json`` file of such entries, or a mapping of them."""
AUTO = "auto"
"""The source that asks for bits to be chosen."""
_ENDINGS = (".toml", ".json")


def load_bits(source: BitSource) -> BitPlan:
    """Read a plan of bits. A file may hold its entries in a table ``bits``.

    Raises:
        NeutramsError: NT0240, it is none.
    """
    if isinstance(source, Mapping):
        return read_bits(source)
    if str(source).endswith(_ENDINGS):
        return read_bits(_entries(Path(source)))
    return parse_bits(str(source))


def _entries(path: Path) -> Mapping[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
        held = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as fault:
        raise NeutramsError(_unreadable(path, fault.strerror or "it is no file")) from fault
    except (UnicodeDecodeError, ValueError) as fault:
        raise NeutramsError(_unreadable(path, str(fault))) from fault
    held = held.get("bits", held) if isinstance(held, dict) else held
    if not isinstance(held, dict):
        raise NeutramsError(_unreadable(path, "it holds no table of layers"))
    return held


def _unreadable(path: Path, reason: str) -> Diagnostic:
    fault = error("NT0240", "the plan of bits cannot be read").at(Place(str(path))).note(reason)
    return fault.help('write one line a layer: conv1 = "8/4"')
