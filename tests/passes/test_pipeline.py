"""Pipelines in text: what is read, what is refused, and where the fault is shown."""

from __future__ import annotations

import pytest

from neutrams.ir.diagnostics import NeutramsError
from neutrams.passes import PASSES, PassManager, describe, parse_pipeline, print_pipeline
from neutrams.passes.calibrate import Calibrate
from neutrams.passes.fuse_clips import FuseClips
from neutrams.passes.split_fan_in import SplitFanIn


def test_options_are_read_by_type() -> None:
    assert parse_pipeline("fuse-clips{across-branches=true},split-fan-in{rows=64 neurons=32}") == [
        FuseClips(across_branches=True),
        SplitFanIn(rows=64, neurons=32),
    ]
    assert parse_pipeline('calibrate{observer="percentile", percentile=99.9}') == [
        Calibrate(observer="percentile", percentile=99.9)
    ]


@pytest.mark.parametrize("text", ["", "  ", "fuse-clips,\n  fold-norms", "calibrate{samples=3},"])
def test_printed_pipelines_read_back(text: str) -> None:
    passes = parse_pipeline(text)
    assert parse_pipeline(print_pipeline(passes)) == passes


@pytest.mark.parametrize(
    ("text", "code", "column", "says"),
    [
        ("fuse-clip", "NT0201", 1, "did you mean `fuse-clips`?"),
        ("fold-norms,frobnicate", "NT0201", 12, "known:"),
        ("split-fan-in{row=3}", "NT0202", 14, "did you mean `rows`?"),
        ("split-fan-in{rows=many}", "NT0203", 19, "expects a whole number"),
        ("split-fan-in{rows=1.5}", "NT0203", 19, "expects a whole number"),
        ("calibrate{observer=best}", "NT0203", 20, "`mse`"),
        ("fuse-clips{across-branches=1}", "NT0203", 28, "expects true or false"),
        ("fuse-clips{", "NT0204", 12, "ends too early"),
        ("fuse-clips fold-norms", "NT0204", 12, "does not belong here"),
    ],
)
def test_faults_are_located(text: str, code: str, column: int, says: str) -> None:
    with pytest.raises(NeutramsError) as caught:
        parse_pipeline(text)
    rendered = str(caught.value)
    assert f"error[{code}]" in rendered
    assert f"<pipeline>:1:{column}" in rendered
    assert says in rendered


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(NeutramsError) as caught:
        parse_pipeline("nope,split-fan-in{row=1 rows=x}")
    assert [d.code for d in caught.value.diagnostics] == ["NT0201", "NT0202", "NT0203"]


def test_a_manager_takes_text_and_passes_mixed() -> None:
    manager = PassManager([FuseClips(), "fold-norms,fold-scales"])
    assert [made.name for made in manager.passes] == ["fuse-clips", "fold-norms", "fold-scales"]


def test_every_pass_describes_itself() -> None:
    found = describe()
    assert [info.name for info in found] == sorted(PASSES)
    assert all(info.summary.endswith(".") for info in found)
    rows = next(info for info in found if info.name == "split-fan-in").options[0]
    assert rows == ("rows", "a whole number", "0")
