"""How names and strings are spelt: bare where they can be, else in JSON quotes."""

from __future__ import annotations

import json
import re

_BARE = re.compile(r"[A-Za-z_0-9][A-Za-z_0-9./\-]*")


def quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def spell(name: str) -> str:
    """Return a name as it stands after ``%`` or ``@``."""
    return name if _BARE.fullmatch(name) else quote(name)


def unquote(token: str) -> str:
    """Return the text of a name or string token, without its mark and quotes."""
    text = token[1:] if token[:1] in ("%", "@") else str(token)
    return str(json.loads(text)) if text.startswith('"') else text
