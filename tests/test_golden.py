"""Golden files: ``; RUN: opt …``, a graph, and the text it becomes in ``; CHECK:`` lines."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest

from neutrams.ir.text import parse, print_module
from neutrams.passes import PASSES, PassContext, PassManager
from neutrams.targets import load, parse_overrides

HERE = Path(__file__).parent / "text"
FILES = sorted(HERE.rglob("*.nt"))
RUN, CHECK = "; RUN: opt ", "; CHECK: "


def command(line: str) -> argparse.Namespace:
    """Read the options of ``neutrams opt`` that golden files use."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--passes", default="")
    parser.add_argument("--target", default="")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--remarks", action="store_true")
    return parser.parse_args(shlex.split(line))


def output_of(text: str, line: str) -> str:
    """Return what ``neutrams opt`` prints: the graphs, then the remarks if asked for."""
    options = command(line)
    target = (
        load(options.target, overrides=parse_overrides(options.set)) if options.target else None
    )
    ctx = PassContext(target=target)
    module = parse(text)
    for graph in module.roots():
        PassManager(options.passes).run(graph, ctx)
    remarks = "".join(f"{remark}\n" for remark in ctx.remarks) if options.remarks else ""
    return print_module(module) + remarks


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HERE)))
def test_passes_give_the_expected_text(path: Path, update_golden: bool) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    source = [line for line in lines if not line.startswith(CHECK.rstrip())]
    runs = [line.removeprefix(RUN) for line in source if line.startswith(RUN)]
    assert len(runs) == 1, f"{path.name} needs one RUN line"
    found = output_of("\n".join(source), runs[0]).splitlines()
    expected = [f"{CHECK}{line}".rstrip() for line in found]
    if update_golden:
        path.write_text("\n".join([*_trimmed(source), "", *expected, ""]), encoding="utf-8")
    kept = [line.rstrip() for line in lines if line.startswith(CHECK.rstrip())]
    assert update_golden or kept == expected


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HERE)))
def test_golden_files_survive_parse_and_print(path: Path) -> None:
    printed = print_module(parse(path.read_text(encoding="utf-8")))
    assert print_module(parse(printed)) == printed


def test_every_pass_has_a_golden_file() -> None:
    run = " ".join(line for p in FILES for line in p.read_text().splitlines() if RUN in line)
    data = ("calibrate", "equalise-channels", "retrain-units")
    untested = [name for name in PASSES if name not in run and name not in data]
    assert not untested, "passes that read data files are tested by themselves"


def _trimmed(lines: list[str]) -> list[str]:
    end = max(index for index, line in enumerate(lines) if line.strip()) + 1
    return lines[:end]
