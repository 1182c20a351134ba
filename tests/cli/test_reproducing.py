"""``neutrams reproduce``: lists, runs and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neutrams import reproduce

from .conftest import Command


def test_recipes_are_listed(neutrams: Command) -> None:
    out = neutrams("reproduce", "--list").out
    assert all(recipe.name in out for recipe in reproduce.RECIPES)
    listed = json.loads(neutrams("reproduce", "--list", "--format", "json").out)
    assert [entry["name"] for entry in listed] == [r.name for r in reproduce.RECIPES]


def test_a_recipe_is_run_as_a_table_and_as_json(neutrams: Command) -> None:
    run = neutrams("reproduce", "adc-survey")
    assert run.code == 0
    assert "energy, 8 bits, 32 nm, 1 GS/s" in run.out
    found = json.loads(neutrams("reproduce", "adc-survey", "--format", "json").out)
    energy = next(r for r in found[0]["rows"] if r["quantity"] == "energy, 8 bits, 32 nm, 1 GS/s")
    assert energy["published"] == "1.71"
    assert energy["holds"]


def test_an_unknown_recipe_is_refused_with_those_there_are(neutrams: Command) -> None:
    run = neutrams("reproduce", "isaak")
    assert run.code == 1
    assert "NT0580" in run.err
    assert "isaac" in run.err


def test_nothing_named_is_a_fault_of_the_command_line(neutrams: Command) -> None:
    assert neutrams("reproduce").code == 2


def test_all_writes_the_page(
    neutrams: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = reproduce.recipes_named(["adc-survey"])
    monkeypatch.setattr(reproduce, "RECIPES", chosen)
    run = neutrams("reproduce", "--all", "-o", "page.md")
    assert run.code == 0, run.err
    page = (folder / "page.md").read_text(encoding="utf-8")
    assert "## adc-survey" in page
    assert "1 recipes, 0 numbers missed" in run.err
