"""A run that is stopped and goes on is the run that never stopped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import neutrams
from neutrams import driver
from neutrams.driver.checkpoints import checkpoints
from neutrams.driver.checkpoints import file as checkpoint_file
from neutrams.driver.checkpoints.interrupts import SIGNALS, Interrupted
from neutrams.driver.clocked import pace
from neutrams.driver.sweeping.cache import arrays_digest
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.program import Program
from neutrams.simulator.cycle import Machine, lay_out, routers_of
from neutrams.simulator.cycle.snapshot import restore, snapshot

EXAMPLES = Path(__file__).parents[2] / "examples"
SPREAD = {"tile.cores": 1, "core.crossbars": 1, "network.flit_bits": 8}
PHYSICS = {"physics": "rram-wan", "monte_carlo": 3}


@pytest.fixture(scope="module")
def program() -> Program:
    calibration = EXAMPLES / "digits_calibration.npz"
    return driver.compile(
        EXAMPLES / "mnist8_cntk.onnx", calibration=calibration, overrides=SPREAD, replicate=False
    )


@pytest.fixture(scope="module")
def digits() -> dict[str, Any]:
    with np.load(EXAMPLES / "digits_test.npz") as held:
        return {"x": held["x"][:40], "y": held["y"][:40]}


def stopping(after: int, by: signal.Signals = signal.SIGINT) -> Callable[[str, int, int], None]:
    """Return a progress that interrupts this process when it is told so often."""
    left = [after]

    def told(stage: str, done: int, total: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), by)

    return told


def same(a: driver.Simulation, b: driver.Simulation) -> bool:
    """Compare all that two runs found."""
    outputs = all((a.outputs[name] == b.outputs[name]).all() for name in a.outputs)
    return outputs and replace(a, outputs={}) == replace(b, outputs={})


OPTIONS: dict[str, dict[str, Any]] = {
    "tick": {"batch": 6},
    "physics": {"batch": 9, "seed": 4, **PHYSICS},
    "cycle": {"grain": "cycle", "batch": 30},
}


@pytest.mark.parametrize("kind", OPTIONS)
@settings(
    phases=[Phase.generate],
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_run_stopped_anywhere_goes_on_to_the_same_bits(
    kind: str,
    data: st.DataObject,
    program: Program,
    digits: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "FIRST", data.draw(st.integers(500, 5000)))
    monkeypatch.setattr(pace, "SOON", 0.0)
    options, path = OPTIONS[kind], tmp_path / "run.checkpoint"
    whole = neutrams.simulate(program, digits, **options)
    stops, resume = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)), ""
    for after in stops:
        try:
            by = data.draw(st.sampled_from(SIGNALS))
            tell = stopping(after, by)
            found = neutrams.simulate(
                program, digits, **options, checkpoint=path, resume=resume, progress=tell
            )
            break
        except Interrupted:
            resume = str(path)
    else:
        found = neutrams.simulate(program, digits, **options, resume=resume)
    assert same(found, whole)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_runs_in_processes_go_on_too(
    program: Program, digits: dict[str, Any], tmp_path: Path
) -> None:
    """Runs that are over and batches of those under way are kept, whoever did them."""
    path, options = tmp_path / "run.checkpoint", {**OPTIONS["physics"], "batch": 9}
    whole = neutrams.simulate(program, digits, **options)
    with pytest.raises(Interrupted):
        neutrams.simulate(
            program, digits, jobs=2, **options, checkpoint=path, progress=stopping_at(1)
        )
    assert {name.split("/")[1] for name in load_file(path)} >= {"run 0"}
    assert same(neutrams.simulate(program, digits, **options, resume=path), whole)


def stopping_at(runs: int) -> Callable[[str, int, int], None]:
    """Return a progress that interrupts this process when so many runs are over."""
    left = [1]

    def told(stage: str, done: int, total: int) -> None:
        if stage == "simulating" and done == runs and left:
            left.clear()
            os.kill(os.getpid(), signal.SIGINT)

    return told


def test_what_is_done_is_not_done_again(
    program: Program, digits: dict[str, Any], tmp_path: Path
) -> None:
    path, told = tmp_path / "run.checkpoint", list[int]()
    with pytest.raises(Interrupted):
        neutrams.simulate(program, digits, batch=10, checkpoint=path, progress=stopping(3))
    neutrams.simulate(
        program, digits, batch=10, resume=path, compare=True,
        progress=lambda stage, done, _: told.append(done) if stage == "simulating" else None,
    )  # fmt: skip
    assert told == [40]


def test_a_program_that_was_saved_goes_on_with_what_was_compiled(
    program: Program, digits: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "run.checkpoint"
    with pytest.raises(Interrupted):
        neutrams.simulate(program, digits, batch=10, checkpoint=path, progress=stopping(3))
    program.save(tmp_path / "a.ntp")
    again = Program.load(tmp_path / "a.ntp")
    found = neutrams.simulate(again, digits, batch=10, resume=path)
    assert same(found, neutrams.simulate(program, digits, batch=10))


@pytest.mark.parametrize("kind", ["rounds", "beside", "together"])
def test_rounds_and_networks_beside_go_on_too(
    kind: str, digits: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at every look in turn, until it is done."""
    model, path = EXAMPLES / "mnist8_cntk.onnx", tmp_path / "run.checkpoint"
    options: dict[str, Any] = {"grain": "cycle", "compare": False}
    run: Callable[..., Any] = partial(neutrams.simulate, inputs=digits)
    if kind == "rounds":
        small = {"chip.tiles": 2, "tile.cores": 1, "core.crossbars": 1}
        program = driver.compile(
            model, calibration=digits, overrides=small, rounds=None, replicate=False
        )
        run = partial(run, program)
    else:
        both = neutrams.together(dict.fromkeys("ab", driver.compile(model, calibration=digits)))
        run = partial(run, both["a"], beside={"b": both["b"]})
    if kind == "together":
        options, inputs = {"compare": True, "batch": 9}, {"a": digits, "b": {"x": digits["x"][:9]}}
        run = partial(neutrams.simulate_together, both, inputs)
    whole = run(**options)
    monkeypatch.setattr(pace, "FIRST", 150_000)
    monkeypatch.setattr(pace, "SOON", 0.0)
    resume, found, stops = "", None, 0
    while found is None:
        try:
            tell = stopping(3 + stops)
            found = run(**options, checkpoint=path, resume=resume, progress=tell)
        except Interrupted:
            resume, stops = str(path), stops + 1
    assert stops > 1
    if isinstance(found, driver.Simulation):
        found, whole = {"": found}, {"": whole}
    assert found.keys() == whole.keys()
    assert all(same(each, whole[name]) for name, each in found.items())


