"""Networks too large for their chip run in rounds: the same answers, and what that costs."""

from __future__ import annotations

import json
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neutrams
from neutrams.driver import GRAINS, Options
from neutrams.driver.resources import resources
from neutrams.ir.blocks import used
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.op import Weight
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.chip import Group, Round, Span
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.recurrent import Lstm
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.simulator import schedule, simulate
from neutrams.simulator.cycle import lay_out
from neutrams.simulator.rounds import program_rounds

TINY = {"chip.tiles": 1, "tile.cores": 1, "core.rows": 16, "core.columns": 16}
"""Crossbars of 16 inputs and 4 neurons."""


def chain(widths: list[int], *, skip: bool = False) -> Graph:
    random = np.random.default_rng(0)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), widths[0]))
    for index, (before, after) in enumerate(pairwise(widths)):
        w = graph.weight(f"w{index}", random.normal(size=(before, after)).astype(np.float32))
        y = graph.add(Relu(graph.add(Matmul(x, w), name=f"m{index}")), name=f"r{index}")
        x = graph.add(Add(x, y), name=f"a{index}") if skip and before == after else y
    graph.output(x)
    return graph


def samples(graph: Graph, count: int = 5) -> Array:
    shape = [d for d in graph.inputs[0].type.shape if isinstance(d, int)]
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


def compiled(graph: Graph, crossbars: int, **options: Any) -> Program:
    chip = {**TINY, "core.crossbars": crossbars}
    return neutrams.compile(graph, overrides=chip, calibration=samples(graph), **options)


def held(program: Program) -> list[tuple[str, int, int, int]]:
    """Return unit, block, round and crossbar of all that is held, copies apart."""
    found = []
    for op in program.module["chip"].ops:
        if not isinstance(op, Group):
            continue
        assert isinstance(op.crossbars, Weight)
        assert op.crossbars.data is not None
        crossbars = op.crossbars.data.tolist()
        turns = [op.round] * len(crossbars)
        if isinstance(op.rounds, Weight) and op.rounds.data is not None:
            turns = op.rounds.data.tolist()
        each = len(crossbars) // op.copies
        found += [
            (op.unit, i % each, turn, crossbar)
            for i, (turn, crossbar) in enumerate(zip(turns, crossbars, strict=True))
        ]
    return found


def facts(program: Program) -> list[Round]:
    return [op for op in program.module["chip"].ops if isinstance(op, Round)]


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.integers(1, 12),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
)
def test_rounds_answer_as_a_large_chip_does(
    widths: list[int], crossbars: int, batch: int, skip: bool, replicate: bool
) -> None:
    graph = chain(widths, skip=skip)
    small = compiled(graph, crossbars, rounds=None, batch=batch, replicate=replicate)
    large = compiled(graph, 4096)
    x = samples(graph, 7)
    mine, theirs = simulate(small, {"x": x}).outputs, simulate(large, {"x": x}).outputs
    assert [a.tobytes() for a in mine.values()] == [a.tobytes() for a in theirs.values()]
    units = {op.result.name: op for op in small.module["main"].ops if isinstance(op, Mvm)}
    needed = sum(len(unit.table()) for unit in units.values())
    count = max(len(facts(small)), 1)
    assert count >= ceil(needed / crossbars)
    assert (count > 1) == (needed > crossbars)
    places = [(turn, crossbar) for _, _, turn, crossbar in held(small)]
    assert len(set(places)) == len(places), "two blocks share a crossbar in one round"
    assert all(0 <= crossbar < crossbars for _, crossbar in places)
    blocks = {(unit, block) for unit, block, _, _ in held(small)}
    assert len(blocks) == needed
    for op, turns in program_rounds(small).items():
        made = [program_rounds(small)[v.op][-1] for v in op.present if v.op is not None]
        assert max(made, default=0) <= turns[0]


def test_programming_in_closed_form() -> None:
    graph = chain([16, 8, 4, 4])
    program = compiled(graph, 3, rounds=None, batch=4, replicate=False)
    first, second = facts(program)
    units = [op for op in program.module["main"].ops if isinstance(op, Mvm)]
    assert [len(unit.table()) for unit in units] == [2, 1, 1]
    core = program.target.machine.core
    sizes = {unit.result.name: np.stack(used(unit.table()), axis=1) for unit in units}
    for fact in (first, second):
        anew = [
            sizes[unit][block].tolist()
            for unit, block, turn, crossbar in held(program)
            if turn == fact.round and crossbar == 0
        ]
        assert len(anew) == 1, "the second round holds one block, where the first begins"
        ((rows, neurons),) = anew
        written = rows * neurons * 4
        assert fact.cell_writes == written
        assert fact.load_bytes == written * core.cell_bits / 8
        assert fact.write_ns == max(rows * core.write_ns, fact.load_bytes / 6.4)
    assert first.carried_bytes == 4
    result = simulate(program, {"x": samples(graph, 8)})
    (counted,) = (each.counts for each in result.layers if each.name == "programming")
    assert counted["cell_writes"] == 2 * (first.cell_writes + second.cell_writes)
    assert counted["io_bytes"] == 2 * (first.load_bytes + second.load_bytes)


