"""Golden diagnostics: each ``x.nt`` is refused with exactly the text of ``x.stderr``."""

from __future__ import annotations

from pathlib import Path

import pytest

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.text import parse

HERE = Path(__file__).parent


@pytest.mark.parametrize("path", sorted(HERE.glob("*.nt")), ids=lambda path: path.stem)
def test_refusal_reads_as_recorded(path: Path, update_golden: bool) -> None:
    with pytest.raises(NeutramsError) as caught:
        parse(path.read_text(), file=path.name)
    text = str(caught.value) + "\n"
    golden = path.with_suffix(".stderr")
    if update_golden:
        golden.write_text(text)
    assert text == golden.read_text()
