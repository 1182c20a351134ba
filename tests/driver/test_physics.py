"""Physics through the driver and the command line: read, run many times, reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from neutrams import driver
from neutrams.cli.app import app
from neutrams.driver.monte_carlo import Spread
from neutrams.driver.physics import described, load_physics
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.program import Program
from neutrams.report import simulation_json, simulation_text
from neutrams.simulator.physics import PRESETS, Physics

EXAMPLES = Path(__file__).parents[2] / "examples"
MNIST = EXAMPLES / "mnist8_cntk.onnx"


@pytest.fixture(scope="module")
def digits() -> dict[str, np.ndarray]:
    with np.load(EXAMPLES / "digits_test.npz") as held:
        return {"x": held["x"][:40], "y": held["y"][:40]}


@pytest.fixture(scope="module")
def program() -> Program:
    return driver.compile(MNIST, calibration=EXAMPLES / "digits_calibration.npz")


def test_texts_and_files_say_the_same(tmp_path: Path) -> None:
    file = tmp_path / "chip.toml"
    file.write_text('preset = "pcm"\ntime-s = 60\nread_additive = 0.01\ncompensate = false\n')
    wanted = Physics(device="pcm", flicker=True, compensate=False, time_s=60.0, read_additive=0.01)
    assert load_physics(str(file)) == wanted
    assert load_physics("pcm,time-s=60,read-additive=0.01,compensate=false") == wanted
    assert load_physics(f"{file},time-s=90").time_s == 90.0
    assert load_physics("adc-offset=0.5") == Physics(adc_offset=0.5)
    assert load_physics(wanted) == wanted
    assert all(load_physics(name) == physics for name, physics in PRESETS.items())
    assert described(Physics(device="pcm", on_off=float("inf"))) == {
        "device": "pcm", "on-off": "inf",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("rram", "NT0571", "no physics called `rram`"),
        ("pcm,nois=1", "NT0571", "have no `nois`"),
        ("pcm,read-additive=much", "NT0571", "must be a number"),
        ("pcm,compensate=perhaps", "NT0571", "must be true or false"),
        ("pcm,read-additive=-1", "NT0571", "must be 0 to 1e+06"),
        ("stuck-on=0.7,stuck-off=0.7", "NT0571", "more than 1 together"),
        ("on-off=0.5", "NT0571", "must be above 1"),
        ("device=tape", "NT0571", "no device `tape`"),
        ("missing.toml", "NT0571", "cannot be read"),
        ("rram-wan,time-s=1e7", "NT0572", "end at 172800 s"),
        ("read-additive=0.1,time-s=60", "NT0572", "nothing changes with time"),
        ("rram-wan,flicker=true", "NT0572", "no 1/f noise is known"),
        ("rram-wan,compensate=true", "NT0572", "nothing drifts"),
        ("rram-wan,wires=exact", "NT0572", "wires have no resistance"),
        ("rram-wan,g-max-us=10", "NT0572", "wires have no resistance"),
    ],
)
def test_wrong_physics_are_told(text: str, code: str, said: str) -> None:
    with pytest.raises(NeutramsError, match=code) as caught:
        load_physics(text)
    assert said in str(caught.value)


def test_many_runs(program: Program, digits: dict[str, np.ndarray]) -> None:
    found = driver.simulate(
        program, digits, physics="rram-wan,read-additive=0.02", seed=3, monte_carlo=4
    )
    assert found.spread is not None
    assert found.quality is not None
    values = found.spread.values
    assert len(values) == 4
    assert values[0] == found.quality.value
    assert len(set(values)) > 1
    alone = driver.simulate(program, digits, physics="rram-wan,read-additive=0.02", seed=3)
    np.testing.assert_array_equal(
        next(iter(alone.outputs.values())), next(iter(found.outputs.values()))
    )
    one_by_one = driver.simulate(
        program, digits, physics="rram-wan,read-additive=0.02", seed=3, monte_carlo=4, jobs=1
    )
    assert one_by_one.spread == found.spread
    told = simulation_json(found)
    assert told["monte_carlo"]["values"] == list(values)
    assert told["physics"] == {"device": "rram-wan", "read-additive": 0.02}
    assert len(simulation_text(found)) > 4


def test_without_physics_nothing_changes(program: Program, digits: dict[str, np.ndarray]) -> None:
    plain, ideal = driver.simulate(program, digits), driver.simulate(
        program, digits, physics="ideal"
    )  # fmt: skip
    for name, array in plain.outputs.items():
        np.testing.assert_array_equal(ideal.outputs[name], array)
    assert ideal.physics is None
    with pytest.raises(NeutramsError, match="NT0572"):
        driver.simulate(program, digits, monte_carlo=3)


def test_the_interval_is_students() -> None:
    values = (0.9, 0.92, 0.95, 0.91)
    spread = Spread("accuracy", True, values)
    half = t.ppf(0.975, 3) * np.std(values, ddof=1) / 2
    assert spread.half_width == pytest.approx(half)
    assert spread.mean == pytest.approx(np.mean(values))
    assert Spread("accuracy", True, (0.5,)).half_width is None


def test_from_the_command_line(
    program: Program, digits: dict[str, np.ndarray], tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    program.save(tmp_path / "p.ntp")
    np.savez(tmp_path / "d.npz", x=digits["x"], y=digits["y"])
    given = ["simulate", str(tmp_path / "p.ntp"), "--inputs", str(tmp_path / "d.npz")]
    chosen = ["--physics", "pcm", "--time", "86400", "--seed", "3", "--monte-carlo", "3"]
    result = CliRunner().invoke(app, [*given, *chosen, "--format", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["monte_carlo"]["runs"] == 3
    assert found["physics"]["time-s"] == 86400
    assert "± " in CliRunner().invoke(app, [*given, *chosen]).output
