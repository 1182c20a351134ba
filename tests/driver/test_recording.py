"""Traces and waveforms of the cycle grain: whole, of the right form, and of one mind."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vcd.reader import TokenKind, tokenize

import neutrams
from neutrams import driver
from neutrams.driver.clocked import pace
from neutrams.driver.clocked.cycles import run_cycles
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.program import Program
from neutrams.simulator.cycle import CycleResult, Layout, Machine, lay_out, routers_of
from neutrams.simulator.recording.trace import CHIP

EXAMPLES = Path(__file__).parents[2] / "examples"
SPREAD = {"tile.cores": 1, "core.crossbars": 1, "network.clock_ghz": 1.2}
"""Tiles of one crossbar, so that there is traffic; clocks that are no whole nanoseconds."""
Events = list[dict[str, Any]]


@pytest.fixture(scope="module")
def program() -> Program:
    return driver.compile(
        EXAMPLES / "mnist8_cntk.onnx",
        calibration=EXAMPLES / "digits_calibration.npz",
        overrides=SPREAD,
    )


@pytest.fixture(scope="module")
def run(program: Program) -> tuple[Layout, CycleResult]:
    layout = lay_out(program)
    return layout, Machine(layout.plan, routers_of(program.target)).run()


@pytest.fixture(scope="module")
def trace(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Events:
    return traced(program, tmp_path_factory.mktemp("trace") / "out.json")


def traced(program: Program, path: Path, **how: Any) -> Events:
    run_cycles(program, stream=1, record=neutrams.Record(trace=path, **how))
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    events: Events = json.loads(content)["traceEvents"]
    return events


def spans(events: Events) -> Events:
    return [event for event in events if event["ph"] == "X"]


def test_a_trace_has_the_form_that_viewers_read(trace: Events) -> None:
    """Chrome's trace-event format: kinds, whole ids, times in microseconds, spans that nest."""
    required = {"X": {"pid", "tid", "ts", "dur", "name"}, "C": {"pid", "ts", "name", "args"}}
    required["M"] = {"pid", "name", "args"}
    named = {(e["pid"], e["tid"], e["name"]) for e in trace if e["ph"] == "M"}
    assert len(named) == sum(event["ph"] == "M" for event in trace)
    ends: dict[tuple[int, int], float] = {}
    for event in trace:
        assert required[event["ph"]] <= event.keys()
        assert isinstance(event["pid"], int)
        assert (event["pid"], 0, "process_name") in named
        if event["ph"] == "X":
            lane = event["pid"], event["tid"]
            assert (*lane, "thread_name") in named
            assert event["ts"] >= ends.get(lane, 0.0) - 1e-9
            ends[lane] = event["ts"] + event["dur"]
            assert event["ts"] == pytest.approx(event["args"]["clock"] / 1200, abs=0.6e-3)
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
    shown = {(e["pid"], 0) for e in trace if e["ph"] != "M"}
    assert shown | set(ends) == {(pid, tid) for pid, tid, _ in named}


def test_spans_add_up_to_the_clocks_at_work(
    program: Program, run: tuple[Layout, CycleResult], trace: Events
) -> None:
    _, found = run
    threads: dict[tuple[int, int], int] = {}
    for span in spans(trace):
        lane = span["pid"] - 1, span["tid"]
        threads[lane] = threads.get(lane, 0) + span["args"]["clocks"]
    link = found.stations["link"] > 0
    crossbars = (found.stations["shared"] == 0) | link
    busy = found.stations["busy"].astype(int)
    tiles = np.where(link, CHIP - 1, found.stations["tile"]).tolist()
    own = [(t, 2 + i) for i, t in enumerate(tiles)]
    for station in np.flatnonzero(crossbars & (busy > 0)):
        assert threads.pop(own[station]) == busy[station]
    for tile in np.flatnonzero(found.tiles["vector_busy"]).tolist():
        assert threads.pop((tile, 1)) == found.tiles["vector_busy"][tile]
    assert not threads
    layers = {layer.name for layer in driver.resources(program).layers}
    on_chip = {span["name"] for span in spans(trace) if span["pid"] != CHIP}
    assert on_chip <= layers
    assert found.stations["busy"][link].sum() == found.link_busy > 0