@pytest.fixture(scope="module")
def written(
    program: Program, digits: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint from the middle of the cycle grain."""
    path = tmp_path_factory.mktemp("written") / "run.checkpoint"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "FIRST", 7000)
        patch.setattr(pace, "SOON", 0.0)
        with pytest.raises(Interrupted) as stop:
            neutrams.simulate(program, digits, grain="cycle", checkpoint=path, progress=stopping(6))
    assert stop.value.checkpoint == str(path)
    assert any(name.startswith("machine/") for name in load_file(path))
    return path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"grain": "tick"}, "grain: there `cycle`, here `tick`"),
        ({"physics": "rram-wan", "seed": 5}, "seed: there `0`, here `5`"),
        ({"batch": 7}, "batch: there `None`, here `7`"),
        ({"limit": 20}, "inputs: there"),
        ({"compare": False}, "float network: there `True`, here `False`"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    program: Program, digits: dict[str, Any], written: Path, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(NeutramsError, match="NT0576") as fault:
        neutrams.simulate(program, digits, **{"grain": "cycle", **change}, resume=written)
    assert named in str(fault.value)
    assert str(written) in str(fault.value)


def test_a_checkpoint_of_another_program_is_refused(
    program: Program, digits: dict[str, Any], written: Path
) -> None:
    machine = replace(program.target.machine, io_gbytes_per_s=1.0)
    other = Program(program.module, replace(program.target, machine=machine), program.manifest)
    with pytest.raises(NeutramsError, match=r"NT0576[\s\S]*program: there"):
        neutrams.simulate(other, digits, grain="cycle", resume=written)


def test_a_damaged_checkpoint_is_refused(
    program: Program, digits: dict[str, Any], written: Path, tmp_path: Path
) -> None:
    content, path = written.read_bytes(), tmp_path / "damaged.checkpoint"
    flipped = bytearray(content)
    flipped[-1000] ^= 1
    cases = [
        content[:-1],
        content[: len(content) // 2],
        content[:9],
        b"",
        bytes(flipped),
        b"PK" * 99,
    ]
    cases += [b"\xff" * 8 + content[8:]]
    for case in cases:
        path.write_bytes(case)
        with pytest.raises(NeutramsError, match="NT0577"):
            neutrams.simulate(program, digits, grain="cycle", resume=path)
    with pytest.raises(NeutramsError, match="NT0577"):
        neutrams.simulate(program, digits, grain="cycle", resume=tmp_path / "none")


def forged(written: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write a checkpoint with other content and the right hash."""
    arrays, about = checkpoint_file._arrays(written)
    change(arrays)
    about["sha256"] = arrays_digest(sorted(arrays.items()))
    save_file(arrays, path, about)


def test_a_forged_checkpoint_is_refused(
    program: Program, digits: dict[str, Any], written: Path, tmp_path: Path
) -> None:
    path, arrays = tmp_path / "forged.checkpoint", load_file(written)
    name = next(key for key in arrays if key.startswith("batch/run 0/0/"))
    cases: list[Callable[[dict[str, Any]], Any]] = [
        lambda held: held.update({name: held[name][:-1]}),
        lambda held: held.update({name: held[name].astype(np.float64)}),
        lambda held: held.update({name.replace("/0/", "/7/"): held.pop(name)}),
        lambda held: held.update({"batch/run 0/1/" + name.split("/")[-1]: held[name]}),
        lambda held: held.update({"else": held[name]}),
        lambda held: held.update({"batch/run 0/0": held[name]}),
        lambda held: held.update({f"batch/run 0/{'9' * 5000}/x": held[name]}),
        lambda held: held.update({"batch/run 0/-1/x": held[name]}),
        lambda held: held.update({"machine/one": held[name]}),
    ]
    for case in cases:
        forged(written, path, case)
        with pytest.raises(NeutramsError, match="NT0577"):
            neutrams.simulate(program, digits, grain="cycle", resume=path)
    for of in ("[" * 100_000, "[]", "{", "null"):
        _, about = checkpoint_file._arrays(written)
        save_file(arrays, path, {**about, "of": of})
        with pytest.raises(NeutramsError, match="NT0577"):
            neutrams.simulate(program, digits, grain="cycle", resume=path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_forged_machine_does_harm(data: st.DataObject, program: Program) -> None:
    """Any byte of a snapshot may be any other: it is refused, or runs without harm."""
    layout, routers = lay_out(program), routers_of(program.target)
    machine = Machine(layout.plan, routers)
    machine.advance(data.draw(st.integers(0, 60_000)))
    held = snapshot(machine)
    name = data.draw(st.sampled_from([key for key in held if held[key].size]))
    forged = held[name].copy()
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, forged.size - 1))
        forged[place] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    other = Machine(layout.plan, routers)
    try:
        restore(other, {**held, name: forged})
        other.advance(other.clock + 20_000)
    except (ValueError, AssertionError):
        return
    assert other.clock >= 0


