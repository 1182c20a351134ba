"""``neutrams verify`` and ``neutrams export --to onnx`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from neutrams.ir.program import Program

from .conftest import Command

pytest.importorskip("onnxruntime")


def test_verify_text(neutrams: Command, program: Path) -> None:
    made = neutrams("verify", program, "-i", "test.npz")
    assert made.code == 0, made.err
    for words in ("simulator → onnxruntime", "the chain holds", "compared", "kept"):
        assert words in made.out


def test_verify_json(neutrams: Command, program: Path) -> None:
    made = neutrams("verify", program, "-i", "test.npz", "--format", "json", "--limit", "7")
    found = json.loads(made.out)
    assert (found["passed"], found["samples"]) == (True, 7)
    assert all(link["compared"] > 0 for link in found["links"])
    assert [link["largest_difference"] for link in found["links"][2:]] == 5 * [0]


def test_a_broken_link_exits_with_1_and_is_named(neutrams: Command, program: Path) -> None:
    broken = Program.load(program)
    name, weight = next(
        (n, w) for n, w in broken.module["main"].weights.items() if n.endswith("weights")
    )
    assert weight.data is not None
    weight.data = -weight.data
    broken.save("broken.ntp")
    made = neutrams("verify", "broken.ntp", "-i", "test.npz")
    assert made.code == 1
    assert "broken on 20 samples: float weights → unit weights" in made.out
    assert name.removesuffix(".weights") in made.out


def test_an_export_can_be_verified(neutrams: Command, program: Path, folder: Path) -> None:
    made = neutrams("export", program, "--to", "onnx", "-o", "net.onnx")
    assert made.code == 0, made.err
    assert "wrote net.onnx" in made.err
    assert [output.name for output in onnx.load(folder / "net.onnx").graph.output] == ["scores"]
    assert neutrams("verify", program, "-i", "test.npz", "--onnx", "net.onnx").code == 0
    (folder / "net.onnx").write_bytes(b"nothing")
    made = neutrams("verify", program, "-i", "test.npz", "--onnx", "net.onnx")
    assert made.code == 1
    assert "NT0552" in made.err


def test_lossy_converters_are_warned_about(neutrams: Command) -> None:
    made = neutrams(
        "compile", "net.nt", "-c", "calibration.npz", "-o", "lossy.ntp",
        "--set", "core.adc_bits=4", "--set", "core.cell_bits=4",
    )  # fmt: skip
    assert made.code == 0, made.err
    made = neutrams("export", "lossy.ntp", "--to", "onnx")
    assert made.code == 0
    assert "warning[NT0551]" in made.err
    assert "wrote lossy.onnx" in made.err


def test_a_wrong_kind_is_a_fault_of_the_command_line(neutrams: Command, program: Path) -> None:
    made = neutrams("export", program, "--to", "pdf")
    assert made.code == 2
    assert "`image` or `onnx` or `qdq`" in made.err


def test_a_qdq_export_says_how_far_it_is_off(neutrams: Command, program: Path) -> None:
    made = neutrams("export", program, "--to", "qdq", "-i", "test.npz")
    assert made.code == 0, made.err
    assert "warning[NT0555]" in made.err
    assert "on 20 samples" in made.err
    assert "of the answers are kept" in made.err
    assert "wrote net.qdq.onnx" in made.err
