"""What is wrong gives one clear diagnostic, the documented exit code, and no partial file."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from neutrams.driver import compiler

from .conftest import NET, Command

ROOT = Path(__file__).resolve().parents[2]


def model(**changes: object) -> onnx.ModelProto:
    """One matrix product; ``op`` and ``weights`` replace its parts."""
    weights = np.asarray(changes.get("weights", np.eye(4, dtype=np.float32)))
    op = str(changes.get("op", "MatMul"))
    node = helper.make_node(op, ["x", "w"], ["y"], name="only")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def not_onnx(folder: Path) -> None:
    (folder / "m.onnx").write_text("hello")


def truncated(folder: Path) -> None:
    content = model().SerializeToString()
    (folder / "m.onnx").write_bytes(content[: len(content) // 2])


def unknown_op(folder: Path) -> None:
    onnx.save(model(op="Frobnicate"), str(folder / "m.onnx"))


def nan_weights(folder: Path) -> None:
    onnx.save(model(weights=np.full((4, 4), np.nan, np.float32)), str(folder / "m.onnx"))


def escaping(folder: Path) -> None:
    made = model()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../../secret"), ("offset", "0"), ("length", "64")):
        tensor.external_data.add(key=key, value=value)
    (folder / "m.onnx").write_bytes(made.SerializeToString())


def gigantic(folder: Path) -> None:
    made = model()
    made.graph.initializer[0].dims[:] = [1 << 40, 1 << 20]
    (folder / "m.onnx").write_bytes(made.SerializeToString())


MODELS: dict[Callable[[Path], None], str] = {
    not_onnx: "NT0601",
    truncated: "NT06",
    unknown_op: "NT0609",
    nan_weights: "NT0607",
    escaping: "NT0602",
    gigantic: "NT060",
}


def assert_refused(neutrams: Command, folder: Path, code: str, *arguments: object) -> None:
    before = sorted(folder.rglob("*"))
    run = neutrams(*arguments)
    assert run.code == 1, run.err
    assert f"error[{code}" in run.err
    assert run.out == ""
    assert "Traceback" not in run.err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_models(neutrams: Command, folder: Path, make: Callable[[Path], None]) -> None:
    make(folder)
    assert_refused(neutrams, folder, MODELS[make], "compile", "m.onnx", "-o", "m.ntp")
    assert_refused(neutrams, folder, MODELS[make], "check", "m.onnx")


@pytest.mark.parametrize(
    ("x", "code"),
    [
        (np.zeros((0, 4)), "NT0524"),
        (np.zeros((3, 5)), "NT0522"),
        (np.zeros((3, 4), complex), "NT0523"),
        (np.full((3, 4), np.inf), "NT0529"),
    ],
)
def test_calibration(neutrams: Command, folder: Path, x: np.ndarray, code: str) -> None:
    np.savez(folder / "bad.npz", x=x)
    assert_refused(neutrams, folder, code, "compile", "net.nt", "-c", "bad.npz", "-o", "m.ntp")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--target", "cmi"), "NT0301"),
        (("--set", "core.row=64"), "NT03"),
        (("--set", "core.rows=many"), "NT03"),
        (("--passes", "fold-norm"), "NT0201"),
        (("--passes", "canonicalise"), "NT0541"),
        (("--preprocess", "size=3"), "NT0527"),
        (("-c", "none.npz"), "NT0520"),
        (("-o", "none/m.ntp"), "NT0020"),
        (("-o", "."), "NT0020"),
    ],
)
def test_options(neutrams: Command, folder: Path, options: tuple[str, ...], code: str) -> None:
    given = ("compile", "net.nt", "-c", "calibration.npz", "-o", "m.ntp", *options)
    assert_refused(neutrams, folder, code, *given)


def test_a_network_that_does_not_fit(neutrams: Command, folder: Path) -> None:
    small = ("--set", "chip.tiles=1", "--set", "tile.cores=1", "--set", "core.crossbars=1")
    given = ("compile", "net.nt", "-c", "calibration.npz", "-o", "m.ntp", *small)
    assert_refused(neutrams, folder, "NT0401", *given)
    found = neutrams("check", "net.nt", *small)
    assert found.code == 1
    assert "--set chip.tiles=2" in found.out


def test_graphs_in_text(neutrams: Command, folder: Path) -> None:
    (folder / "bad.nt").write_text(NET.replace("nn.relu", "nn.rely"))
    assert_refused(neutrams, folder, "NT00", "opt", "bad.nt")
    assert_refused(neutrams, folder, "NT0601", "opt", "none.nt")


@pytest.mark.parametrize("keep", [0, 100, 1000])
def test_programs(neutrams: Command, program: Path, folder: Path, keep: int) -> None:
    (folder / "cut.ntp").write_bytes(program.read_bytes()[:keep])
    assert_refused(neutrams, folder, "NT0021", "simulate", "cut.ntp", "-i", "test.npz")


def test_a_model_in_place_of_a_program(neutrams: Command, folder: Path) -> None:
    assert_refused(neutrams, folder, "NT0021", "simulate", "net.nt", "-i", "test.npz")
    told = neutrams("simulate", "net.nt", "-i", "test.npz").err
    assert "compile it first: neutrams compile net.nt -o net.ntp" in told


def test_labels(neutrams: Command, program: Path, folder: Path) -> None:
    run = ("simulate", program, "-i")
    assert_refused(neutrams, folder, "NT0525", *run, "calibration.npz", "--metric", "accuracy")
    assert_refused(neutrams, folder, "NT0528", *run, "test.npz", "--metric", "acuracy")
    assert_refused(neutrams, folder, "NT0020", *run, "test.npz", "--outputs", "none/out.npz")


def test_a_fault_of_our_own(neutrams: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(compiler, "map_units", broken)
    run = neutrams("compile", "net.nt", "-c", "calibration.npz", "--no-cache")
    assert run.code == 70
    assert "fault in neutrams" in run.err


def test_interrupted_while_writing(
    neutrams: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    before = sorted(folder.rglob("*"))
    monkeypatch.setattr(os, "fsync", interrupted)
    run = neutrams("compile", "net.nt", "-c", "calibration.npz", "-o", "m.ntp", "--no-cache")
    assert run.code == 130
    assert sorted(folder.rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_half_way(folder: Path) -> None:
    """The command waits for the rest of its input when the signal comes."""
    code = "import sys; from neutrams.cli import run; print('up', flush=True); sys.exit(run())"
    command = [sys.executable, "-c", code, "compile", "-", "-o", "m.ntp"]
    before = sorted(folder.rglob("*"))
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder.parent)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        while not list(folder.parent.glob("neutrams-*/stdin.onnx")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert sorted(folder.rglob("*")) == before
    assert not list(folder.parent.glob("neutrams-*"))


TOLD = """import sys
from neutrams.cli import output, run
output.Bar.__call__ = lambda *_: print(flush=True)
sys.exit(run())
"""
"""The command, with a line for each time that it tells how far it is."""


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_at_any_time_costs_nothing(neutrams: Command, program: Path, folder: Path) -> None:
    """Whenever the signal comes, the command that is printed goes on, to the same bytes."""
    x = np.tile(np.load(folder / "test.npz")["x"], (50, 1))
    np.savez(folder / "many.npz", x=x)
    assert neutrams("simulate", str(program), "-i", "test.npz", "--resume", "none").code == 1
    options = ["--physics", "rram-wan", "--monte-carlo", "40", "--batch", "100"]
    given = ["simulate", str(program), "-i", "many.npz", *options, "--outputs"]
    assert neutrams(*given, "whole.npz").code == 0
    given, random = [*given, "out.npz"], np.random.default_rng()
    for by in (signal.SIGINT, signal.SIGTERM, None):
        code, err = _stopped(given, int(random.integers(1, 39)), by)
        assert code == (130 if by else 0), err
        if by:
            assert "interrupted; what is done is in net.checkpoint" in err
            again = shlex.split(err.splitlines()[-1])
            assert again[-2:] == ["--resume", "net.checkpoint"]
            given = again[1:]
    assert (folder / "out.npz").read_bytes() == (folder / "whole.npz").read_bytes()


KILLED = """import os, sys, time
from safetensors.numpy import load_file
from neutrams.cli import output, run
from neutrams.driver import crew
from neutrams.driver.clocked import pace
pace.FIRST, pace.SOON, crew.LEAVE_S = 100, 0.0, 0.0
def told(*_):
    time.sleep(60 if os.path.exists("kept") and load_file("kept") else 0.02)
