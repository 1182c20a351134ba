"""``docs/targets.md`` says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neutrams import targets
from neutrams.costs import roll_up
from neutrams.ir.events import EVENTS

PAGE = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")


def test_the_example_loads_without_doubts(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(inherits.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "mine.toml"
    path.write_text(example[1], encoding="utf-8")
    heard: list[object] = []
    chip = targets.load(str(path), warn=heard.append)
    assert chip.machine.core.rows == 64
    assert heard == []


def test_every_event_is_listed() -> None:
    assert [event for event in EVENTS if f"| `{event}` |" not in PAGE] == []


@pytest.mark.parametrize("name", targets.names())
def test_every_component_is_listed_with_its_source(name: str) -> None:
    section = PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]
    for part in targets.load(name).costs:
        row = re.search(rf"\| `{part.name}` \|.*", section)
        assert row is not None, part.name
        assert part.source in row[0]
    whole = roll_up(targets.load(name)).chip
    assert f"chip {whole.power_w:.1f} W, {whole.area_mm2:.1f} mm²" in section
