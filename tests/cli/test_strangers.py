"""What a newcomer gets wrong with the simulator: refused with its reason, or warned of."""

from __future__ import annotations

import errno
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neutrams as api
from neutrams import targets
from neutrams.ir.diagnostics import NeutramsError

from .conftest import Command

RAN = ("simulate", "net.ntp", "-i")


def refused(neutrams: Command, code: int, text: str, *arguments: object) -> None:
    run = neutrams(*arguments)
    assert (run.code, run.out) == (code, ""), run.err
    assert text in " ".join(run.err.replace("│", " ").split())
    assert "Traceback" not in run.err
    assert "Warning" not in run.err


@pytest.mark.parametrize(
    ("physics", "text"),
    [
        ("read-additive=1e300", "`read_additive` is 1e+300; it must be 0 to 1e+06"),
        ("read-aditive=0.1", "did you mean `read-additive`?"),
        ("adc-gain=0.1,adc_gain=0.2", "`adc_gain` is given twice"),
        ("pcm,rram-wan", "`rram-wan` is no `key=value`"),
        ("pcm,", "`` is no `key=value`"),
        ("list.toml", "`read-additive` is `[1]`; it must be a number"),
        ("none.toml", "physics cannot be read: No such file"),
    ],
)
@pytest.mark.usefixtures("program")
def test_physics(neutrams: Command, folder: Path, physics: str, text: str) -> None:
    (folder / "list.toml").write_text("read-additive = [1]")
    refused(neutrams, 1, text, *RAN, "test.npz", "--physics", physics)


@pytest.mark.usefixtures("program")
def test_physics_are_shown_as_they_may_be_given_again(neutrams: Command) -> None:
    text = "device=pcm,compensate=true,flicker=true,read-additive=0.01"
    run = neutrams(*RAN, "test.npz", "--physics", "pcm, read-additive=0.01")
    assert f"physics               {text}\n" in run.out
    again = neutrams(*RAN, "test.npz", "--physics", text)
    assert again.out == run.out


@pytest.mark.parametrize(
    ("labels", "metric", "text"),
    [
        (np.full(20, 7), "accuracy", "labels lie in 7..7, and classes in 0..1"),
        (np.zeros(20, np.int64), "topk:3", "there are 2 classes, and no 3 best ones"),
        (np.zeros(20), "accuracy", "labels [20] and type float64"),
        (np.array([["a", "b"]] * 20), "mae", "labels must be finite numbers; they are of type <U1"),
        (np.full((20, 2), np.nan), "mse", "labels must be finite numbers"),
    ],
)
@pytest.mark.usefixtures("program")
def test_labels(
    neutrams: Command, folder: Path, labels: np.ndarray, metric: str, text: str
) -> None:
    np.savez(folder / "l.npz", x=np.zeros((20, 4), np.float32), y=labels)
    refused(neutrams, 1, text, *RAN, "l.npz", "--metric", metric)