def test_the_time_of_a_batch_adds_up() -> None:
    graph = chain([16, 8, 4, 4])
    one, many = (compiled(graph, 3, rounds=None, batch=n, replicate=False) for n in (1, 10))
    spans = [op for op in many.module["chip"].ops if isinstance(op, Span)]
    assert [span.start_cycle for span in spans] == [0, spans[0].finish_cycle]
    read = many.target.machine.core.read_ns
    for span, fact in zip(spans, facts(many), strict=True):
        assert span.run_cycle - span.start_cycle == ceil(fact.write_ns / read)
    last = spans[-1].finish_cycle
    found, alone = resources(many), resources(one)
    assert found.latency_s == pytest.approx(last * read * 1e-9)
    assert found.throughput_per_s == pytest.approx(10 / found.latency_s)
    assert found.throughput_per_s > alone.throughput_per_s, "a batch shares the programming"
    assert found.programming_share < alone.programming_share
    assert schedule(many).latency_s == pytest.approx(found.latency_s)
    assert schedule(many).throughput_per_s == pytest.approx(found.throughput_per_s)


def test_what_buffers_cannot_keep_leaves_the_chip() -> None:
    graph = chain([16, 8, 4, 4])
    chip = {**TINY, "core.crossbars": 3, "tile.buffer_bytes": 28}
    for batch, spilled in ((7, 0), (8, 8)):
        program = neutrams.compile(
            graph, overrides=chip, calibration=samples(graph), rounds=None, batch=batch
        )
        assert [fact.spilled_bytes for fact in facts(program)] == [spilled, 0]
        layers = simulate(program, {"x": samples(graph, 1)}).layers
        (io,) = (each for each in layers if each.name == "io")
        assert io.counts["io_bytes"] == 16 + 4 * 4 + spilled


def test_a_matrix_larger_than_the_chip_is_cut_between_blocks() -> None:
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 3, 6, 6))
    random = np.random.default_rng(0)
    w = graph.weight("w", random.normal(size=(20, 3, 3, 3)).astype(np.float32))
    flat = graph.add(Reshape(graph.add(Conv(x, w), name="c"), shape=(symbol("N"), 320)))
    v = graph.weight("v", random.normal(size=(320, 3)).astype(np.float32))
    graph.output(graph.add(Matmul(flat, v), name="y"))
    program = compiled(graph, 4, rounds=None)
    turns = {unit: {t for u, _, t, _ in held(program) if u == unit} for unit, *_ in held(program)}
    assert len(facts(program)) == ceil((10 + 20) / 4)
    for found in turns.values():
        assert len(found) > 1
        assert max(found) - min(found) + 1 == len(found)
    stage = next(s for s in schedule(program).stages if s.unit == "c.mvm")
    assert stage.windows == 16 * len(turns["c.mvm"])
    large = simulate(compiled(graph, 4096), {"x": samples(graph)}).outputs
    mine = simulate(program, {"x": samples(graph)}).outputs
    assert mine["y"].tobytes() == large["y"].tobytes()


def test_rounds_are_counted_or_automatic() -> None:
    assert Options(rounds="auto") == Options(rounds=None)  # type: ignore[arg-type]
    for wrong in ("many", 0, 1.5):
        with pytest.raises(NeutramsError, match="NT0406"):
            Options(rounds=wrong)  # type: ignore[arg-type]


def test_too_few_rounds() -> None:
    graph = chain([16, 8, 4, 4])
    with pytest.raises(NeutramsError, match="NT0403") as caught:
        compiled(graph, 1, rounds=2)
    assert "4 rounds" in caught.value.diagnostics[0].message
    with pytest.raises(NeutramsError, match="NT0401") as caught:
        compiled(graph, 3)
    assert any("--rounds auto" in text for text in caught.value.diagnostics[0].helps)


def test_what_fits_takes_no_rounds() -> None:
    graph = chain([16, 8, 4, 4])
    plain, asked = compiled(graph, 4), compiled(graph, 4, rounds=None, batch=8)
    for name in ("main", "chip"):
        mine, theirs = (p.module[name].ops for p in (plain, asked))
        assert [repr(op) + str(op.attributes()) for op in mine] == [
            repr(op) + str(op.attributes()) for op in theirs
        ]


def recurrent(cells: int) -> Graph:
    random = np.random.default_rng(0)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, 3, symbol("N"), 4))
    shapes = ((1, 4 * cells, 4), (1, 4 * cells, cells))
    w, r = (
        graph.weight(name, random.normal(size=shape).astype(np.float32))
        for name, shape in zip("wr", shapes, strict=True)
    )
    y = Lstm(x, w, r)
    graph.insert(y, name="h")
    out = graph.add(Reshape(y.results[1], shape=(symbol("N"), cells)))
    for name in "ab":
        v = graph.weight(f"v{name}", random.normal(size=(cells, cells)).astype(np.float32))
        out = graph.add(Matmul(out, v), name=name)
    graph.output(out)
    return graph


