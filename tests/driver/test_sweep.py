"""Sweeps: the grid, the table, going on where one stopped, several processes, faults as rows."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neutrams
from neutrams.driver import Sweep, parse_axes
from neutrams.driver.sweeping.grid import Point, points
from neutrams.driver.sweeping.measure import Study, measure
from neutrams.driver.sweeping.results import Row, read_results, write_results
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.products import Matmul
from neutrams.ir.types import DType, symbol, tensor
from neutrams.report.plot import best

ROOT = Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(11)
A, B = RANDOM.standard_normal((40, 24)), RANDOM.standard_normal((24, 3))
X = RANDOM.standard_normal((60, 40)).astype(np.float32)
Y = (np.maximum(X @ A, 0) @ B).argmax(axis=1)
DATA = {"x": X, "y": Y}
MEASURE = "neutrams.driver.sweeping.workers.measure"
OVER = {"fan-in": [16, 64], "weight-bits": [2, 8]}


def mlp() -> Graph:
    graph = Graph("mlp")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 40))
    h = graph.add(Matmul(x, graph.weight("a", A.astype(np.float32))), name="h")
    y = graph.add(Matmul(graph.add(Relu(h), name="r"), graph.weight("b", B.astype(np.float32))))
    graph.output(y, "scores")
    return graph


def swept(output: Path | None = None, **changes: Any) -> Sweep:
    given: dict[str, Any] = {"over": OVER, "inputs": DATA, "calibration": X, "output": output}
    return neutrams.sweep(mlp(), **{**given, **changes})


def without_time(rows: tuple[Row, ...]) -> list[Row]:
    return [{key: cell for key, cell in row.items() if key != "seconds"} for row in rows]


def test_each_row_is_what_a_compile_and_a_simulation_give() -> None:
    rows = swept().rows
    assert [(row["fan-in"], row["weight-bits"]) for row in rows] == [
        (16, 2), (16, 8), (64, 2), (64, 8)
    ]  # fmt: skip
    for row in rows:
        limits = {"fan-in": row["fan-in"], "weight-bits": row["weight-bits"]}
        program = neutrams.compile(mlp(), calibration=X, limits=limits)
        alone = neutrams.simulate(program, X, Y)
        assert row["accuracy"] == alone.accuracy
        assert row["agreement"] == alone.agreement
        assert row["energy_j"] == alone.energy_j
        assert row["crossbars"] == alone.resources.occupancy.crossbars
        assert row["area_mm2"] == alone.resources.area_mm2
        assert row["latency_s"] == alone.resources.latency_s
        assert row["relative_error"] == pytest.approx(alone.relative_error, rel=1e-4)
        assert row["float_metric_value"] == 1.0
    assert rows[3]["accuracy"] > rows[0]["accuracy"]  # type: ignore[operator]


def test_processes_give_the_same_rows(tmp_path: Path) -> None:
    alone = swept()
    spread = swept(tmp_path / "s.csv", jobs=2)
    assert without_time(spread.rows) == without_time(alone.rows)
    assert without_time(tuple(read_results(tmp_path / "s.csv"))) == without_time(alone.rows)


def test_the_table_is_tidy(tmp_path: Path) -> None:
    found = swept(tmp_path / "s.csv", over={"fan-in": [16, 500], "strategy": ["prune-to-blocks"]})
    with (tmp_path / "s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done", "failed"]
    assert [row["code"] for row in rows] == ["", "NT0318"]
    assert rows[1]["accuracy"] == ""
    assert rows[0]["strategy"] == "prune-to-blocks"
    assert float(rows[0]["accuracy"]) == found.rows[0]["accuracy"]
    assert [row["code"] for row in found.failed] == ["NT0318"]


def test_what_is_done_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.csv"
    first = swept(path, over={"fan-in": [16], "weight-bits": [2, 8]})
    ran: list[Point] = []

    def counted(study: Study, point: Point) -> Row:
        ran.append(point)
        return measure(study, point)

    monkeypatch.setattr(MEASURE, counted)
    wider = swept(path)
    assert len(ran) == 2
    assert wider.reused == 2
    assert wider.rows[:2] == first.rows
    again = swept(path, over={"fan-in": [64], "weight-bits": [8]})
    assert len(ran) == 2
    assert again.rows == wider.rows[3:]
    assert len(read_results(path)) == 4, "rows of the study outside the grid stay"
    swept(path, fresh=True, over={"fan-in": [64], "weight-bits": [8]})
    assert len(ran) == 3
    assert len(read_results(path)) == 1


def test_an_interrupted_sweep_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.csv"
    ran: list[Point] = []

    def interrupted(study: Study, point: Point) -> Row:
        ran.append(point)
        if len(ran) == 3:
            raise KeyboardInterrupt
        return measure(study, point)

    monkeypatch.setattr(MEASURE, interrupted)
    with pytest.raises(KeyboardInterrupt):
        swept(path)
    assert len(read_results(path)) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.csv"]
    monkeypatch.undo()
    assert swept(path).reused == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": X[:30]},
        {"inputs": {"x": X[:50], "y": Y[:50]}},
        {"limits": {"input-bits": 6}},
        {"overrides": {"core.columns": 64}},
        {"observer": "min-max"},
        {"metric": "topk:2"},
    ],
)
def test_results_of_another_study_are_not_mixed_in(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "s.csv"
    small = {"over": {"fan-in": [500]}}
    swept(path, **small)
    before = path.read_bytes()
    with pytest.raises(NeutramsError, match="NT0545"):
        swept(path, **small, **changes)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a,b\n1\n", b"a,b\n1,2\n", b'a\n"x'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(NeutramsError, match="NT0545"):
        swept(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"fan-on": [3]}, "fan-in"),
        ({"fan-in": ["many"]}, "whole numbers"),
        ({"fan-in": []}, "no values"),
        ({"replicate": ["maybe"]}, "true or false"),
        ({"keep-float": [True]}, "known:"),
        ({}, "needs an axis"),
        ({"precision": ["4/8", "4"]}, "bits such as 4/8, not `4`"),
        ({"precision": ["4/8"], "weight-bits": [2]}, "two axes change `weight-bits`"),
        ({"fan_in": [4], "fan-in": [8]}, "two axes change `fan-in`"),
    ],
)
def test_grids_at_fault(over: dict[str, list[object]], says: str) -> None:
    with pytest.raises(NeutramsError) as caught:
        points(over)  # type: ignore[arg-type]
    assert [d.code for d in caught.value.diagnostics] == ["NT0544"]
    assert says in str(caught.value)


def test_axes_change_what_they_name() -> None:
    axes = parse_axes(
        ["fan_in=32", "core.rows=64", "target=isaac", "seed=1,2", "replicate=false", "strategy=a"]
    )
    first, second = points(axes)
    assert first.limits == {"fan-in": 32}
    assert first.overrides == {"core.rows": "64"}
    assert first.target == "isaac"
    assert first.options == {"seed": 1, "replicate": False, "strategy": "a"}
    assert second.settings["seed"] == 2
    for text in ("fan-in", "fan-in=1,,2", "=3"):
        with pytest.raises(NeutramsError, match="NT0544"):
            parse_axes([text])


def test_precision_changes_weights_and_inputs_together() -> None:
    first, second = points(parse_axes(["precision=8/6,2/2"]))
    assert first.limits == {"weight-bits": 8, "input-bits": 6}
    rows = swept(over={"precision": ["8/6", "2/2"]}).rows
    assert [row["precision"] for row in rows] == ["8/6", "2/2"]
    alone = swept(over={"input-bits": [6]}).rows[0]
    assert rows[0]["relative_error"] == alone["relative_error"] < rows[1]["relative_error"]  # type: ignore[operator]
    assert second.limits == {"weight-bits": 2, "input-bits": 2}


def test_retraining_is_an_axis() -> None:
    pytest.importorskip("torch")
    over = {"retrain": ["none", "bias", True], "weight-bits": [2]}
    (first, second, third) = points(over)  # type: ignore[arg-type]
    assert [p.options["retrain"] for p in (first, second, third)] == ["none", "bias", True]
    (words,) = points(parse_axes(["retrain=true"]))
    assert words.options["retrain"] is True
    plain, corrected = swept(over={"retrain": ["none", "bias"], "weight-bits": [2]}).rows
    assert (plain["retrain"], corrected["retrain"]) == ("none", "bias")
    assert corrected["relative_error"] < plain["relative_error"]  # type: ignore[operator]
    assert plain["crossbars"] == corrected["crossbars"]


@pytest.mark.parametrize(
    ("over", "options", "code"),
    [
        ({"retrain": ["learnt"]}, {}, "NT0203"),
        ({"strategy": ["a"]}, {}, "NT0543"),
        ({"strategy": ["prune-to-blocks"]}, {"passes": "canonicalise"}, "NT0544"),
    ],
)
def test_pipelines_that_no_point_could_run_are_refused_first(
    tmp_path: Path, over: dict[str, list[str]], options: dict[str, str], code: str
) -> None:
    with pytest.raises(NeutramsError, match=code):
        swept(tmp_path / "s.csv", over=over, **options)
    assert not (tmp_path / "s.csv").exists()


def test_a_gate_that_a_point_misses_is_a_row() -> None:
    found = swept(over={"weight-bits": [2, 8]}, gate=0.9)
    assert [row["code"] for row in found.rows] == ["NT0221", None]


def test_a_target_in_memory_can_be_swept_over_by_limits() -> None:
    chip = neutrams.load_target("cim")
    assert swept(target=chip).rows[0]["crossbars"] == swept().rows[0]["crossbars"]
    with pytest.raises(NeutramsError, match="NT0544"):
        swept(target=chip, over={"core.rows": [64]})


@pytest.mark.parametrize(
    ("name", "code"), [("s.txt", "NT0548"), ("none/s.csv", "NT0020"), ("s.parquet", "NT0547")]
)
def test_outputs_are_checked_first(tmp_path: Path, name: str, code: str) -> None:
    if name.endswith("parquet") and find_spec("pyarrow"):
        pytest.skip("pyarrow is installed")
    with pytest.raises(NeutramsError, match=code):
        swept(tmp_path / name)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_tables_read_back(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    rows: list[Row] = [
        {"a": 1, "b": 0.1, "c": 'x, "y"\nz', "d": None},
        {"a": 2, "b": 1e-30, "c": "w", "d": True},
    ]
    write_results(tmp_path / name, rows)
    assert read_results(tmp_path / name) == rows


def test_the_best_rows_are_those_that_none_beats() -> None:
    rows: list[Row] = [
        {"cost": cost, "good": good} for cost, good in [(3, 9), (1, 5), (2, 4), (4, 9), (2, 7)]
    ]
    assert [(r["cost"], r["good"]) for r in best(rows, "cost", "good", larger=True)] == [
        (1, 5), (2, 7), (3, 9)
    ]  # fmt: skip
    assert [r["cost"] for r in best(rows, "cost", "good", larger=False)] == [1, 2]


def test_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from neutrams.report import plot

    for kind in ("png", "svg"):
        plot(swept(), tmp_path / f"s.{kind}")
        assert (tmp_path / f"s.{kind}").stat().st_size > 1000


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_ends_all_processes_and_keeps_rows(tmp_path: Path) -> None:
    from neutrams.driver import save_module
    from neutrams.ir.graph import Module

    save_module(Module([mlp()]), tmp_path / "net.nt")
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    seeds = ",".join(map(str, range(400)))
    command = [
        sys.executable, "-m", "neutrams", "sweep", "net.nt", "-i", "data.npz", "-c", "data.npz",
        "--over", f"seed={seeds}", "-o", "s.csv", "-j", "2",
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while len(read_results(tmp_path / "s.csv")) < 3:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert 3 <= len(read_results(tmp_path / "s.csv")) < 400
    assert not list(tmp_path.glob("neutrams-*"))