@pytest.mark.usefixtures("program")
def test_labels_that_do_not_fit_cost_no_run(
    neutrams: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise AssertionError("it ran")

    monkeypatch.setattr("neutrams.driver.tasks.run_all", fail)
    np.savez(folder / "l.npz", x=np.zeros((20, 4), np.float32), y=np.full(20, 7))
    refused(neutrams, 1, "labels lie in 7..7", *RAN, "l.npz")


@pytest.mark.usefixtures("program")
def test_samples(neutrams: Command, folder: Path) -> None:
    np.savez(folder / "large.npz", x=np.full((2, 4), 1e300))
    refused(neutrams, 1, "too large for f32", *RAN, "large.npz")
    with zipfile.ZipFile(folder / "odd.npz", "w") as archive:
        archive.writestr("x.npy", b"hello")
    refused(neutrams, 1, "its member `x` is no array", *RAN, "odd.npz")
    np.savez(folder / "labels.npz", y=np.zeros(3))
    refused(neutrams, 1, "they hold `y`", *RAN, "labels.npz")


@pytest.mark.usefixtures("program")
def test_samples_of_another_range_are_warned_of(neutrams: Command, folder: Path) -> None:
    assert "NT0530" not in neutrams(*RAN, "test.npz").out
    test = np.load(folder / "test.npz")
    np.savez(folder / "bytes.npz", x=(test["x"] * 127).astype(np.int8), y=test["y"])
    out = neutrams(*RAN, "bytes.npz").out
    assert "NT0530" in out
    assert "the range of calibration" in out


@pytest.mark.parametrize(
    "options",
    [
        ("--outputs", "test.npz"),
        ("--outputs", "net.ntp"),
        ("--outputs", "-"),
        ("--grain", "cycle", "--trace", "test.npz"),
    ],
)
@pytest.mark.usefixtures("program")
def test_nothing_that_is_read_is_written_over(
    neutrams: Command, folder: Path, options: tuple[str, ...]
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    refused(neutrams, 2, "Invalid value", *RAN, "test.npz", *options)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    refused(neutrams, 1, "more than 230 bytes", *RAN, "test.npz", "--outputs", "a" * 300)
    refused(neutrams, 2, "written over", "compile", "net.nt", "-o", "net.nt")


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("network.router_cycles=0", "must be at least 1"),
        ("network.clock_ghz=1e300", "must be at most 1000"),
        ("core.read_ns=1e30", "must be at most 1e+09"),
        ("chip.io_gbytes_per_s=1e-300", "must be at least 1e-09"),
    ],
)
def test_clocks_that_cannot_be_counted(neutrams: Command, setting: str, text: str) -> None:
    refused(neutrams, 1, text, "targets", "show", "cim", "--set", setting)


def test_pages_of_recipes(neutrams: Command, folder: Path) -> None:
    refused(neutrams, 1, "there is no folder", "reproduce", "--all", "-o", "none/page.md")
    refused(neutrams, 2, "name recipes", "reproduce", "isaac", "--all")
    refused(neutrams, 2, "only --all", "reproduce", "isaac", "-o", "page.md")
    assert not (folder / "page.md").exists()


def test_a_folder_of_programs_that_is_a_file(neutrams: Command, program: Path) -> None:
    refused(neutrams, 1, "NT0020", "map", program.name, "-o", "net.nt")


@pytest.mark.usefixtures("program")
def test_each_number_of_an_energy_has_its_source(neutrams: Command) -> None:
    told = json.loads(neutrams(*RAN, "test.npz", "--format", "json").out)
    chip = targets.load("cim")
    for entry in told["entries"]:
        component, number = entry["key"].removeprefix("costs.").split(".", 1)
        part = next(each for each in chip.costs if each.name == component)
        known = {f"energy_pj.{event}": pj for event, pj in part.energy_pj}
        assert entry["value"] == {"static_mw": part.static_mw, **known}[number]
        assert entry["source"] == part.source
        if number != "static_mw":
            assert entry["times"] == told["events"][number.removeprefix("energy_pj.")]
    text = neutrams(*RAN, "test.npz", "--sources").out
    assert "\ncosts.adc\n" in text
    assert "\n  energy_pj.adc_conversions " in text
    assert "ISAAC Table I: 2 mW at 1.2 GS/s" in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"monte_carlo": 0},
        {"limit": -3},
        {"batch": 0},
        {"jobs": -1},
        {"jobs": 100_000},
        {"seed": None},
        {"seed": 1.5},
        {"grain": "Cycle"},
    ],
)
def test_numbers_of_a_run_from_python(program: Path, wrong: dict[str, Any]) -> None:
    held, x = api.Program.load(program), np.zeros((2, 4), np.float32)
    with pytest.raises(NeutramsError, match=f"NT0593.*`{next(iter(wrong))}`"):
        api.simulate(held, x, **wrong)
    labels: Any = [0, 1]
    assert api.simulate(held, x, labels).accuracy is not None


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write: No space left"),
        (MemoryError(), "memory ran out"),
    ],
)
@pytest.mark.usefixtures("program")
def test_what_the_machine_lacks_is_no_fault_of_ours(
    neutrams: Command, monkeypatch: pytest.MonkeyPatch, fault: Exception, text: str
) -> None:
    def fail(*given: object) -> None:
        raise fault

    monkeypatch.setattr("neutrams.cli.output.show", fail)
    refused(neutrams, 1, text, *RAN, "test.npz")