def test_a_machine_restored_is_the_machine(program: Program) -> None:
    layout, routers = lay_out(program, inferences=2), routers_of(program.target)
    whole = Machine(layout.plan, routers).run()
    for stop in range(1, whole.clocks, 29_973):
        machine, other = (Machine(layout.plan, routers) for _ in range(2))
        machine.advance(stop)
        restore(other, snapshot(machine))
        found = other.run()
        assert found.clocks == whole.clocks
        assert (found.stations == whole.stations).all()
        assert (found.packets == whole.packets).all()
        assert (found.load == whole.load).all()


def test_signals_are_left_alone_in_other_threads(
    program: Program, digits: dict[str, Any], tmp_path: Path
) -> None:
    found: list[driver.Simulation] = []
    run = threading.Thread(
        target=lambda: found.append(
            neutrams.simulate(program, digits, checkpoint=tmp_path / "a.checkpoint")
        )
    )
    run.start()
    run.join()
    assert same(found[0], neutrams.simulate(program, digits))


def test_checkpoints_are_written_now_and_then(
    program: Program, digits: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run goes on from any of them; where they cannot be written it ends well, and says so."""
    monkeypatch.setattr(checkpoints, "SHARE", 1e9)
    monkeypatch.setattr(pace, "FIRST", 20_000)
    monkeypatch.setattr(pace, "SOON", 0.0)
    path, kept = tmp_path / "run.checkpoint", list[bytes]()

    def told(stage: str, done: int, total: int) -> None:
        if path.exists() and path.read_bytes() not in kept:
            kept.append(path.read_bytes())

    options = {"grain": "cycle", "batch": 9, "checkpoint": path, "checkpoint_every": 1e-9}
    whole = neutrams.simulate(program, digits, progress=told, **options)  # type: ignore[arg-type]
    assert len(kept) > 3
    for content in kept[1::3]:
        path.write_bytes(content)
        assert same(neutrams.simulate(program, digits, grain="cycle", batch=9, resume=path), whole)
    gone = tmp_path / "gone"
    gone.mkdir()

    def removed(stage: str, done: int, total: int) -> None:
        if gone.exists() and not list(gone.iterdir()):
            gone.rmdir()

    options["checkpoint"] = gone / "run.checkpoint"
    found = neutrams.simulate(program, digits, progress=removed, **options)  # type: ignore[arg-type]
    assert [each.code for each in found.warnings if each.severity == "warning"][-1] == "NT0020"
    assert same(replace(found, warnings=whole.warnings), whole)


def test_nowhere_to_write_is_known_at_once(
    program: Program, digits: dict[str, Any], tmp_path: Path
) -> None:
    def never(stage: str, done: int, total: int) -> None:
        raise AssertionError(stage)

    with pytest.raises(NeutramsError, match="NT0020"):
        neutrams.simulate(program, digits, checkpoint=tmp_path / "no" / "a", progress=never)
    with pytest.raises(NeutramsError, match="NT0590"):
        neutrams.simulate(program, digits, checkpoint_every=5.0, progress=never)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_disk_that_is_full_costs_no_results(
    program: Program, digits: dict[str, Any], tmp_path: Path
) -> None:
    path, full = tmp_path / "run.checkpoint", neutrams.Record(trace="/dev/full", bin=1000)
    options: dict[str, Any] = {"grain": "cycle", "batch": 9}
    with pytest.raises(NeutramsError, match=r"NT0020[\s\S]*go on with --resume"):
        neutrams.simulate(program, digits, **options, record=full, checkpoint=path)
    told: list[str] = []
    found = neutrams.simulate(
        program, digits, **options, resume=path,
        progress=lambda stage, done, total: told.append(f"{stage} {done}"),
    )  # fmt: skip
    assert {text for text in told if text.startswith("simulating")} <= {"simulating 40"}
    assert same(found, neutrams.simulate(program, digits, **options))


def test_a_signal_that_is_ignored_stays_so(
    program: Program, digits: dict[str, Any], tmp_path: Path
) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        neutrams.simulate(
            program, digits, batch=10, checkpoint=tmp_path / "a.checkpoint",
            progress=stopping(2, signal.SIGTERM),
        )  # fmt: skip
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