def counted(events: Events, name: str, key: str, clock_us: float, bin: int) -> float:
    """Return what a counter of bins adds up to: each value holds until the next."""
    mine = [e for e in events if e["ph"] == "C" and e["name"] == name]
    clocks = [round(e["ts"] / clock_us) for e in mine]
    total = 0.0
    for event, (clock, then) in zip(mine, pairwise(clocks), strict=False):
        total += event["args"][key] * -(-(then - clock) // bin)
    assert not mine or mine[-1]["args"][key] == 0
    return total


def test_flits_of_a_link_add_up_to_its_load(tmp_path: Path) -> None:
    """With clocks of a nanosecond, times are exact."""
    chip, bin = SPREAD | {"network.clock_ghz": 1.0}, 64
    program = driver.compile(EXAMPLES / "mnist8_cntk.onnx", overrides=chip)
    layout = lay_out(program)
    found = Machine(layout.plan, routers_of(program.target)).run()
    events = traced(program, tmp_path / "bins.json.gz", bin=bin)
    step = {0: (1, 0), 1: (-1, 0), 2: (0, -1), 3: (0, 1)}
    links = 0
    for (y, x, port), flits in np.ndenumerate(found.load[..., :4]):
        load = int(flits)
        name = f"link({x},{y})->({x + step[port][0]},{y + step[port][1]})"
        assert counted(events, name, "flits", 1e-3, bin) == load
        links += load > 0
    assert links > 5
    fullest = max(e["args"]["bytes"] for e in events if e["name"] == "buffer")
    assert 0 < fullest <= layout.buffer_bytes.max()
    for event in events:
        if event["name"].startswith("link"):
            assert event["args"]["utilisation"] <= 1


def test_what_is_recorded_changes_no_result(program: Program, tmp_path: Path) -> None:
    plain = run_cycles(program)
    record = neutrams.Record(
        tmp_path / "a.json", tmp_path / "a.vcd", "core(*),link(*),buffer(*),bus(*)", bin=7
    )
    assert run_cycles(program, record=record) == plain


def test_the_same_run_writes_the_same_bytes(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is looked at on the way."""
    written = []
    for first in (700, 9_000):
        monkeypatch.setattr(pace, "FIRST", first)
        record = neutrams.Record(tmp_path / "a.json.gz", tmp_path / "a.vcd", "*", bin=1000)
        run_cycles(program, stream=1, record=record)
        written.append([(tmp_path / name).read_bytes() for name in ("a.json.gz", "a.vcd")])
    assert written[0] == written[1]


def test_spans_that_touch_can_be_one(program: Program, trace: Events, tmp_path: Path) -> None:
    joined = spans(traced(program, tmp_path / "busy.json", detail="busy"))
    assert len(joined) < len(spans(trace))
    clocks, wanted = (sum(s["args"]["clocks"] for s in each) for each in (joined, spans(trace)))
    assert clocks == wanted
    assert sum(s["args"]["items"] for s in joined) == len(spans(trace))


def test_a_window_is_what_the_whole_trace_shows_there(
    program: Program, trace: Events, tmp_path: Path
) -> None:
    first, last = 20_000, 30_000
    part = spans(traced(program, tmp_path / "part.json", first=first, last=last))
    begin = [(span, span["args"]["clock"], span["args"]["clocks"]) for span in spans(trace)]
    assert part == [span for span, at, clocks in begin if at < last and at + clocks > first]
    assert 0 < len(part) < len(spans(trace))


def test_a_trace_ends_at_its_limit_and_says_so(
    program: Program, trace: Events, tmp_path: Path
) -> None:
    record = neutrams.Record(tmp_path / "short.json", limit=200)
    found = run_cycles(program, record=record)
    (said,) = found.warnings
    assert said.code == "NT0573"
    assert "it may hold 200 events" in said.message
    events = json.loads((tmp_path / "short.json").read_text())["traceEvents"]
    assert sum(event["ph"] != "M" for event in events) == 200


Waves = dict[str, list[tuple[int, int]]]


def parsed(path: Path) -> tuple[Waves, float]:
    """Read a value change dump: for each name the times and values, and picoseconds of a tick.

    The last of the times is where the dump ends, under no name.
    """
    waves: Waves = {}
    names: dict[str, str] = {}
    widths: dict[str, int] = {}
    now, unit = -1, 0.0
    with path.open("rb") as file:
        for token in tokenize(file):
            match token.kind:
                case TokenKind.TIMESCALE:
                    assert int(token.timescale.magnitude) == 1
                    unit = {"ns": 1000.0, "ps": 1.0}[token.timescale.unit.value]
                case TokenKind.VAR:
                    names[token.var.id_code] = token.var.reference
                    widths[token.var.reference] = token.var.size
                    waves[token.var.reference] = []
                case TokenKind.CHANGE_TIME:
                    assert token.time_change > now
                    now = token.time_change
                case TokenKind.CHANGE_SCALAR:
                    name, value = names[token.scalar_change.id_code], token.scalar_change.value
                    waves[name].append((now, int(value)))
                case TokenKind.CHANGE_VECTOR:
                    name, number = names[token.vector_change.id_code], token.vector_change.value
                    assert isinstance(number, int)
                    assert 0 <= number < 1 << widths[name], name
                    waves[name].append((now, number))
    assert len(names) == len(waves)
    waves[""] = [(now, 0)]
    return waves, unit


def at_work(events: Events, pid: int) -> Iterator[tuple[int, int]]:
    """Yield when the number of spans on crossbars of a tile changes, and to what."""
    steps: dict[int, int] = {}
    for span in spans(events):
        if span["pid"] == pid and span["tid"] > 1:
            begin, clocks = span["args"]["clock"], span["args"]["clocks"]
            steps[begin] = steps.get(begin, 0) + 1
            steps[begin + clocks] = steps.get(begin + clocks, 0) - 1
    level = 0
    for clock in sorted(steps):
        level += steps[clock]
        if steps[clock]:
            yield clock, level


def test_a_waveform_agrees_with_the_trace(
    program: Program, run: tuple[Layout, CycleResult], trace: Events, tmp_path: Path
) -> None:
    layout, found = run
    path = tmp_path / "out.vcd"
    text = "core(*, 0), link(*), buffer(*), bus(0)"
    run_cycles(program, stream=1, record=neutrams.Record(vcd=path, signals=text))
    waves, unit = parsed(path)
    clock = 1e3 / 1.2 / unit
    waves = {n: [(round(t / clock), v) for t, v in wave] for n, wave in waves.items()}
    for name, wave in waves.items():
        changes = [value for _, value in wave]
        assert all(a != b for a, b in pairwise(changes)), name
        if name.startswith("core"):
            tile = int(name.split("_")[1])
            assert wave[1:] == list(at_work(trace, tile + 1))
    flits = sum(
        then - now
        for name, wave in waves.items()
        if name.startswith("link")
        for (now, value), (then, _) in pairwise(wave)
        if value
    )
    assert flits == found.load[..., :4].sum()
    assert waves[""] == [(found.clocks, 0)]
    for event in trace:
        if event["name"] == "buffer":
            router = int(layout.plan.routers[event["pid"] - 1])
            mesh = program.target.machine.network.columns
            wave = waves[f"buffer_{router % mesh}_{router // mesh}"]
            at = round(event["ts"] * 1200)
            tiles = np.unique(layout.plan.stations["tile"])
            if (layout.plan.routers[tiles] == router).sum() == 1:
                assert [v for t, v in wave if t < at][-1] == event["args"]["bytes"]


def test_unknown_signals_and_windows_are_refused(program: Program, tmp_path: Path) -> None:
    x = np.zeros((1, 1, 28, 28), np.float32)
    wrong: dict[str, dict[str, Any]] = {
        "NT0574": {"vcd": tmp_path / "a.vcd", "signals": "core(0,0),cor(0,1)"},
        "NT0575": {"trace": tmp_path / "a.json", "first": 5, "last": 5},
        "NT0020": {"trace": tmp_path / "none" / "a.json"},
    }
    for code, how in wrong.items():
        with pytest.raises(NeutramsError, match=code) as fault:
            neutrams.simulate(program, x, grain="cycle", record=neutrams.Record(**how))
        if code == "NT0574":
            assert "core(0,0)" in str(fault.value)
    with pytest.raises(NeutramsError, match="NT0575"):
        neutrams.simulate(program, x, record=neutrams.Record(tmp_path / "a.json"))
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def in_rounds() -> Program:
    return driver.compile(
        EXAMPLES / "mnist8_cntk.onnx",
        calibration=EXAMPLES / "digits_calibration.npz",
        overrides={"chip.tiles": 2, "tile.cores": 1, "core.crossbars": 1, "network.clock_ghz": 1.0},
        rounds=None,
        batch=2,
        replicate=False,
    )


def test_rounds_are_written_on_one_axis(in_rounds: Program, tmp_path: Path) -> None:
    """Programming, then work, round by round; trace and waveform agree on all of it."""
    path, every = tmp_path / "rounds.vcd", "programming,round,spilling,core(*),bus(*),buffer(*)"
    record = neutrams.Record(tmp_path / "rounds.json", path, every, bin=1000)
    found = run_cycles(in_rounds, record=record)
    assert replace(run_cycles(in_rounds), warnings=found.warnings) == found
    ends = np.cumsum([whole for _, whole in found.rounds]).tolist()
    begins = [0, *ends[:-1]]
    cells = [(at, at + taken) for at, (taken, _) in zip(begins, found.rounds, strict=True)]
    assert len(ends) > 2
    waves, _ = parsed(path)
    assert highs(waves["programming"]) == cells
    assert waves["round"] == [(at, 1 + number) for number, at in enumerate(begins)]
    assert waves[""] == [(ends[-1], 0)]
    events: Events = json.loads((tmp_path / "rounds.json").read_text())["traceEvents"]
    on_chip = [span for span in spans(events) if span["name"].startswith("programming")]
    times = [(span["args"]["clock"], span["args"]["clocks"]) for span in on_chip]
    assert times == [(begin, end - begin) for begin, end in cells]
    spilled = [end - begin for begin, end in highs(waves["spilling"])]
    assert spilled == [s["args"]["clocks"] for s in spans(events) if s["name"].endswith("spills")]
    for name, wave in waves.items():
        if name.startswith("core"):
            assert all(a[1] != b[1] for a, b in pairwise(wave)), name
            work = dict(at_work(events, int(name.split("_")[1]) + 1))
            assert {clock: value for clock, value in wave if clock in work} == work
            assert not any(begin < clock < end for begin, end in cells for clock, _ in wave)
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert named == {(e["pid"], e["tid"]) for e in spans(events)}
    levels = {(e["pid"], e["name"]): e for e in events if e["ph"] == "C"}
    assert not any(event["args"].get("bytes") for event in levels.values())


def highs(wave: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return from when to when a signal is not 0."""
    return [(now, then) for (now, value), (then, _) in pairwise(wave) if value]


def test_a_window_of_rounds_is_what_the_whole_shows_there(
    in_rounds: Program, tmp_path: Path
) -> None:
    path, every = tmp_path / "whole.vcd", "core(*),buffer(*),programming"
    rounds = run_cycles(in_rounds, record=neutrams.Record(vcd=path, signals=every)).rounds
    whole, _ = parsed(path)
    first, last = rounds[0][1] - 2000, sum(clocks for _, clocks in rounds[:2]) - 1000
    record = neutrams.Record(vcd=path, signals=every, first=first, last=last)
    run_cycles(in_rounds, record=record)
    part, _ = parsed(path)
    for name, wave in part.items():
        inside = [(at, value) for at, value in whole[name] if first < at < last]
        if name:
            before = [value for at, value in whole[name] if at <= first][-1]
            assert wave == [(first, before), *inside], name
        else:
            assert wave == [(last, 0)]


def test_what_changes_nothing_is_refused(
    program: Program, in_rounds: Program, tmp_path: Path
) -> None:
    x, at = np.zeros((2, 1, 28, 28), np.float32), tmp_path / "a.json"
    wave = {"vcd": tmp_path / "a.vcd", "signals": "bus(0)"}
    cases: list[tuple[Program, dict[str, Any], str]] = [
        (program, {}, "nothing is written down"),
        (program, {"first": 5}, "`--trace-from` changes nothing"),
        (program, {**wave, "bin": 5, "detail": "busy"}, "`--trace-bin`, `--trace-detail` changes"),
        (in_rounds, {"trace": at, "inferences": 2}, "compile it for another --batch"),
    ]
    for given, how, said in cases:
        with pytest.raises(NeutramsError, match="NT0590") as fault:
            neutrams.simulate(given, x, grain="cycle", record=neutrams.Record(**how))
        assert said in str(fault.value)
    assert not list(tmp_path.iterdir())


def test_a_window_behind_the_end_is_warned_about(program: Program, tmp_path: Path) -> None:
    record = neutrams.Record(vcd=tmp_path / "a.vcd", signals="bus(*)", first=10**9)
    (said,) = run_cycles(program, stream=1, record=record).warnings
    assert said.code == "NT0591"
