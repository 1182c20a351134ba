"""Compile, simulate, check, export: what a user does with a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neutrams.ir.program import Program

from .conftest import Command

COMPILE = ("compile", "net.nt", "-c", "calibration.npz", "-o", "net.ntp")
RESOURCES = {
    "target", "latency_s", "throughput_per_s", "area_mm2", "cores", "crossbars", "utilisation",
    "layers", "components", "assumed",
}  # fmt: skip
RESULTS = RESOURCES | {"samples", "accuracy", "energy_j", "power_w"}


def as_json(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_compile_shows_where_layers_run(neutrams: Command) -> None:
    made = neutrams(*COMPILE)
    assert made.code == 0
    assert made.err == ""
    for words in ("crossbars", "latency", "area", "wrote net.ntp"):
        assert words in made.out
    assert "\x1b" not in made.out


def test_compile_json_is_the_resource_part(neutrams: Command) -> None:
    found = as_json(neutrams(*COMPILE, "--format", "json").out)
    assert set(found) >= RESOURCES
    assert "samples" not in found
    assert found["crossbars"] == sum(layer["crossbars"] for layer in found["layers"])


def test_simulate_json_holds_together(neutrams: Command, program: Path) -> None:
    run = neutrams("simulate", program, "-i", "test.npz", "--format", "json")
    assert run.code == 0, run.err
    found = as_json(run.out)
    assert set(found) >= RESULTS
    assert found["samples"] == 20
    parts = sum(part["energy_j"] for part in found["components"])
    assert found["energy_j"] == pytest.approx(parts)
    assert found["power_w"] == pytest.approx(found["energy_j"] * found["throughput_per_s"])
    dynamic = sum(part["dynamic_j"] for part in found["components"])
    assert dynamic == pytest.approx(sum(layer["energy_j"] for layer in found["layers"]))
    assert found["float_metric_value"] == 1.0


def test_accuracy_is_that_of_the_saved_outputs(neutrams: Command, program: Path) -> None:
    run = neutrams(
        "simulate", program, "-i", "test.npz", "--outputs", "out.npz", "--format", "json"
    )
    with np.load("out.npz") as out, np.load("test.npz") as test:
        right = (out["scores"].argmax(axis=1) == test["y"]).mean()
    assert as_json(run.out)["accuracy"] == right
    assert right >= 0.9


def test_simulate_text_says_what_is_assumed(neutrams: Command, program: Path) -> None:
    run = neutrams("simulate", program, "-i", "test.npz")
    assert run.code == 0
    for words in ("accuracy", "in float", "energy", "adc", "rests on assumed constants"):
        assert words in run.out


def test_without_labels_there_is_no_accuracy(neutrams: Command, program: Path) -> None:
    found = as_json(neutrams("simulate", program, "-i", "calibration.npz", "--format", "json").out)
    assert found["accuracy"] is None
    assert found["agreement"] >= 0.9


def test_a_metric_of_the_user(neutrams: Command, program: Path, folder: Path) -> None:
    (folder / "mine.py").write_text("def biggest(out, y):\n    return float(out.max())\n")
    run = neutrams(
        "simulate", program, "-i", "test.npz", "--metric", "mine.py:biggest",
        "--outputs", "out.npz", "--format", "json",
    )  # fmt: skip
    found = as_json(run.out)
    with np.load("out.npz") as out:
        assert found["metric_value"] == out["scores"].max()
    assert found["metric"] == "biggest"


def test_the_same_compile_gives_the_same_bytes(neutrams: Command, folder: Path) -> None:
    for name in ("a.ntp", "b.ntp"):
        assert neutrams(*COMPILE[:-1], name, "--no-cache").code == 0
    assert (folder / "a.ntp").read_bytes() == (folder / "b.ntp").read_bytes()
    assert neutrams(*COMPILE[:-1], "c.ntp").code == 0
    again = neutrams(*COMPILE[:-1], "d.ntp")
    assert "reused" in again.out
    assert (folder / "d.ntp").read_bytes() == (folder / "a.ntp").read_bytes()


def test_a_changed_chip_reuses_the_calibration(neutrams: Command) -> None:
    assert "reused" not in neutrams(*COMPILE).out
    changed = neutrams(*COMPILE, "--set", "core.rows=64")
    assert "calibration" in changed.out
    assert "reused" not in neutrams(*COMPILE, "--observer", "min-max").out


def test_preprocessing_is_kept_in_the_program(neutrams: Command, folder: Path) -> None:
    for name in ("calibration", "test"):
        with np.load(f"{name}.npz") as data:
            np.savez(f"{name}_4.npz", **{**data, "x": data["x"] * 4})
    assert neutrams(*COMPILE[:-1], "plain.ntp").code == 0
    made = neutrams(
        "compile", "net.nt", "-c", "calibration_4.npz", "-o", "scaled.ntp",
        "--preprocess", "scale=1/4",
    )  # fmt: skip
    assert made.code == 0, made.err
    assert Program.load(folder / "scaled.ntp").manifest["preprocess"] == {"scale": 0.25}
    for program, data in (("plain.ntp", "test.npz"), ("scaled.ntp", "test_4.npz")):
        neutrams("simulate", program, "-i", data, "--outputs", f"{program}.npz")
    with np.load("plain.ntp.npz") as plain, np.load("scaled.ntp.npz") as scaled:
        np.testing.assert_array_equal(plain["scores"], scaled["scores"])


def test_random_calibration_is_warned_about(neutrams: Command) -> None:
    made = neutrams("compile", "net.nt", "-o", "net.ntp")
    assert made.code == 0
    assert "warning[NT0540]" in made.err


def test_check_tells_places_and_the_smallest_chip(neutrams: Command, folder: Path) -> None:
    found = as_json(neutrams("check", "net.nt", "--format", "json").out)
    assert found["fits"] is True
    assert found["smallest_tiles"] == 1
    places = {op["place"] for op in found["ops"]}
    assert places == {"crossbar", "digital"}
    assert all(op["reason"] for op in found["ops"])
    assert "it fits" in neutrams("check", "net.nt").out
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration.npz", "net.nt", "test.npz"
    ]  # fmt: skip


def test_an_image_holds_the_weights_as_cells(neutrams: Command, program: Path) -> None:
    run = neutrams("export", program, "--to", "image", "-o", "image")
    assert run.code == 0, run.err
    image = json.loads(Path("image.json").read_text())
    assert {"units", "tiles", "routes", "schedule", "program"} <= set(image)
    with np.load("image.npz") as arrays:
        for unit in image["units"]:
            name = unit["value"]
            assert len(unit["crossbars"]) == unit["copies"]
            for index, _ in enumerate(unit["blocks"]):
                cells = arrays[f"{name}/{index}/cells"].astype(int)
                flipped = arrays[f"{name}/{index}/flipped"]
                full = 2 ** unit["cell_bits"] - 1
                codes = np.where(flipped[:, :, None], full - cells, cells)[0]
                scale = 2 ** (unit["cell_bits"] * np.arange(len(codes)))
                held = (codes * scale[:, None, None]).sum(axis=0) - 2 ** (unit["weight_bits"] - 1)
                np.testing.assert_array_equal(held, arrays[f"{name}/{index}/weights"])


def test_losses_and_gates(neutrams: Command, folder: Path) -> None:
    given = ("compile", "net.nt", "-c", "labelled.npz", "-o", "net.ntp")
    data = np.load(folder / "test.npz")
    np.savez(folder / "labelled.npz", x=data["x"], y=data["y"])
    made = neutrams(*given, "--loss-per-pass")
    assert made.code == 0, made.err
    assert "answers kept" in made.out
    assert "quantize" in made.out
    rows = json.loads(neutrams(*given, "--loss-per-pass", "--format", "json").out)["loss_per_pass"]
    assert [row["name"] for row in rows][:2] == ["canonicalise", "expand-recurrence"]
    assert all(row["accuracy"] == 1 and row["seconds"] >= 0 for row in rows)
    held = Program.load(folder / "net.ntp").manifest["losses"]
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in rows] == held
    (folder / "net.ntp").unlink()
    made = neutrams(*given, "--gate", "1", "--limit", "weight-bits=2", "--limit", "input-bits=2")
    assert made.code == 1
    assert "NT0221" in made.err
    assert "pipeline: quantize" in made.err
    assert not (folder / "net.ntp").exists()
    made = neutrams(
        *given, "--road-gate", "1", "--limit", "weight-bits=2", "--limit", "input-bits=2"
    )
    assert (made.code, (folder / "net.ntp").exists()) == (1, False)
    assert "the gate was passed at `quantize`" in made.err
    made = neutrams("compile", "net.nt", "-o", "net.ntp", "--gate", "0.5")
    assert made.code == 1
    assert "NT0222" in made.err


def test_a_network_runs_in_rounds_where_the_chip_is_too_small(neutrams: Command) -> None:
    small = ("--set", "chip.tiles=1", "--set", "tile.cores=1", "--set", "core.crossbars=1")
    refused = neutrams(*COMPILE, *small)
    assert refused.code == 1
    assert "--rounds auto" in refused.err
    made = neutrams(*COMPILE, *small, "--rounds", "auto", "--batch", "5")
    assert made.code == 0, made.err
    for words in ("rounds", "a batch of 5", "of the time", "carried over"):
        assert words in made.out
    run = neutrams("simulate", "net.ntp", "-i", "test.npz", "--format", "json")
    found = as_json(run.out)
    assert len(found["rounds"]) > 1
    assert 0 < found["programming_energy_share"] < 1
    assert 0 < found["programming_time_share"] < 1
    assert {layer.get("round", 0) for layer in found["layers"]} >= {0, 1}


@pytest.mark.parametrize("rounds", ["0", "some", "-1"])
def test_a_wrong_number_of_rounds(neutrams: Command, rounds: str) -> None:
    assert neutrams(*COMPILE, "--rounds", rounds).code == 2


def test_a_dry_run_writes_nothing(neutrams: Command, folder: Path) -> None:
    (folder / "net.ntp").unlink(missing_ok=True)
    run = neutrams("compile", "net.nt", "--dry-run", "--format", "json")
    assert run.code == 0, run.err
    found = as_json(run.out)
    assert found["fits"]
    assert set(found) >= RESOURCES
    assert "it fits `cim` at once" in neutrams("compile", "net.nt", "--dry-run").out
    assert not (folder / "net.ntp").exists()
    small = ("--set", "chip.tiles=1", "--set", "tile.cores=1", "--set", "core.crossbars=1")
    refused = neutrams("compile", "net.nt", "--dry-run", *small)
    assert (refused.code, refused.out) == (1, "")
    assert "NT0401" in refused.err
    rounds = neutrams("compile", "net.nt", "--dry-run", *small, "--rounds", "auto")
    assert "rounds" in rounds.out


def test_a_run_clock_by_clock_is_written_down(neutrams: Command, folder: Path) -> None:
    program = str(neutrams(*COMPILE) and folder / "net.ntp")
    listed = neutrams("simulate", program, "--signals", "list")
    assert listed.code == 0
    assert {"core(0,0)", "bus(0)", "link(0,0)->(1,0)"} <= set(listed.out.splitlines())
    run = ("simulate", program, "-i", "test.npz", "--grain", "cycle")
    made = neutrams(*run, "--trace", "t.json", "--vcd", "t.vcd", "--signals", "core(0,*)")
    assert made.code == 0, made.err
    assert json.loads((folder / "t.json").read_text())["traceEvents"]
    assert "$enddefinitions" in (folder / "t.vcd").read_text()
    assert "core(0,0)" in neutrams(*run, "--vcd", "u.vcd", "--signals", "cor(0,0)").err
    assert neutrams(*run, "--trace", "u.json", "--trace-detail", "all").code == 1
    assert neutrams("simulate", program).code == 2
    assert not list(folder.glob("u.*"))


def test_two_networks_share_a_chip(neutrams: Command, folder: Path) -> None:
    assert neutrams(*COMPILE).code == 0
    made = neutrams("map", "net.ntp", "net.ntp", "-o", "both")
    assert made.code == 0, made.err
    assert {path.name for path in (folder / "both").iterdir()} == {"net.ntp", "net-2.ntp"}
    run = ("simulate", "both/net.ntp", "-i", "test.npz", "--grain", "cycle")
    found = as_json(neutrams(*run, "--beside", "both/net-2.ntp", "--format", "json").out)
    alone = as_json(neutrams(*run, "--format", "json").out)
    assert found["beside"].keys() == {"net-2"}
    assert found["cycles"]["alone"][0] == alone["cycles"]["clocks"]
    assert found["accuracy"] == alone["accuracy"]
    assert found["events"] == alone["events"]
    assert "beside it, net-2" in neutrams(*run, "--beside", "both/net-2.ntp").out
    assert "neutrams map" in neutrams(*run, "--beside", "net.ntp").err
    assert neutrams("map", "net.ntp", "-o", "none/both").code == 1


def test_the_demo_runs(neutrams: Command) -> None:
    """It calls commands as functions, so that their parameters cannot be told apart by place."""
    made = neutrams("demo")
    assert made.code == 0, made.err
    assert "98.70 %  on the chip" in made.out
