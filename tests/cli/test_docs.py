"""Every command line in the manual is one that the program takes, and does."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper

from neutrams.cli.app import app

from .conftest import NET, Command

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINE = re.compile(r"^(?:    |\$ )(?:\$ )?neutrams ((?:.*\\\n)*.*)$", re.MULTILINE)
SLOW = ("demo", "reproduce", "sweep", "simulate model.ntp --inputs test.npz --resume")
"""What is only parsed here: it has tests of its own, or needs what they leave."""

OTHER = ("…", "examples/", "--bits auto", "--vcd")
"""In lines that are not whole, or ask for larger networks."""

SAME = {".ntp": "made.ntp", ".onnx": "model.onnx", ".npz": "test.npz"}
"""What a file of another name is a copy of."""


def lines() -> list[str]:
    """Return what follows `neutrams` in each line of shell, once."""
    found = [match for page in PAGES for match in LINE.findall(page.read_text())]
    joined = (re.sub(r"\\\n\s*", " ", text) for text in found)
    whole = (re.sub(r"\s+# .*", "", text).strip() for text in joined)
    return [text for text in dict.fromkeys(whole) if not re.fullmatch(r"\d+", text)]


def test_the_manual_has_lines() -> None:
    assert len(lines()) > 40


@pytest.mark.parametrize("text", lines())
def test_options_and_verbs_are_known(text: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(text)
    if words[-1] == "…":  # what is left out is required too
        words[-1:] = ["-i", "test.npz"] if words[0] == "sweep" else []
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    assert words or command.name in ("passes", "targets", "demo")
    if not hasattr(command, "commands"):
        command.make_context("neutrams", words)


def test_lines_do_what_they_say(neutrams: Command, folder: Path) -> None:
    _lay_out(folder)
    assert neutrams("compile", "model.onnx", "-c", "data.npz", "-o", "made.ntp").code == 0
    for text in lines():
        if text.startswith(SLOW) or any(part in text for part in OTHER):
            continue
        _lay_out(folder)  # an export may have written over the model
        words = shlex.split(text)
        for word in words:
            if Path(word).suffix in SAME and not Path(word).exists():
                shutil.copy(SAME[Path(word).suffix], word)
        ran = neutrams(*words)
        assert ran.code == 0, f"{text}\n{ran.err}"


def _lay_out(folder: Path) -> None:
    """Write the files that the manual's lines name."""
    random = np.random.default_rng(2)
    w = (random.standard_normal((3, 1, 3, 3)) / 3).astype(np.float32)
    fc = (random.standard_normal((108, 4)) / 10).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["conv1"], name="conv1"),
        helper.make_node("Relu", ["conv1"], ["relu"]),
        helper.make_node("Flatten", ["relu"], ["flat"]),
        helper.make_node("Gemm", ["flat", "m"], ["fc"], name="fc"),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8]),
        helper.make_tensor_value_info("fc", TensorProto.FLOAT, ["N", 4]),
    ]
    weights = [numpy_helper.from_array(w, "w"), numpy_helper.from_array(fc, "m")]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    x = random.standard_normal((40, 1, 8, 8)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=np.arange(40) % 4)
    np.savez(folder / "test.npz", x=x[:20], y=np.arange(20) % 4)
    (folder / "net.nt").write_text(NET)
    (folder / "plan.toml").write_text('[bits]\nconv1 = "8/8"\n"*" = "4/4"\n')
    (folder / "chip.toml").write_text('preset = "rram-wan"\nread-additive = 0.01\n')