def test_a_cell_stays_in_one_round() -> None:
    graph = recurrent(4)
    x = np.random.default_rng(1).normal(size=(3, 5, 4)).astype(np.float32)
    chip = {**TINY, "core.crossbars": 8}
    small, large = (
        neutrams.compile(graph, overrides={**chip, "core.crossbars": n}, rounds=None)
        for n in (8, 4096)
    )
    assert len(facts(small)) == 2
    mine, theirs = (simulate(program, {"x": x}).outputs for program in (small, large))
    assert [a.tobytes() for a in mine.values()] == [a.tobytes() for a in theirs.values()]
    with pytest.raises(NeutramsError, match="NT0404"):
        neutrams.compile(graph, overrides={**chip, "core.crossbars": 3}, rounds=None)


def test_a_saved_program_keeps_its_rounds(tmp_path: Path) -> None:
    program = compiled(chain([40, 20, 4]), 4, rounds=None, batch=3)
    path = tmp_path / "net.ntp"
    program.save(path)
    again = Program.load(path)
    assert held(again) == held(program)
    assert [op.attributes() for op in facts(again)] == [op.attributes() for op in facts(program)]
    assert [fact.batch for fact in facts(again)] == [3] * len(facts(again))


def test_every_executor_agrees_on_a_network_in_rounds() -> None:
    graph = chain([40, 20, 20, 4], skip=True)
    program = compiled(graph, 5, rounds=None)
    assert len(facts(program)) > 2
    found = neutrams.verify(program, {"x": samples(graph)})
    assert [(link.name, link.note) for link in found.links if link.state == "broken"] == []


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.integers(1, 12),
    st.integers(1, 6),
    st.booleans(),
    st.booleans(),
)
def test_rounds_run_clock_by_clock(
    widths: list[int], crossbars: int, batch: int, skip: bool, replicate: bool
) -> None:
    """Same answers and events as the schedule; times of its parts add up."""
    graph = chain(widths, skip=skip)
    tiles = {**TINY, "core.crossbars": 1, "chip.tiles": crossbars}
    options: dict[str, Any] = {"rounds": None, "batch": batch, "replicate": replicate}
    program = neutrams.compile(graph, overrides=tiles, calibration=samples(graph), **options)
    tick = neutrams.simulate(program, samples(graph, 7))
    cycle = neutrams.simulate(program, samples(graph, 7), grain="cycle")
    for name, array in tick.outputs.items():
        assert (cycle.outputs[name] == array).all()
    network = {"router_flits", "link_flits"}
    for event in {*tick.counts, *cycle.counts} - network:
        assert cycle.counts[event] == tick.counts[event], event
    assert cycle.programming_share == pytest.approx(tick.programming_share, rel=0.2)
    if not facts(program):
        return
    found, ghz = cycle.resources, program.target.machine.network.clock_ghz
    assert sum(each.batch_s for each in found.rounds) == pytest.approx(found.latency_s)
    assert found.throughput_per_s == pytest.approx(batch / found.latency_s)
    for fact, use, planned in zip(facts(program), found.rounds, tick.resources.rounds, strict=True):
        assert use.programming_s == pytest.approx(ceil(fact.write_ns * ghz - 1e-9) / ghz * 1e-9)
        assert use.cell_writes == planned.cell_writes
        assert use.batch_s - use.programming_s > 0
    assert max(layer.finish_s for layer in found.layers) <= found.latency_s * (1 + 1e-9)


def test_a_matrix_larger_than_the_chip_runs_clock_by_clock() -> None:
    """Six blocks of one matrix on two crossbars: three rounds, the sums in the last."""
    graph = chain([48, 8])
    program = compiled(graph, 2, rounds=None, batch=3)
    assert len(facts(program)) == 3
    layouts = [lay_out(program, inferences=3, round=turn) for turn in range(3)]
    sums = [sum(name.endswith(".sum") for name in layout.ops) for layout in layouts]
    assert sums == [0, 0, 1]
    tick, cycle = (neutrams.simulate(program, samples(graph), grain=g) for g in GRAINS)
    assert cycle.resources.latency_s == pytest.approx(tick.resources.latency_s, rel=0.05)


def test_a_trace_shows_rounds_and_programming(tmp_path: Path) -> None:
    graph = chain([48, 40, 8])
    program = compiled(graph, 4, rounds=None, batch=2)
    record = neutrams.Record(tmp_path / "out.json", detail="busy")
    found = neutrams.simulate(program, samples(graph), grain="cycle", record=record)
    events = json.loads((tmp_path / "out.json").read_text())["traceEvents"]
    marks = [e for e in events if e["ph"] == "X" and e["name"].startswith("programming")]
    written = [mark["args"]["clocks"] for mark in marks]
    assert found.cycles is not None
    assert written == [part for part, _ in found.cycles.rounds if part]
    for (_, whole), (mark, then) in zip(found.cycles.rounds, pairwise(marks), strict=False):
        assert then["args"]["clock"] - mark["args"]["clock"] == whole
    ends = [e["args"]["clock"] + e["args"]["clocks"] for e in events if e["ph"] == "X"]
    assert max(ends) <= found.cycles.clocks
