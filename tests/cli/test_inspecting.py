"""Passes, targets, diagnostics, graphs in text, and the program's own manners."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neutrams import __version__
from neutrams.ir.codes import CODES
from neutrams.passes import PASSES

from .conftest import NET, Command

ROOT = Path(__file__).resolve().parents[2]
MAIN = "import sys; from neutrams.cli import run; sys.exit(run())"


def test_opt_prints_what_it_reads(neutrams: Command) -> None:
    run = neutrams("opt", "net.nt")
    assert (run.code, run.out) == (0, NET)


def test_opt_runs_passes_and_remarks(neutrams: Command) -> None:
    run = neutrams("opt", "net.nt", "--passes", "canonicalise", "--timing", "--print-after", "all")
    assert run.code == 0
    assert "graph @net" in run.out
    assert "ms  canonicalise" in run.err
    assert "; after canonicalise" in run.err


def test_opt_writes_weights_beside_the_text(neutrams: Command, folder: Path) -> None:
    net = NET.replace("f32[4, 3] = [1, -2, 0.5, 0.25, 1, -1, -0.5, 2, 1, 0, -1, 0.75]", "{}")
    run = neutrams("opt", "net.nt", "-o", "copy.nt")
    assert run.code == 0, run.err
    assert (folder / "copy.nt").read_text() == NET
    assert "{}" in net
    assert neutrams("opt", "copy.nt").out == NET


def test_passes_are_all_listed(neutrams: Command) -> None:
    out = neutrams("passes").out
    assert all(name in out for name in PASSES)
    listed = json.loads(neutrams("passes", "--format", "json").out)
    assert {info["name"] for info in listed} == set(PASSES)


def test_targets_are_listed_and_shown(neutrams: Command) -> None:
    assert {"cim", "isaac"} <= {line.split()[0] for line in neutrams("targets").out.splitlines()}
    shown = neutrams("targets", "show", "cim", "--sources").out
    assert "rows" in shown
    assert "sources" in shown
    chip = json.loads(
        neutrams("targets", "show", "cim", "--set", "core.rows=64", "--format", "json").out
    )
    assert chip["machine"]["core"]["rows"] == 64


@pytest.mark.parametrize("code", ["NT0601", "nt0401"])
def test_explain(neutrams: Command, code: str) -> None:
    run = neutrams("explain", code)
    assert run.code == 0
    assert " ".join(run.out.split()) == f"{code.upper()} {CODES[code.upper()]}"


@pytest.mark.parametrize(
    "options", [("--set", "core.rows=64"), ("--limit", "fan-in=4"), ("--print-after", "fold")]
)
def test_opt_refuses_what_changes_nothing(neutrams: Command, options: tuple[str, ...]) -> None:
    run = neutrams("opt", "net.nt", "--passes", "canonicalise", *options)
    assert (run.code, run.out) == (1, "")
    assert f"error[NT0590]: `{options[0]}` changes nothing" in run.err


def test_explain_an_unknown_code(neutrams: Command) -> None:
    run = neutrams("explain", "NT9999")
    assert run.code == 1
    assert "NT0542" in run.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile",),
        ("compiel", "net.nt"),
        ("compile", "net.nt", "--format", "xml"),
        ("compile", "net.nt", "--dim", "N"),
        ("simulate", "net.ntp"),
        ("export", "net.ntp", "--to", "gds"),
    ],
)
def test_wrong_command_lines(neutrams: Command, arguments: tuple[str, ...]) -> None:
    run = neutrams(*arguments)
    assert run.code == 2
    assert run.out == ""
    assert run.err


def test_version_and_help(neutrams: Command) -> None:
    assert neutrams("--version").out == f"neutrams {__version__}\n"
    assert "simulate" in neutrams("--help").out


def test_streams_in_a_pipe(program: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def pipe(data: bytes, *arguments: str) -> bytes:
        command = [sys.executable, "-c", MAIN, *arguments]
        run = subprocess.run(command, input=data, capture_output=True, env=environment, check=True)
        return run.stdout

    assert pipe(NET.encode(), "opt", "-").decode() == NET
    out = pipe(program.read_bytes(), "simulate", "-", "-i", "test.npz", "--format", "json")
    assert json.loads(out)["samples"] == 20