output.Bar.__call__ = told
if __name__ == "__main__":
    sys.exit(run())
"""
"""The command, which takes long once there is a checkpoint, so that it is killed on the way."""


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
@pytest.mark.parametrize("how", ["monte-carlo", "jobs", "cycle"])
def test_a_run_that_is_killed_goes_on(
    neutrams: Command, program: Path, folder: Path, how: str
) -> None:
    """With `kill -9`; and processes that worked for it end too."""
    x = np.tile(np.load(folder / "test.npz")["x"], (50, 1))
    np.savez(folder / "many.npz", x=x)
    physics = ["--physics", "rram-wan", "--monte-carlo", "8", "--batch", "50"]
    options = ["--grain", "cycle"] if how == "cycle" else physics
    given = ["simulate", str(program), "-i", "many.npz", *options, "--format", "json"]
    whole = neutrams(*given, "--outputs", "whole.npz")
    (folder / "slow.py").write_text(KILLED)
    kept, env = folder / "kept", {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    command = [sys.executable, "slow.py", *given, "--checkpoint", "kept"]
    command += ["--jobs", "2"] if how == "jobs" else []
    with subprocess.Popen(
        [*command, "--checkpoint-every", "0.02"], env=env, stdout=subprocess.PIPE
    ) as process:
        while not (kept.exists() and load_file(kept)):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == b""  # ends when the last process that holds it does
    assert process.returncode == -signal.SIGKILL
    again = neutrams(*given, "--outputs", "again.npz", "--resume", "kept")
    assert again == whole
    assert (folder / "again.npz").read_bytes() == (folder / "whole.npz").read_bytes()


def _stopped(command: list[str], after: int, by: signal.Signals | None) -> tuple[int, str]:
    """Run a command, and send it a signal when it has told so often how far it is."""
    with subprocess.Popen(
        [sys.executable, "-c", TOLD, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        if by is not None:
            for _ in range(after):
                process.stdout.readline()
            process.send_signal(by)
        _, err = process.communicate(timeout=60)
    return process.returncode, err.decode()
